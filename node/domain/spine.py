"""The vertebral column: where each vertebra lies, what it is called, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import Mask

LEVELS: tuple[str, ...] = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
    "S1",
)
"""Names from head to foot; T13 and L6 exist in some people."""

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A vertebra's own axes: unit vectors in LPS, right-handed as (left, posterior, superior)."""

    centre_lps_mm: NDArray[np.float64]
    """(3,): centroid of the vertebral body."""
    left: NDArray[np.float64]
    posterior: NDArray[np.float64]
    superior: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Anchor:
    """One independent way in which levels were counted."""

    name: Literal["ribs", "sacrum", "first-rib", "shape", "prior-study", "second-opinion"]
    level_of_first: str | None
    """What this anchor alone would call the uppermost vertebra found."""
    evidence: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Another way of naming the same vertebrae."""

    names: Mapping[str, str]
    """From the name that was given to the name in this reading."""
    probability: float


@dataclass(frozen=True, slots=True)
class LevelAssignment:
    """How the names were decided."""

    anchors: tuple[Anchor, ...]
    agreement: Literal["agree", "single", "conflict", "none"]
    rib_pairs_seen: int
    confidence: float
    """Probability that L1 is what is called L1."""
    lumbar_target_chance: float = 1.0
    """Probability that L1 or L2, whichever vertebra it is, lies wholly in the scan."""
    alternatives: tuple[Reading, ...] = ()
    """Other ways of naming worth telling, likeliest first."""


@dataclass(frozen=True, slots=True, eq=False)
class VertebraSeed:
    """A vertebra found and named, not yet delineated."""

    level: str
    confidence: float
    """That the name is right, 0 to 1."""
    frame: Frame
    """Centre within a few mm of the body centroid; axes within about 10 degrees."""
    height_mm: float
    """Distance between the neighbouring disc centres, less the disc: approximate body height."""
    width_mm: float
    depth_mm: float
    complete: bool
    """False when the scan ends in it."""
    at_end: bool = False
    """The scan seems to end in it, by a rough place: if its outline shows otherwise it is complete all the same."""


@dataclass(frozen=True, slots=True, eq=False)
class SpineMap:
    """All vertebrae found, head to foot."""

    seeds: tuple[VertebraSeed, ...]
    assignment: LevelAssignment
    canal_centres_lps_mm: NDArray[np.float64]
    """(n, 3): centre of the spinal canal, head to foot."""


@dataclass(frozen=True, slots=True)
class Heights:
    """Body heights between the outer endplate surfaces in the mid-sagittal plane, with their end points."""

    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    points_lps_mm: tuple[Point, Point, Point, Point, Point, Point]
    """Anterior superior and inferior, middle superior and inferior, posterior superior and inferior."""
    standard_errors_mm: tuple[float, float, float] = (0.8, 0.8, 0.8)
    """Of the anterior, middle and posterior height: larger where an endplate is hidden or slices are thick."""


@dataclass(frozen=True, slots=True)
class SideHeights:
    """The three heights in a sagittal plane a quarter of the body's width to one side of the middle."""

    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    standard_errors_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Contour:
    """More of a body's shape than its six points; ``None`` where it cannot be read reliably."""

    right: SideHeights | None = None
    left: SideHeights | None = None
    superior_depression_mm: float | None = None
    """Greatest depth of the endplate below the line between its rims, in the three sagittal planes."""
    inferior_depression_mm: float | None = None
    posterior_bulge_mm: float | None = None
    """How far the posterior wall stands out behind the line between its corners; usually it is hollow (negative)."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """Of body heights: measured, and what is expected of this level in this patient."""

    wedge: float
    """Anterior to posterior."""
    biconcave: float
    """Middle to posterior."""
    crush: float | None
    """Posterior to what the patient's other vertebrae suggest; ``None`` with fewer than two of them."""
    expected_wedge: float
    expected_biconcave: float


@dataclass(frozen=True, slots=True)
class Deformity:
    """A candidate for review, never a diagnosis (Genant 1993 grades: 20, 25, 40 % loss)."""

    type: Literal["none", "wedge", "biconcave", "crush"]
    loss_percent: float
    genant_grade: Literal[0, 1, 2, 3]
    confidence: float
    """That the loss is on the stated side of 20 %."""
    ratios: Ratios | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Vertebra:
    """A vertebra found, named and delineated."""

    level: str
    confidence: float
    complete: bool
    frame: Frame
    body: Mask
    """The vertebral body without posterior elements."""
    heights: Heights | None
    """None where the body is incomplete or its endplates cannot be seen."""
    deformity: Deformity | None
    contour: Contour | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Voi:
    """The trabecular volume of interest of one vertebra, and its attenuation."""

    mask: Mask
    centre_lps_mm: Point
    volume_mm3: float
    hu_mean: float
    hu_sd: float
    standard_error_hu: float
    """Of the mean: noise (correlated) and sensitivity to ±1 mm shifts, 1 sigma."""
    exclusion: str | None
    """Why this vertebra must not enter a mean (fracture, metal, cement, lesion, ...); None when it may."""
    exclusion_message: str | None = None
    noise_error_hu: float = 0.0
    """The part of ``standard_error_hu`` that is image noise."""
    hu_median: float = float("nan")
    """Of all that lies in the VOI, what is left out of the mean included; so are the next two."""
    hu_trimmed_mean: float = float("nan")
    """Of the middle 80 %."""
    hu_quartiles: tuple[float, float] = (float("nan"), float("nan"))
    local_quartiles_apart_hu: float = float("nan")
    """Distance of the quartiles of averages over 4 mm: large where a lesion fills a part, whatever the noise."""
    dense_part: float = 0.0
    """Of the VOI, left out of the mean as much denser than the rest: bone island, sclerosis."""
    sparse_part: float = 0.0
    """Likewise as much less dense: vessel, Schmorl's node, lysis, fat, gas."""

    @property
    def placement_error_hu(self) -> float:
        """The part of ``standard_error_hu`` that is sensitivity to shifts of ±1 mm."""
        return float(max(self.standard_error_hu**2 - self.noise_error_hu**2, 0.0) ** 0.5)


RELIABLE_SLICE_MM = 3.0
"""Reformats of thicker slices are not reliable for fractures."""


@dataclass(frozen=True, slots=True, eq=False)
class Reformat:
    """A stack of parallel images through the volume, in patient coordinates."""

    name: Literal["sagittal"]
    hu: NDArray[np.int16]
    """(images, rows, columns), read-only."""
    affine_lps_mm: NDArray[np.float64]
    """(4, 4): (image, row, column, 1) → LPS mm."""
    thickness_mm: float
    """Thickness that each image averages."""
    slice_mm: float = 0.0
    """Thickness or spacing of the slices it was made from, whichever is larger; 0 where it is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class CurvedReformat:
    """Images bent along the vertebral column: no plane, so no position and orientation in the sense of DICOM.

    Pixel (row, column) of the middle image shows the point
    ``centres_lps_mm[row] + (first_mm + column * pixel_mm) * along_lps[row]``.
    """

    name: Literal["curved-sagittal", "curved-coronal"]
    hu: NDArray[np.int16]
    """(images, rows, columns), read-only; rows from head to foot."""
    pixel_mm: float
    """Along the columns, and along the column's curve down the rows."""
    thickness_mm: float
    """Thickness that each image averages, and distance between images."""
    centres_lps_mm: NDArray[np.float64]
    """(rows, 3): where the curve passes."""
    along_lps: NDArray[np.float64]
    """(rows, 3): unit vectors along the columns: toward the back, or toward the left."""
    across_lps: NDArray[np.float64]
    """(rows, 3): unit vectors from one image to the next: toward the left, or toward the back."""
    first_mm: float
    """Place of the first column from the curve; negative."""
    slice_mm: float = 0.0

    def lps_mm(self, row_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """(row, column) (..., 2), whole rows, of the middle image → LPS mm (..., 3)."""
        row = np.asarray(row_column[..., 0], dtype=np.intp)
        place = self.first_mm + np.asarray(row_column[..., 1], dtype=np.float64) * self.pixel_mm
        points: NDArray[np.float64] = self.centres_lps_mm[row] + place[..., None] * self.along_lps[row]
        return points

    def pixel(self, lps_mm: NDArray[np.float64]) -> tuple[float, float]:
        """(row, column) of the pixel of the middle image that is nearest to a point, seen along ``across``."""
        offset = np.asarray(lps_mm, dtype=np.float64) - self.centres_lps_mm
        down = np.cross(self.across_lps, self.along_lps)
        row = int(np.argmin(np.abs(np.einsum("ra,ra->r", offset, down))))
        return float(row), (float(offset[row] @ self.along_lps[row]) - self.first_mm) / self.pixel_mm
