"""The spine from the side, from the front and from below, with contours, names, measured volumes and rods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from node.domain.findings import Findings
from node.domain.phantom import RodReading
from node.domain.spine import RELIABLE_SLICE_MM, CurvedReformat, Vertebra
from node.domain.volume import Volume
from node.report.canvas import FINER, PAPER, Canvas
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

AXIAL_LEVELS = ("L1", "L2")
CLOSE_UP_MM = 70.0
AROUND_SPINE_MM = 78.0
"""Shown in front of and behind the body centres, at least."""
BEYOND_ENDS_MM = 38.0
"""Shown above the uppermost and below the lowest vertebra."""
ASIDE_MM = 7.0
"""A body centre farther than this from the straight image is not in it: the curved one is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """An image and where it lies."""

    hu: NDArray[np.int16]
    surface: Surface

    def part(self, rows: slice, columns: slice) -> Cut:
        """A crop."""
        return Cut(self.hu[rows, columns], self.surface.part(rows, columns))


def shown(findings: Findings) -> list[Vertebra]:
    """The vertebrae that a reader asks for: L1 and L2, those of the mean, or else the lowest two with a VOI."""
    levels = [v for v in findings.vertebrae if v.level in findings.vois]
    return [v for v in levels if v.level in AXIAL_LEVELS or v.level in findings.mean_levels] or levels[-2:]


def straight_cut(volume: Volume, findings: Findings) -> Cut:
    """The straight sagittal image nearest to the vertebrae, else a plain cut through them or through the middle."""
    centres = np.array([v.frame.centre_lps_mm for v in findings.vertebrae]).reshape(-1, 3)
    for reformat in findings.reformats:
        rasters = [_raster(reformat.affine_lps_mm, reformat.hu.shape, n) for n in range(reformat.hu.shape[0])]
        away = [np.abs((centres - r.origin_lps_mm) @ r.normal).mean() if len(centres) else 0.0 for r in rasters]
        best = int(np.argmin(away)) if len(centres) else len(rasters) // 2
        return Cut(reformat.hu[best], rasters[best])
    return _plain_cut(volume, centres, 2)


def sagittal_cut(volume: Volume, findings: Findings) -> Cut:
    """The straight image where it holds every vertebra, else the curved one."""
    straight = straight_cut(volume, findings)
    bent = _curved(findings, "curved-sagittal")
    centres = np.array([v.frame.centre_lps_mm for v in findings.vertebrae if v.complete]).reshape(-1, 3)
    if bent is None or not len(centres) or not isinstance(straight.surface, Raster):
        return straight
    away = np.abs((centres - straight.surface.origin_lps_mm) @ straight.surface.normal)
    return straight if away.max() <= ASIDE_MM else curved_cut(bent)


def coronal_cut(volume: Volume, findings: Findings) -> Cut:
    """The curved coronal image, else a plain cut through the vertebrae or through the middle."""
    bent = _curved(findings, "curved-coronal")
    if bent is not None:
        return curved_cut(bent)
    centres = np.array([v.frame.centre_lps_mm for v in findings.vertebrae]).reshape(-1, 3)
    return _plain_cut(volume, centres, 1)


def curved_cut(reformat: CurvedReformat) -> Cut:
    """The middle image of a curved reformat."""
    return Cut(reformat.hu[reformat.hu.shape[0] // 2], Bent(reformat))


def axial_cut(volume: Volume, findings: Findings, level: str) -> Cut:
    """The slice through the middle of a VOI."""
    k = round(float(volume.index_kji(findings.vois[level].centre_lps_mm)[0]))
    k = min(max(k, 0), volume.hu.shape[0] - 1)
    rows, columns = volume.hu.shape[1:]
    step = volume.affine_lps_mm
    raster = Raster(volume.lps_mm([k, 0, 0]), step[:3, 2].copy(), step[:3, 1].copy(), rows, columns)
    return Cut(volume.hu[k], raster)


def _curved(findings: Findings, name: str) -> CurvedReformat | None:
    return next((one for one in findings.curved if one.name == name), None)


def _plain_cut(volume: Volume, centres: NDArray[np.float64], axis: int) -> Cut:
    """A plane of voxels, from head to foot: sagittal across axis 2 (i), coronal across axis 1 (j)."""
    last = volume.hu.shape[axis] - 1
    at = round(float(np.median(volume.index_kji(centres)[:, axis]))) if len(centres) else (last + 1) // 2
    at = min(max(at, 0), last)
    k = volume.hu.shape[0] - 1
    down = -volume.affine_lps_mm[:3, 0]
    if axis == 2:
        hu, right, first = volume.hu[::-1, :, at], volume.affine_lps_mm[:3, 1], [k, 0, at]
    else:
        hu, right, first = volume.hu[::-1, at, :], volume.affine_lps_mm[:3, 2], [k, at, 0]
    return Cut(hu, Raster(volume.lps_mm(first), right.copy(), down, hu.shape[0], hu.shape[1]))


def _raster(affine: NDArray[np.float64], shape: tuple[int, ...], image: int) -> Raster:
    return Raster((affine @ [image, 0, 0, 1])[:3], affine[:3, 2].copy(), affine[:3, 1].copy(), shape[1], shape[2])


def around_spine(
    cut: Cut, vertebrae: Sequence[Vertebra], aspect: float | None = None, *, whole_height: bool = False
) -> Cut:
    """The part that a reader needs: the vertebrae with some room about them, of a shape (width / height) if given."""
    if not vertebrae:
        return cut
    surface = cut.surface
    places = surface.pixels(np.array([v.frame.centre_lps_mm for v in vertebrae]))
    across, down = surface.pixel_mm
    top, bottom = 0, surface.rows
    if not whole_height:
        top = max(int(places[:, 1].min() - BEYOND_ENDS_MM / down), 0)
        bottom = min(int(places[:, 1].max() + BEYOND_ENDS_MM / down) + 1, surface.rows)
    middle = 0.5 * (places[:, 0].min() + places[:, 0].max())
    half = AROUND_SPINE_MM / across + 0.5 * float(np.ptp(places[:, 0]))
    if aspect is not None:
        half = max(0.5 * aspect * (bottom - top) * down / across, 0.6 * half)
    low = int(np.clip(np.floor(middle - half), 0, surface.columns - 1))
    high = int(np.clip(np.ceil(middle + half), low + 1, surface.columns))
    return cut.part(slice(top, max(bottom, top + 1)), slice(low, high))


def letters(surface: Surface) -> tuple[str, str, str, str]:
    """What lies at the left, right, top and bottom edge (PS3.3 C.7.6.1.1.1)."""
    if isinstance(surface, Bent):
        return ("A", "P", "H", "F") if surface.reformat.name == "curved-sagittal" else ("R", "L", "H", "F")

    def letter(direction: NDArray[np.float64]) -> str:
        axis = int(np.argmax(np.abs(direction)))
        return ("LR", "PA", "HF")[axis][0 if direction[axis] > 0 else 1]

    row, column = surface.along_row_mm, surface.along_column_mm
    return letter(-row), letter(row), letter(-column), letter(column)


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


def _slice_mm(findings: Findings) -> float:
    straight, bent = [one.slice_mm for one in findings.reformats], [one.slice_mm for one in findings.curved]
    return max([*straight, *bent], default=0.0)


def unreliable(findings: Findings) -> bool:
    """Whether slices are too thick for heights and fractures to be judged on reformats."""
    return _slice_mm(findings) > RELIABLE_SLICE_MM + 0.01


def _notes(findings: Findings, cut: Cut, words: Words) -> list[str]:
    """Warnings that belong to the picture itself: thick slices, no true distances."""
    notes = []
    if unreliable(findings):
        notes.append(words.say("thick", mm=round(_slice_mm(findings), 1)))
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
    cut = _crop(cut, (y - half_y, y + half_y), (x - half_x, x + half_x))
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
    low, high = low - np.array([14.0 / across, 16.0 / down]), high + np.array([14.0 / across, 6.0 / down])
    if findings.phantom is None:
        high[1] += 40.0 / down
    width, height = (high - low) * np.array([across, down])
    aspect = fit[0] / fit[1]
    grow_x, grow_y = max(aspect * height - width, 0.0) / across, max(width / aspect - height, 0.0) / down
    cut = _crop(cut, (low[1] - 0.5 * grow_y, high[1] + 0.5 * grow_y), (low[0] - 0.5 * grow_x, high[0] + 0.5 * grow_x))
    canvas = Canvas(cut.hu, cut.surface, BODY_WINDOW_HU, fit)
    _draw_axial(canvas, volume, findings, vertebra, cut)
    _draw_rods(canvas, findings, cut, 15)
    left, right, _, _ = letters(cut.surface)
    canvas.sides(left, right, "", "")
    return canvas


def _crop(cut: Cut, rows: tuple[float, float], columns: tuple[float, float]) -> Cut:
    top, left = (int(np.clip(np.floor(v), 0, n - 1)) for v, n in zip((rows[0], columns[0]), cut.hu.shape, strict=True))
    bottom, right = (
        int(np.clip(np.ceil(v), low + 1, n))
        for v, low, n in zip((rows[1], columns[1]), (top, left), cut.hu.shape, strict=True)
    )
    return cut.part(slice(top, bottom), slice(left, right))


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
