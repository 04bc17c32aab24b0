"""Findings become DICOM objects, a JSON entry and pictures; nothing leaves here that was not read back.

template       codes, units and sentences of ``sr_templates/``
uids, identity who, when and under which UIDs
source         the measured images; outline: regions on them, and on bent images
items          content items; bone_density: what the report says; sr: the report as an object
sagittal       the sagittal images; captures: curved images, pictures and PDF without a place in the patient
canvas, sheet  an image and a page to draw on; cuts, views: the spine from the side, the front and below
key_images     the labelled images; page: the summary, with its heading and charts
words, typeset sentences in two languages, and their letters
files          all of these as files; verify: read back and compared with the findings
read_back      a report as plain values; result: as JSON; pictures: as PNG
"""

from node.report.files import write
from node.report.pictures import previews, render
from node.report.priors import judge, priors
from node.report.read_back import LevelSummary, SrSummary, is_bone_density, levels, summary
from node.report.result import document, result
from node.report.template import Template, load
from node.report.typeset import font_problem, scripts_without_font

__all__ = [
    "LevelSummary",
    "SrSummary",
    "Template",
    "document",
    "font_problem",
    "is_bone_density",
    "judge",
    "levels",
    "load",
    "previews",
    "priors",
    "render",
    "result",
    "scripts_without_font",
    "summary",
    "write",
]
