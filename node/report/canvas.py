"""A grey image to draw on, with positions in millimetres of its surface and lines that do not look like stairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d

from node.report.outline import Surface
from node.report.typeset import Colour, Type

FINER = 2
"""Drawn this much larger, then reduced: smooth lines."""
_SMOOTH_MM = 0.9
"""Outlines of voxels are smoothed by this much for the eye; reports keep them as they are."""
_ASIDE = 0.85
"""The letters above and below stand beside the middle, where the spine is."""
PAPER: Colour = (18, 20, 24)
INK: Colour = (235, 237, 240)
SIDE: Colour = (150, 200, 255)


class Canvas:
    """One image of attenuation, windowed, with square millimetres."""

    def __init__(
        self, hu: NDArray[np.int16], surface: Surface, window_hu: tuple[float, float], fit: tuple[int, int]
    ) -> None:
        """``window_hu``: (centre, width); ``fit``: largest (width, height) in pixels."""
        self._surface = surface
        across, down = surface.pixel_mm
        width_mm, height_mm = surface.columns * across, surface.rows * down
        self._per_mm = min(fit[0] / width_mm, fit[1] / height_mm) * FINER
        self._step = np.array([across, down]) * self._per_mm
        size = max(1, round(width_mm * self._per_mm)), max(1, round(height_mm * self._per_mm))
        grey = Image.fromarray(_grey(hu, window_hu)).resize(size, Image.Resampling.BICUBIC)
        self._image = grey.convert("RGB")
        self._draw = ImageDraw.Draw(self._image)

    @property
    def picture(self) -> Image.Image:
        """As drawn: ``FINER`` times larger than it will be seen."""
        return self._image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as seen."""
        return self._image.width // FINER, self._image.height // FINER

    def place(self, column_row: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) pixels of the image, centres at integers → pixels as seen."""
        return (column_row + 0.5) * self._step / FINER

    def place_lps(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS mm (..., 3) → pixels as seen."""
        return self.place(self._surface.pixels(lps_mm))

    def outline(self, loop: NDArray[np.float64], colour: Colour, width: float = 1.5) -> None:
        """A closed line, its stairs smoothed; points (n, 2) in the coordinates of SCOORD."""
        points = [(float(x), float(y)) for x, y in _smooth(loop * self._step, _SMOOTH_MM * self._per_mm)]
        self._draw.line(points, fill=colour, width=max(round(width * FINER), 1), joint="curve")

    def line(self, ends_lps_mm: NDArray[np.float64], colour: Colour, width: float = 1.0) -> None:
        """A straight line between two points (2, 3) projected on the image."""
        points = [(float(x) * FINER, float(y) * FINER) for x, y in self.place_lps(ends_lps_mm)]
        self._draw.line(points, fill=colour, width=max(round(width * FINER), 1))

    def circle(self, centre_lps_mm: NDArray[np.float64], radius_mm: float, colour: Colour, width: float = 1.5) -> None:
        """A circle about a point projected on the image."""
        x, y = (float(value) * FINER for value in self.place_lps(centre_lps_mm))
        reach = radius_mm * self._per_mm
        box = (x - reach, y - reach, x + reach, y + reach)
        self._draw.ellipse(box, outline=colour, width=max(round(width * FINER), 1))

    def label(self, xy: tuple[float, float], text: str, colour: Colour, size: float = 15, anchor: str = "lm") -> None:
        """A text with a dark rim; ``anchor`` as in ``Type.draw``."""
        Type(size, colour, finer=FINER).draw(self._draw, (xy[0] * FINER, xy[1] * FINER), text, anchor, rim=FINER)

    def sides(self, left: str, right: str, top: str, bottom: str, size: float = 17) -> None:
        """Orientation letters at the four edges; an empty one is left out."""
        width, height = self.size
        for xy, letter, anchor in (
            ((6.0, height / 2), left, "lm"),
            ((width - 6.0, height / 2), right, "rm"),
            ((width * _ASIDE, 6.0), top, "mt"),
            ((width * _ASIDE, height - 6.0), bottom, "mb"),
        ):
            if letter:
                self.label(xy, letter, SIDE, size, anchor)

    def scale(self, length_mm: int = 50) -> None:
        """A bar of a known length at the lower left."""
        reach = length_mm * self._per_mm
        y = self._image.height - 14.0 * FINER
        self._draw.line([(12 * FINER, y), (12 * FINER + reach, y)], fill=SIDE, width=FINER)
        self.label((12.0, y / FINER - 8.0), f"{length_mm // 10} cm", SIDE, 13, "ls")

    def beside(self, other: Canvas, legend: list[tuple[str, Colour]]) -> None:
        """Lay another picture at the right of this one, so that it hides nothing, and a legend under it."""
        gap = 4 * FINER
        size = self._image.width + gap + other._image.width, max(self._image.height, other._image.height)
        sheet = Image.new("RGB", size, PAPER)
        sheet.paste(self._image, (0, 0))
        sheet.paste(other._image, (self._image.width + gap, 0))
        edge = self.size[0] + gap / FINER
        self._image, self._draw = sheet, ImageDraw.Draw(sheet)
        for line, (text, colour) in enumerate(legend):
            self.label((edge + 8, other.size[1] + 24 + 22 * line), text, colour)


def captioned(picture: Image.Image, captions: list[tuple[str, int]], width: int | None = None) -> Image.Image:
    """A drawn picture with captions (text, size) below, wrapped; lines never run out of the picture. As seen."""
    across = max(picture.width, (width or 0) * FINER)
    margin = 12 * FINER
    lines = [
        (line, Type(size, INK, finer=FINER))
        for text, size in captions
        for line in Type(size, finer=FINER).wrapped(text, across - 2 * margin)
    ]
    band = round(sum(kind.line_height for _, kind in lines)) + margin
    sheet = Image.new("RGB", (across, picture.height + band), PAPER)
    sheet.paste(picture, ((across - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    y = picture.height + margin / 2
    for line, kind in lines:
        kind.draw(draw, (margin, y), line, "lt")
        y += kind.line_height
    return sheet.reduce(FINER)


def save_png(picture: Image.Image, path: Path) -> Path:
    """Write a PNG; the same picture gives the same bytes."""
    picture.save(path, format="PNG", compress_level=3)
    return path


def _smooth(loop: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A closed polygon (n, 2) averaged along its length with a Gaussian; the same units."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(loop, axis=0).T))])
    if length[-1] < 8.0 * sigma:
        return loop
    steps = max(int(length[-1] / max(sigma / 2, 1.0)), 12)
    at = np.linspace(0.0, length[-1], steps, endpoint=False)
    even = np.stack([np.interp(at, length, loop[:, axis]) for axis in range(2)], axis=1)
    rounded = gaussian_filter1d(even, sigma / (length[-1] / steps), axis=0, mode="wrap")
    return np.concatenate([rounded, rounded[:1]])


def _grey(hu: NDArray[np.int16], window_hu: tuple[float, float]) -> NDArray[np.uint8]:
    centre, width = window_hu
    low = centre - width / 2
    grey: NDArray[np.uint8] = np.clip((hu.astype(np.float32) - low) / width * 255, 0, 255).astype(np.uint8)
    return grey
