"""Calibration phantoms, what is read from them, and the calibration that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Material = Literal["K2HPO4", "CaHA", "CaCO3"]
CalibrationKind = Literal["simultaneous", "asynchronous"]
"""From a phantom in the same scan, or from other scans on the same scanner."""


@dataclass(frozen=True, slots=True)
class RodModel:
    """One rod as its certificate describes it."""

    name: str
    density_mg_cm3: float
    """Equivalent density of the phantom's material (may be negative for K2HPO4-equivalent rods)."""
    water_density_mg_cm3: float | None = None
    """Water-equivalent density; only for K2HPO4-equivalent (Mindways) rods."""


@dataclass(frozen=True, slots=True)
class PhantomModel:
    """One physical phantom: a file ``config/phantoms/<id>.toml``. Unknown geometry is ``None``."""

    id: str
    model: str
    serial: str | None
    material: Material
    rods: tuple[RodModel, ...]
    """In order across the slab (left to right or mirrored: the detector accepts both)."""
    rod_diameter_mm: float | None = None
    rod_pitch_mm: float | None = None
    slab_width_mm: float | None = None
    slab_thickness_mm: float | None = None
    slab_length_mm: float | None = None
    base_density_mg_cm3: float | None = None
    """Density of the base plate where it is itself a standard (Chinese four-point slab: 0)."""
    certificate_date: str | None = None
    kind: Literal["patient", "qa"] = "patient"
    """A QA phantom is measured, never used to calibrate a patient's scan."""
    nominal: bool = False
    """Catalogue values, not the certificate of the phantom that lies there: a certificate that fits as well wins."""
    shape: Literal["flat", "curved", "torso"] | None = None
    """Of the plate that holds the rods, where it is known."""
    tolerance_mm: float | None = None
    """How far the stated dimensions may be off; ``None``: as far as the detector allows by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class RodReading:
    """One rod as read from the scan."""

    rod: RodModel
    hu_mean: float
    hu_sd: float
    """Standard deviation of the single voxels used."""
    voxels: int
    centre_lps_mm: tuple[float, float, float]
    """Centre of the part of the rod that was read."""
    radius_mm: float
    slice_centres_lps_mm: NDArray[np.float64]
    """Shape (n, 3): rod centre in each slice used."""
    slice_hu_mean: NDArray[np.float64]
    """Shape (n,): mean of each slice used."""
    slices_excluded: int = 0
    """Slices along the rod that were left out: ends, artefacts, bubbles."""


@dataclass(frozen=True, slots=True, eq=False)
class PhantomFit:
    """The phantom that was found, and its rods."""

    phantom: PhantomModel
    rods: tuple[RodReading, ...]
    """In the order of ``phantom.rods``; a readable base plate comes last, as a rod named "base"."""
    confidence: float
    evidence: str
    """How it was found and why it is this one, in a sentence."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the other rods say about one rod (leave-one-rod-out)."""

    rod: str
    residual_hu: float
    """Its attenuation less that predicted by the line through the others."""
    shift_mg_cm3: float
    """How far a density of 100 mg/cm³ moves when it is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """density_mg_cm3 = (HU − beta_ct) / sigma_ct, in the phantom's own material.

    Only ``imaging.calibration`` makes one, and it refuses a bad fit.
    """

    material: Material
    sigma_ct: float
    """HU per mg/cm³."""
    beta_ct: float
    """HU of zero density."""
    covariance: NDArray[np.float64]
    """(2, 2) of (sigma_ct, beta_ct)."""
    r_squared: float | None
    """Weighted r² of the rods; ``None`` for an asynchronous calibration, which has no rods in the scan."""
    rms_residual_hu: float | None
    residuals_hu: tuple[float, ...]
    """One for each rod of the fit, in its order."""
    kind: CalibrationKind = "simultaneous"
    left_out: tuple[LeftOut, ...] = ()
    """One for each rod where three or more were read, in their order."""
    source: str | None = None
    """Of an asynchronous calibration: what it comes from and until when it holds, in a sentence."""

    def density_mg_cm3(self, hu: float) -> float:
        """Density of a region with mean attenuation ``hu``."""
        return (hu - self.beta_ct) / self.sigma_ct
