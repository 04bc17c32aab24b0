"""Scans without a patient: recognise a QA phantom, and measure its inserts by the calibration phantom beneath."""

from node.imaging.qa.examine import Examination, examine

__all__ = ["Examination", "examine"]
