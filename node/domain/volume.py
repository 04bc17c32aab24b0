"""A CT volume in patient coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

OUTSIDE_FIELD_HU = -2048
"""Value of voxels that were not reconstructed (padding outside the scan field)."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """The image that a slice of the volume was taken from."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None
    """1-based frame of a multi-frame object; ``None`` for a single-frame image."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Attenuation in Hounsfield units on a regular, unsheared grid.

    Axis order is (k, j, i): slice, row, column. The reader lays the axes so that k runs toward the head,
    j toward the back and i toward the left of the patient, whatever the scan direction and patient position
    were (each within 45 degrees; the affine is exact). Never resampled unless the source was tilted or uneven.
    """

    hu: NDArray[np.int16]
    """Shape (slices, rows, columns), read-only; ``OUTSIDE_FIELD_HU`` where nothing was reconstructed."""
    affine_lps_mm: NDArray[np.float64]
    """Shape (4, 4): (k, j, i, 1) → DICOM patient coordinates (left, posterior, superior) in mm."""
    frame_of_reference_uid: str
    sources: tuple[SourceImage, ...]
    """One for each slice k."""

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.affine_lps_mm.shape != (4, 4):
            raise ValueError(f"hu must be 3-D and affine 4x4, not {self.hu.shape}, {self.affine_lps_mm.shape}")
        if len(self.sources) != self.hu.shape[0]:
            raise ValueError(f"{len(self.sources)} sources for {self.hu.shape[0]} slices")
        self.hu.flags.writeable = False
        self.affine_lps_mm.flags.writeable = False

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along (k, j, i)."""
        dk, dj, di = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return float(dk), float(dj), float(di)

    def lps_mm(self, index_kji: ArrayLike) -> NDArray[np.float64]:
        """Index coordinates (..., 3), voxel centres at integers → LPS mm (..., 3)."""
        index = np.asarray(index_kji, dtype=np.float64)
        return index @ self.affine_lps_mm[:3, :3].T + self.affine_lps_mm[:3, 3]

    def index_kji(self, lps_mm: ArrayLike) -> NDArray[np.float64]:
        """LPS mm (..., 3) → fractional index coordinates (..., 3)."""
        offset = np.asarray(lps_mm, dtype=np.float64) - self.affine_lps_mm[:3, 3]
        return offset @ np.linalg.inv(self.affine_lps_mm[:3, :3]).T


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A set of voxels of a volume, held as a crop."""

    origin_kji: tuple[int, int, int]
    voxels: NDArray[np.bool_]
    """Shape (k, j, i) of the crop, read-only; voxel [0, 0, 0] lies at ``origin_kji`` of the volume."""

    def __post_init__(self) -> None:
        self.voxels.flags.writeable = False

    @property
    def slices_kji(self) -> tuple[slice, slice, slice]:
        """Index of the crop in the volume's array."""
        (k, j, i), (nk, nj, ni) = self.origin_kji, self.voxels.shape
        return slice(k, k + nk), slice(j, j + nj), slice(i, i + ni)

    @classmethod
    def of(cls, full: NDArray[np.bool_]) -> Mask:
        """Crop a full-size boolean array to its bounding box (an empty array gives an empty mask)."""
        if not full.any():
            return cls((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))
        lows, highs = [], []
        for axis in range(3):
            hit = np.flatnonzero(full.any(axis=tuple(a for a in range(3) if a != axis)))
            lows.append(int(hit[0]))
            highs.append(int(hit[-1]) + 1)
        k, j, i = (slice(lo, hi) for lo, hi in zip(lows, highs, strict=True))
        return cls((lows[0], lows[1], lows[2]), full[k, j, i].copy())
