"""What is known about a synthetic case, all in LPS mm and in the units of its phantom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from node.domain.phantom import Material, PhantomModel
from node.domain.volume import OUTSIDE_FIELD_HU, SourceImage, Volume
from node.synthetic.scanner import outside_circle
from node.synthetic.spec import TorsoSpec

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class LevelTruth:
    """One vertebra."""

    level: str
    label: int
    """In the label array; + 100 for the posterior elements."""
    visible: Literal["full", "partial", "none"]
    """How much of the body the scan holds."""
    centre_lps_mm: Point
    """Centroid of the vertebral body."""
    left: Point
    posterior: Point
    superior: Point
    """Unit vectors of the vertebra's own axes."""
    width_mm: float
    depth_mm: float
    vbmd_k2hpo4_mg_cm3: float
    """Mean density of the central trabecular region (an elliptic cylinder 9 mm high), without contrast medium."""
    vbmd_mg_cm3: float
    """The same in the phantom's own material (K2HPO4 where there is no phantom): the number to be found."""
    apparent_vbmd_mg_cm3: float
    """As the image shows it, contrast medium included; equals ``vbmd_mg_cm3`` without contrast."""
    trabecular_hu: float
    """Mean attenuation of the central region, free of noise and blur."""
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    """Heights between the outer endplate surfaces in the mid-sagittal plane."""
    points_lps_mm: tuple[Point, Point, Point, Point, Point, Point]
    """End points: anterior superior, anterior inferior, middle superior, ..., as in ``domain.spine.Heights``."""
    deformity: Literal["none", "wedge", "biconcave", "crush"]
    height_loss: float
    """Part of the height lost by the fracture that was asked for."""
    genant_grade: Literal[0, 1, 2, 3]
    has_ribs: bool
    lesion: str | None
    metal: bool
    cement: bool


@dataclass(frozen=True, slots=True)
class RodTruth:
    """One rod of the phantom."""

    name: str
    density_mg_cm3: float
    hu: float
    radius_mm: float
    ends_lps_mm: tuple[Point, Point]
    """Of its axis, lower end first."""

    def at_z(self, z_mm: float) -> Point | None:
        """Where the axis passes a height, ``None`` beyond its ends."""
        (x0, y0, z0), (x1, y1, z1) = self.ends_lps_mm
        t = (z_mm - z0) / (z1 - z0)
        return (x0 + t * (x1 - x0), y0 + t * (y1 - y0), z_mm) if 0.0 <= t <= 1.0 else None


@dataclass(frozen=True, slots=True)
class PhantomTruth:
    """The phantom as it lies."""

    model: PhantomModel
    rods: tuple[RodTruth, ...]
    """In the order of ``model.rods``."""
    base_hu: float
    corners_lps_mm: tuple[Point, ...]
    """Eight corners of the slab."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Everything known about a case."""

    material: Material
    sigma_ct: float
    """HU per mg/cm³ of ``material``."""
    beta_ct: float
    levels: dict[str, LevelTruth]
    """Head to foot; holds levels outside the scan too (``visible`` "none")."""
    phantom: PhantomTruth | None
    mean_vbmd_mg_cm3: float
    """Of L1 and L2 as the image shows them."""
    rib_pairs: int
    canal_centres_lps_mm: NDArray[np.float64]
    """(n, 3): centre of the spinal canal at each vertebra, head to foot."""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticCase:
    """A scan and what is known about it."""

    spec: TorsoSpec
    hu: NDArray[np.int16]
    """(k, j, i): k toward the head, j toward the back, i toward the left; never flipped for the patient position."""
    labels: NDArray[np.uint8]
    """Same grid: C7 = 7, T1 = 8 … T12 = 19, L1 = 20 … L5 = 24, L6 = 25, S1 = 26, S2 … S5 = 29 … 32.

    Bodies bear these numbers, posterior elements (and the sacrum's wings) the same + 100."""
    affine_lps_mm: NDArray[np.float64]
    """(4, 4): (k, j, i, 1) → LPS."""
    truth: Truth

    def volume(self) -> Volume:
        """The case as the reader of DICOM would hand it on (not for a tilted gantry, which is sheared)."""
        sources = tuple(SourceImage("1.2.840.10008.5.1.4.1.1.2", f"2.25.{n + 1}") for n in range(len(self.hu)))
        hu = self.hu.copy()
        if self.spec.padding_hu is not None:
            hu[:, outside_circle(self.spec.matrix)] = OUTSIDE_FIELD_HU
        return Volume(hu, self.affine_lps_mm.copy(), "2.25.1", sources)
