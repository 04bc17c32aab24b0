"""A grey image to draw on, with positions in millimetres of its plane and lines that do not look like stairs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from node.report.outline import Raster

_FINER = 2
"""Drawn this much larger, then reduced: smooth lines."""
_ASIDE = 0.85
"""The letters above and below stand beside the middle, where the spine is."""
_RAISED = {"²": "2", "³": "3"}
_INK = (235, 235, 235)
_PAPER = (18, 18, 18)

Colour = tuple[int, int, int]


class Canvas:
    """One plane of attenuation, windowed, with square millimetres, and captions below it."""

    def __init__(
        self, hu: NDArray[np.int16], raster: Raster, window_hu: tuple[float, float], fit: tuple[int, int]
    ) -> None:
        """``window_hu``: (centre, width); ``fit``: largest (width, height) in pixels."""
        self._raster = raster
        across = float(np.linalg.norm(raster.along_row_mm))
        down = float(np.linalg.norm(raster.along_column_mm))
        width_mm, height_mm = raster.columns * across, raster.rows * down
        self._per_mm = min(fit[0] / width_mm, fit[1] / height_mm) * _FINER
        self._step = np.array([across, down]) * self._per_mm
        size = max(1, round(width_mm * self._per_mm)), max(1, round(height_mm * self._per_mm))
        grey = Image.fromarray(_grey(hu, window_hu)).resize(size, Image.Resampling.BICUBIC)
        self._image = grey.convert("RGB")
        self._draw = ImageDraw.Draw(self._image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as saved."""
        return self._image.width // _FINER, self._image.height // _FINER

    def place(self, column_row: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) pixels of the plane, centres at integers → pixels of the picture as saved."""
        return (column_row + 0.5) * self._step / _FINER

    def place_lps(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS mm (..., 3) → pixels of the picture as saved."""
        return self.place(self._raster.pixels(lps_mm))

    def outline(self, loop: NDArray[np.float64], colour: Colour, width: float = 1.5) -> None:
        """A closed line; points (n, 2) in the coordinates of SCOORD."""
        points = [(float(x), float(y)) for x, y in loop * self._step]
        self._draw.line(points, fill=colour, width=round(width * _FINER), joint="curve")

    def circle(self, centre_lps_mm: NDArray[np.float64], radius_mm: float, colour: Colour, width: float = 1.5) -> None:
        """A circle about a point projected on the plane."""
        x, y = (float(value) * _FINER for value in self.place_lps(centre_lps_mm))
        reach = radius_mm * self._per_mm
        box = (x - reach, y - reach, x + reach, y + reach)
        self._draw.ellipse(box, outline=colour, width=round(width * _FINER))

    def label(self, xy: tuple[float, float], text: str, colour: Colour, size: int = 15, anchor: str = "lm") -> None:
        """A text with a dark rim; ``anchor`` as in Pillow."""
        font = _font(size)
        spot = (xy[0] * _FINER, xy[1] * _FINER)
        self._draw.text(spot, text, fill=colour, font=font, anchor=anchor, stroke_width=_FINER, stroke_fill=(0, 0, 0))

    def sides(self, left: str, right: str, top: str, bottom: str) -> None:
        """Orientation letters at the four edges."""
        width, height = self.size
        for xy, letter, anchor in (
            ((6.0, height / 2), left, "lm"),
            ((width - 6.0, height / 2), right, "rm"),
            ((width * _ASIDE, 6.0), top, "mt"),
            ((width * _ASIDE, height - 6.0), bottom, "mb"),
        ):
            self.label(xy, letter, (150, 200, 255), 17, anchor)

    def beside(self, other: Canvas, legend: list[tuple[str, Colour]]) -> None:
        """Lay another picture at the right of this one, so that it hides nothing, and a legend under it."""
        gap = 4 * _FINER
        size = self._image.width + gap + other._image.width, max(self._image.height, other._image.height)
        sheet = Image.new("RGB", size, _PAPER)
        sheet.paste(self._image, (0, 0))
        sheet.paste(other._image, (self._image.width + gap, 0))
        edge = self.size[0] + gap / _FINER
        self._image, self._draw = sheet, ImageDraw.Draw(sheet)
        for line, (text, colour) in enumerate(legend):
            self.label((edge + 8, other.size[1] + 24 + 22 * line), text, colour)

    def save(self, path: Path, captions: list[tuple[str, int]], width: int | None = None) -> None:
        """Write a PNG with the captions (text, size) below, wrapped; lines never run out of the picture."""
        across = max(self._image.width, (width or 0) * _FINER)
        margin = 12 * _FINER
        lines = [(line, size) for text, size in captions for line in _wrapped(text, size, across - 2 * margin)]
        band = sum(_line_height(size) for _, size in lines) + margin
        sheet = Image.new("RGB", (across, self._image.height + band), _PAPER)
        sheet.paste(self._image, ((across - self._image.width) // 2, 0))
        draw = ImageDraw.Draw(sheet)
        y = self._image.height + margin // 2
        for line, size in lines:
            _write(draw, (margin, y), line, size)
            y += _line_height(size)
        sheet.reduce(_FINER).save(path, compress_level=3)


def _grey(hu: NDArray[np.int16], window_hu: tuple[float, float]) -> NDArray[np.uint8]:
    centre, width = window_hu
    low = centre - width / 2
    grey: NDArray[np.uint8] = np.clip((hu.astype(np.float32) - low) / width * 255, 0, 255).astype(np.uint8)
    return grey


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same pictures on every machine."""
    return ImageFont.load_default(size * _FINER)


def _line_height(size: int) -> int:
    return round(size * 1.45 * _FINER)


def _length(text: str, size: int) -> float:
    return sum(
        _font(round(size * 0.65)).getlength(_RAISED[part]) if part in _RAISED else _font(size).getlength(part)
        for part in text
    )


def _write(draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, size: int) -> None:
    """One line; the font has no raised digits, so they are drawn small and high."""
    x, y = xy
    run = ""
    for part in [*text, ""]:
        if part and part not in _RAISED:
            run += part
            continue
        draw.text((x, y), run, fill=_INK, font=_font(size))
        x += _font(size).getlength(run)
        run = ""
        if part:
            small = _font(round(size * 0.65))
            draw.text((x, y - size * 0.1 * _FINER), _RAISED[part], fill=_INK, font=small)
            x += small.getlength(_RAISED[part])


def _wrapped(text: str, size: int, width: float) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and _length(longer, size) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines
