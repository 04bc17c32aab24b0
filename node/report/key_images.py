"""The labelled images: the spine from the side with heights, from the front, and the measured vertebrae from below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from node.domain.findings import Findings
from node.domain.volume import Volume
from node.report import views
from node.report.canvas import FINER, INK, PAPER
from node.report.cuts import shown
from node.report.typeset import Type
from node.report.words import Words, material_name

SIDE = (900, 1200)
FRONT = (800, 1200)
BELOW = (900, 800)
TEXT = 26.0
_BAND = 88
_NARROWEST = 860
"""The notice is never cut."""


def key_images(findings: Findings, volume: Volume, words: Words) -> list[NDArray[np.uint8]]:
    """Pictures (rows, columns, 3): side, front, then one for each vertebra that a reader asks for."""
    if not findings.vertebrae:
        return []
    side = views.with_heights(volume, findings, SIDE, words, TEXT)
    front = views.coronal(volume, findings, FRONT).picture
    pictures = [_captioned(side, words.say("heights"), words), _captioned(front, "", words)]
    for vertebra in shown(findings):
        below = views.axial_with_rods(volume, findings, vertebra, BELOW).picture
        pictures.append(_captioned(below, level_line(findings, vertebra.level, words), words))
    return pictures


def level_line(findings: Findings, level: str, words: Words) -> str:
    """Density, attenuation and use of one vertebra."""
    voi, density = findings.vois[level], findings.densities.get(level)
    if density is None or findings.refusal is not None:
        return words.say("no_density", level=level, hu=voi.hu_mean, sd=voi.hu_sd)
    unit = f"mg/cm³ {material_name(findings.calibration.material)}" if findings.calibration is not None else "mg/cm³"
    parts = [
        f"{level}  {density.vbmd_mg_cm3:.1f} ± {density.expanded_uncertainty_mg_cm3:.1f} {unit}",
        words.say("attenuation", hu=voi.hu_mean, sd=voi.hu_sd),
    ]
    if not density.included_in_mean:
        parts.append(words.say("not_in_mean", reason=words.exclusion(density.exclusion_reason)))
    return " · ".join(parts)


def _captioned(picture: Image.Image, line: str, words: Words) -> NDArray[np.uint8]:
    """A line, and below it that nobody has checked it."""
    width = max(picture.width, _NARROWEST * FINER)
    sheet = Image.new("RGB", (width, picture.height + _BAND * FINER), PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    draw, chinese = ImageDraw.Draw(sheet), words.language == "zh"
    room = width - 24 * FINER
    for n, (text, size, colour) in enumerate(((line, 24.0, INK), (words.say("notice"), 19.0, views.QUIET))):
        kind = Type(size, colour, cjk_first=chinese, finer=FINER)
        kind.draw(draw, (12 * FINER, picture.height + (14 + 38 * n) * FINER), kind.fitted(text, room), "lt")
    return np.asarray(sheet.reduce(FINER))
