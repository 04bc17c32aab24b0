"""The spine from the side, from the front and from below, with contours, names, measured volumes and rods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from node.domain.findings import Findings
from node.domain.phantom import RodReading
from node.domain.spine import CurvedReformat, Vertebra
from node.domain.volume import Volume
from node.report.canvas import FINER, PAPER, Canvas
from node.report.cuts import (
    Cut,
    around_spine,
    axial_cut,
    coronal_cut,
    crop,
    curved_cut,
    letters,
    sagittal_cut,
    shown,
    slice_mm,
    unreliable,
)
from node.report.outline import Bent, Raster, Surface, corners_lps_mm, outlines
from node.report.typeset import Colour, Type
from node.report.words import Words

BONE_WINDOW_HU = (300.0, 1500.0)
CLOSE_UP_WINDOW_HU = (250.0, 1000.0)
BODY_WINDOW_HU = (150.0, 900.0)

NAMED: Colour = (120, 200, 255)
MEASURED: Colour = (255, 214, 70)
VOI: Colour = (255, 96, 96)
ROD: Colour = (110, 235, 130)
REVIEW: Colour = (255, 170, 80)
HEIGHT: Colour = (190, 205, 220)
QUIET: Colour = (150, 156, 166)
INK: Colour = (228, 231, 236)

CLOSE_UP_MM = 70.0


def draw_spine(canvas: Canvas, volume: Volume, findings: Findings, cut: Cut, name_size: float = 18) -> dict[str, float]:
    """Contours, measured volumes and names; returns the height in the picture of each vertebra that is in it."""
    wanted = {vertebra.level for vertebra in shown(findings)}
    heights = {}
    for vertebra in findings.vertebrae:
        colour = MEASURED if vertebra.level in wanted else NAMED
        loops = outlines(volume, vertebra.body, cut.surface)
        for loop in loops[:1]:
            canvas.outline(loop, colour, 1.3)
        if vertebra.level in wanted:
            for loop in outlines(volume, findings.vois[vertebra.level].mask, cut.surface):
                canvas.outline(loop, VOI, 1.3)
        heights[vertebra.level] = _name(canvas, vertebra, loops, colour, name_size)
    return {level: y for level, y in heights.items() if -5 <= y <= canvas.size[1] + 5}


def _name(
    canvas: Canvas, vertebra: Vertebra, loops: tuple[NDArray[np.float64], ...], colour: Colour, size: float
) -> float:
    """The vertebra's name before its body; returns its height in the picture."""
    if loops:
        edge = canvas.place(loops[0] - 0.5)
        spot = float(edge[:, 0].min()) - 8, float(edge[:, 1].mean())
    else:
        x, y = canvas.place_lps(vertebra.frame.centre_lps_mm)
        spot = float(x), float(y)
    canvas.label((max(spot[0], 2.4 * size), spot[1]), vertebra.level, colour, size, "rm")
    return spot[1]


def sagittal(volume: Volume, findings: Findings, fit: tuple[int, int]) -> Canvas:
    """The spine from the side, named."""
    cut = around_spine(sagittal_cut(volume, findings), findings.vertebrae)
    return _drawn(cut, volume, findings, fit)[0]


def coronal(volume: Volume, findings: Findings, fit: tuple[int, int]) -> Canvas:
    """The spine from the front, named."""
    cut = around_spine(coronal_cut(volume, findings), findings.vertebrae)
    return _drawn(cut, volume, findings, fit)[0]


def bent(volume: Volume, findings: Findings, reformat: CurvedReformat, fit: tuple[int, int]) -> Canvas:
    """The middle image of a curved reformat, named."""
    cut = around_spine(curved_cut(reformat), findings.vertebrae, whole_height=True)
    return _drawn(cut, volume, findings, fit)[0]


def _drawn(
    cut: Cut, volume: Volume, findings: Findings, fit: tuple[int, int], name_size: float = 18
) -> tuple[Canvas, dict[str, float]]:
    canvas = Canvas(cut.hu, cut.surface, BONE_WINDOW_HU, fit)
    heights = draw_spine(canvas, volume, findings, cut, name_size)
    canvas.sides(*letters(cut.surface))
    return canvas, heights


def with_heights(volume: Volume, findings: Findings, size: tuple[int, int], words: Words, text: float) -> Image.Image:
    """The spine from the side, and its heights in a margin; at most ``size`` as seen, drawn ``FINER`` times larger."""
    margin = round(text * 11.2)
    cut = sagittal_cut(volume, findings)
    notes = _notes(findings, cut, words)
    room = size[0] - margin, size[1] - round(1.25 * text * len(notes))
    cut = around_spine(cut, findings.vertebrae, room[0] / room[1])
    canvas, places = _drawn(cut, volume, findings, room, text * 1.15)
    _draw_heights(canvas, findings)
    canvas.scale()
    sheet = Image.new("RGB", (size[0] * FINER, size[1] * FINER), PAPER)
    left = max((room[0] - canvas.size[0]) // 2, 0)
    sheet.paste(canvas.picture, (left * FINER, 0))
    _margin(sheet, findings, places, (left + canvas.size[0] + 12, size[0]), words, text)
    kind = Type(0.85 * text, REVIEW, finer=FINER, cjk_first=words.language == "zh")
    for line, note in enumerate(notes, 1):
        y = (canvas.size[1] + 1.2 * text * line) * FINER
        kind.draw(ImageDraw.Draw(sheet), (left * FINER, y), kind.fitted(note, (size[0] - left) * FINER))
    return sheet.crop((0, 0, sheet.width, min((canvas.size[1] + round(1.3 * text * len(notes))) * FINER, sheet.height)))


def _draw_heights(canvas: Canvas, findings: Findings) -> None:
    """The three lines along which heights were measured."""
    for vertebra in findings.vertebrae:
        if vertebra.heights is not None:
            for pair in np.asarray(vertebra.heights.points_lps_mm, dtype=np.float64).reshape(3, 2, 3):
                canvas.line(pair, HEIGHT, 0.8)


def _margin(
    sheet: Image.Image,
    findings: Findings,
    places: dict[str, float],
    columns: tuple[int, int],
    words: Words,
    text: float,
) -> None:
    """Heights of each vertebra at its height, moved apart where they would touch."""
    draw = ImageDraw.Draw(sheet)
    rows = [v for v in findings.vertebrae if v.level in places and (v.heights is not None or not v.complete)]
    wanted = [places[v.level] for v in rows]
    tall = [2.3 * text if words.deformity(findings, v.level) else 1.35 * text for v in rows]
    centres = _apart(wanted, tall, sheet.height / FINER)
    for vertebra, y in zip(rows, centres, strict=True):
        review = words.deformity(findings, vertebra.level)
        plain = Type(text, INK if vertebra.heights else QUIET, finer=FINER)
        x = columns[0] * FINER
        line = y * FINER - (0.55 * text * FINER if review else 0)
        if vertebra.heights is None:
            Type(0.85 * text, QUIET, finer=FINER).draw(draw, (x, line), words.say("incomplete"), "lm")
            continue
        h = vertebra.heights
        plain.draw(draw, (x, line), f"{h.anterior_mm:.1f} · {h.middle_mm:.1f} · {h.posterior_mm:.1f}", "lm")
        if review:
            kind = Type(0.92 * text, REVIEW, bold=True, finer=FINER, cjk_first=words.language == "zh")
            room = (columns[1] - columns[0]) * FINER
            kind.draw(draw, (x, line + 1.15 * text * FINER), kind.fitted(review, room), "lm")


def _apart(wanted: Sequence[float], tall: Sequence[float], height: float) -> list[float]:
    """Centres near those wanted, in order, that do not overlap and stay inside."""
    centres = list(wanted)
    for _ in range(60):
        for n in range(1, len(centres)):
            short = 0.5 * (tall[n - 1] + tall[n]) - (centres[n] - centres[n - 1])
            if short > 0:
                centres[n - 1] -= 0.5 * short
                centres[n] += 0.5 * short
        if centres:
            centres[0] = max(centres[0], 0.5 * tall[0])
            centres[-1] = min(centres[-1], height - 0.5 * tall[-1])
    return centres


def _notes(findings: Findings, cut: Cut, words: Words) -> list[str]:
    """Warnings that belong to the picture itself: thick slices, no true distances."""
    notes = []
    if unreliable(findings):
        notes.append(words.say("thick", mm=round(slice_mm(findings), 1)))
    if isinstance(cut.surface, Bent):
        notes.append(words.say("curved"))
    return notes


def axial(volume: Volume, findings: Findings, vertebra: Vertebra, fit: tuple[int, int]) -> Canvas:
    """The whole slice, with the body, the VOI and the rods."""
    cut = axial_cut(volume, findings, vertebra.level)
    canvas = Canvas(cut.hu, cut.surface, BODY_WINDOW_HU, fit)
    _draw_axial(canvas, volume, findings, vertebra, cut)
    _draw_rods(canvas, findings, cut, 13)
    canvas.sides(*letters(cut.surface))
    return canvas


def close_up(volume: Volume, findings: Findings, vertebra: Vertebra, fit: tuple[int, int]) -> Canvas:
    """The vertebra alone, larger."""
    cut = axial_cut(volume, findings, vertebra.level)
    across, down = cut.surface.pixel_mm
    x, y = cut.surface.pixels(np.asarray(vertebra.frame.centre_lps_mm))
    half_x, half_y = CLOSE_UP_MM / 2 / across, CLOSE_UP_MM / 2 / down
    cut = crop(cut, (y - half_y, y + half_y), (x - half_x, x + half_x))
    canvas = Canvas(cut.hu, cut.surface, CLOSE_UP_WINDOW_HU, fit)
    _draw_axial(canvas, volume, findings, vertebra, cut)
    canvas.label((8.0, 14.0), vertebra.level, MEASURED, 18)
    return canvas


def axial_with_rods(volume: Volume, findings: Findings, vertebra: Vertebra, fit: tuple[int, int]) -> Canvas:
    """The slice from the vertebra to the rods, filling ``fit``."""
    cut = axial_cut(volume, findings, vertebra.level)
    points = [cut.surface.pixels(corners_lps_mm(volume, vertebra.body))]
    across, down = cut.surface.pixel_mm
    for reading in findings.phantom.rods if findings.phantom is not None else ():
        middle = cut.surface.pixels(_rod_centre(reading, cut.surface))
        reach = np.array([(reading.radius_mm + 6.0) / across, (reading.radius_mm + 6.0) / down])
        points.append(np.stack([middle - reach, middle + reach]))
    low, high = np.concatenate(points).min(axis=0), np.concatenate(points).max(axis=0)
    low, high = low - np.array([14.0 / across, 16.0 / down]), high + np.array([14.0 / across, 12.0 / down])
    if findings.phantom is None:
        high[1] += 40.0 / down
    width, height = (high - low) * np.array([across, down])
    aspect = fit[0] / fit[1]
    grow_x, grow_y = max(aspect * height - width, 0.0) / across, max(width / aspect - height, 0.0) / down
    cut = crop(cut, (low[1] - 0.5 * grow_y, high[1] + 0.5 * grow_y), (low[0] - 0.5 * grow_x, high[0] + 0.5 * grow_x))
    canvas = Canvas(cut.hu, cut.surface, BODY_WINDOW_HU, fit)
    _draw_axial(canvas, volume, findings, vertebra, cut)
    _draw_rods(canvas, findings, cut, 15)
    left, right, _, _ = letters(cut.surface)
    canvas.sides(left, right, "", "")
    return canvas


def _draw_axial(canvas: Canvas, volume: Volume, findings: Findings, vertebra: Vertebra, cut: Cut) -> None:
    for loop in outlines(volume, vertebra.body, cut.surface)[:1]:
        canvas.outline(loop, MEASURED)
    for loop in outlines(volume, findings.vois[vertebra.level].mask, cut.surface):
        canvas.outline(loop, VOI)


def _draw_rods(canvas: Canvas, findings: Findings, cut: Cut, size: float) -> None:
    for reading in findings.phantom.rods if findings.phantom is not None else ():
        centre = _rod_centre(reading, cut.surface)
        canvas.circle(centre, reading.radius_mm, ROD)
        x, y = canvas.place_lps(centre + np.array([0.0, reading.radius_mm + 3.0, 0.0]))
        canvas.label((float(x), float(y)), reading.rod.name, ROD, size, "mt")


def _rod_centre(reading: RodReading, surface: Surface) -> NDArray[np.float64]:
    """Where a rod was read nearest to a plane."""
    centres = np.asarray(reading.slice_centres_lps_mm, dtype=np.float64).reshape(-1, 3)
    if not len(centres) or not isinstance(surface, Raster):
        return np.asarray(reading.centre_lps_mm, dtype=np.float64)
    away = np.abs((centres - surface.origin_lps_mm) @ surface.normal)
    nearest: NDArray[np.float64] = centres[int(np.argmin(away))]
    return nearest
