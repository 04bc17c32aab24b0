"""Findings become DICOM objects, a JSON entry and pictures; nothing leaves here that was not read back.

template       codes, units and sentences of ``sr_templates/``
uids, identity who, when and under which UIDs
source         the measured images; outline: regions on them
items          content items; bone_density: what the report says; sr: the report as an object
sagittal       the sagittal images
files          all of these as files; verify: read back and compared with the findings
read_back      a report as plain values; result: as JSON; pictures: as PNG
"""

from node.report.files import write
from node.report.pictures import previews, render
from node.report.read_back import SrSummary, summary
from node.report.result import document, result
from node.report.template import Template, load

__all__ = ["SrSummary", "Template", "document", "load", "previews", "render", "result", "summary", "write"]
