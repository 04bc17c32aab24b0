"""Which image of the spine is shown, and which part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.findings import Findings
from node.domain.spine import RELIABLE_SLICE_MM, CurvedReformat, Vertebra
from node.domain.volume import Volume
from node.report.outline import Bent, Raster, Surface

AXIAL_LEVELS = ("L1", "L2")
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


def crop(cut: Cut, rows: tuple[float, float], columns: tuple[float, float]) -> Cut:
    """A part given by fractional edges, cut to the image."""
    top, left = (int(np.clip(np.floor(v), 0, n - 1)) for v, n in zip((rows[0], columns[0]), cut.hu.shape, strict=True))
    bottom, right = (
        int(np.clip(np.ceil(v), low + 1, n))
        for v, low, n in zip((rows[1], columns[1]), (top, left), cut.hu.shape, strict=True)
    )
    return cut.part(slice(top, bottom), slice(left, right))


def slice_mm(findings: Findings) -> float:
    """The thickest slices that a reformat was made from; 0 where there is none."""
    straight, bent = [one.slice_mm for one in findings.reformats], [one.slice_mm for one in findings.curved]
    return max([*straight, *bent], default=0.0)


def unreliable(findings: Findings) -> bool:
    """Whether slices are too thick for heights and fractures to be judged on reformats."""
    return slice_mm(findings) > RELIABLE_SLICE_MM + 0.01
