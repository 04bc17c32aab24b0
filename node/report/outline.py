"""The outline of a mask on a source image, in that image's own pixels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.instance import Plane
from node.domain.spine import CurvedReformat
from node.domain.volume import Mask, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """A plane of pixels in patient coordinates."""

    origin_lps_mm: NDArray[np.float64]
    """(3,): centre of the first pixel."""
    along_row_mm: NDArray[np.float64]
    """(3,): step from one column to the next."""
    along_column_mm: NDArray[np.float64]
    """(3,): step from one row to the next."""
    rows: int
    columns: int

    @classmethod
    def of_plane(cls, plane: Plane, rows: int, columns: int) -> Raster:
        """Geometry of an image (PS3.3 C.7.6.2.1.1)."""
        orientation = np.asarray(plane.image_orientation_patient, dtype=np.float64)
        between_rows, between_columns = plane.pixel_spacing_mm
        return cls(
            np.asarray(plane.image_position_patient_mm, dtype=np.float64),
            orientation[:3] * between_columns,
            orientation[3:] * between_rows,
            rows,
            columns,
        )

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Size of a pixel across and down."""
        return float(np.linalg.norm(self.along_row_mm)), float(np.linalg.norm(self.along_column_mm))

    def part(self, rows: slice, columns: slice) -> Raster:
        """The plane of a crop of the image."""
        origin = self.lps_mm(np.array([columns.start, rows.start], dtype=np.float64))
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return Raster(origin, self.along_row_mm, self.along_column_mm, height, width)

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,): unit vector across the plane."""
        cross = np.cross(self.along_row_mm, self.along_column_mm)
        return cross / np.linalg.norm(cross)

    def pixels(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS mm (..., 3) → (column, row) of the nearest point of the plane; pixel centres at integers."""
        offset = lps_mm - self.origin_lps_mm
        basis = np.stack([self.along_row_mm, self.along_column_mm], axis=1)
        return offset @ np.linalg.pinv(basis).T

    def lps_mm(self, column_row: NDArray[np.float64]) -> NDArray[np.float64]:
        """(column, row) (..., 2) → LPS mm (..., 3)."""
        return self.origin_lps_mm + column_row @ np.stack([self.along_row_mm, self.along_column_mm])


@dataclass(frozen=True, slots=True, eq=False)
class Bent:
    """The middle image of a curved reformat, or a crop of it, as something to draw on."""

    reformat: CurvedReformat
    first_row: int = 0
    first_column: int = 0
    shape: tuple[int, int] | None = None
    """(rows, columns) of the crop; ``None``: all."""

    @property
    def rows(self) -> int:
        """Of the crop."""
        return self.shape[0] if self.shape else self.reformat.hu.shape[1]

    @property
    def columns(self) -> int:
        """Of the crop."""
        return self.shape[1] if self.shape else self.reformat.hu.shape[2]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Size of a pixel across and down (along the curve)."""
        return self.reformat.pixel_mm, self.reformat.pixel_mm

    def part(self, rows: slice, columns: slice) -> Bent:
        """A crop of the crop."""
        corner = self.first_row + rows.start, self.first_column + columns.start
        return Bent(self.reformat, *corner, (rows.stop - rows.start, columns.stop - columns.start))

    def pixels(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS mm (..., 3) → (column, row) of the nearest pixel; rows are whole."""
        points = np.asarray(lps_mm, dtype=np.float64).reshape(-1, 3)
        found = np.array([self.reformat.pixel(point) for point in points])[:, ::-1]
        shifted: NDArray[np.float64] = (found - [self.first_column, self.first_row]).reshape((*lps_mm.shape[:-1], 2))
        return shifted

    def lps_mm(self, column_row: NDArray[np.float64]) -> NDArray[np.float64]:
        """(column, row) (..., 2) → LPS mm (..., 3)."""
        place = np.asarray(column_row, dtype=np.float64)[..., ::-1] + [self.first_row, self.first_column]
        return self.reformat.lps_mm(place)


Surface = Raster | Bent
"""What regions are drawn on."""


def corners_lps_mm(volume: Volume, mask: Mask) -> NDArray[np.float64]:
    """(8, 3): corners of the box around a mask, on the faces of its outer voxels."""
    low = np.asarray(mask.origin_kji, dtype=np.float64) - 0.5
    high = low + mask.voxels.shape
    box = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    return volume.lps_mm(box)


def section(volume: Volume, mask: Mask, raster: Surface) -> tuple[NDArray[np.bool_], int, int] | None:
    """The mask where the surface cuts it: (rows, columns) of a window, and the window's first row and column.

    ``None`` where the surface misses the mask. Nearest voxel; exact where the image is a slice of the volume.
    """
    if not mask.voxels.any():
        return None
    corners = corners_lps_mm(volume, mask)
    if isinstance(raster, Raster):
        across = (corners - raster.origin_lps_mm) @ raster.normal
        if across.min() > 0 or across.max() < 0:
            return None
    reach = raster.pixels(corners)
    spare = 0 if isinstance(raster, Raster) else _BEND_PIXELS
    size = [raster.columns, raster.rows]
    low = np.clip(np.floor(reach.min(axis=0)).astype(int) - spare, 0, size)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1 + spare, 0, size)
    if (low >= high).any():
        return None
    columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    index = np.rint(volume.index_kji(raster.lps_mm(np.stack([columns, rows], axis=-1).astype(np.float64)))).astype(int)
    local = index - mask.origin_kji
    inside = ((local >= 0) & (local < mask.voxels.shape)).all(axis=-1)
    hit = np.zeros(inside.shape, dtype=bool)
    hit[inside] = mask.voxels[tuple(local[inside].T)]
    return (hit, int(low[1]), int(low[0])) if hit.any() else None


_BEND_PIXELS = 8
"""Around the box of a mask: rows of a bent surface are not parallel."""


def outlines(volume: Volume, mask: Mask, raster: Surface) -> tuple[NDArray[np.float64], ...]:
    """Closed outer outlines of the mask on an image, largest first, each (n, 2) of (column, row).

    In the coordinates of SCOORD (PS3.3 C.18.6.1.1): the first pixel's outer corner is (0, 0), its centre (0.5, 0.5).
    The first point is repeated as the last.
    """
    cut = section(volume, mask, raster)
    if cut is None:
        return ()
    hit, row, column = cut
    loops = [_smooth(loop) + np.array([column, row]) for loop in _loops(hit)]
    outer = [(area, loop) for loop in loops if (area := signed_area(loop)) > 0]
    return tuple(loop for _, loop in sorted(outer, key=lambda pair: -pair[0]))


def signed_area(loop: NDArray[np.float64]) -> float:
    """Area of a closed polygon in square pixels; positive when it runs clockwise as displayed."""
    x, y = loop[:-1].T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _loops(hit: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Walk the edges between pixels inside and outside, inside on the right hand as displayed."""
    padded = np.pad(hit, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row, column in np.argwhere(hit):
        c, r = int(column), int(row)
        if not padded[r, c + 1]:
            following[c, r].append((c + 1, r))
        if not padded[r + 1, c + 2]:
            following[c + 1, r].append((c + 1, r + 1))
        if not padded[r + 2, c + 1]:
            following[c + 1, r + 1].append((c, r + 1))
        if not padded[r + 1, c]:
            following[c, r + 1].append((c, r))
    loops = []
    while following:
        start = next(iter(following))
        path = [start]
        while True:
            path.append(_step(path, following))
            if path[-1] == start:
                break
        loops.append(np.asarray(path, dtype=np.float64))
    return loops


def _step(path: list[tuple[int, int]], following: dict[tuple[int, int], list[tuple[int, int]]]) -> tuple[int, int]:
    """Take the next edge; where two pixels touch at a corner only, turn right and so stay on the same pixel."""
    here = path[-1]
    choices = following[here]
    chosen = choices[0]
    if len(choices) > 1 and len(path) > 1:
        heading = (here[0] - path[-2][0], here[1] - path[-2][1])
        right = (here[0] - heading[1], here[1] + heading[0])
        chosen = right if right in choices else choices[0]
    choices.remove(chosen)
    if not choices:
        del following[here]
    return chosen


def _smooth(loop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Join the middles of the edges (cuts the stairs' corners) and drop points on straight lines."""
    middles = (loop[:-1] + loop[1:]) / 2
    before = middles - np.roll(middles, 1, axis=0)
    after = np.roll(middles, -1, axis=0) - middles
    bends = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    kept = middles[bends]
    return np.concatenate([kept, kept[:1]])
