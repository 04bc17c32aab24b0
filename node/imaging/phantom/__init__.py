"""Calibration phantoms: see rods, find which phantom they belong to, read them."""

from node.imaging.phantom.finding import find

__all__ = ["find"]
