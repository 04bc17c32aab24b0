"""What the record of a scanner's calibrations adds to one measurement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from node.domain.phantom import Material

KernelClass = Literal["standard", "sharp", "unknown"]


@dataclass(frozen=True, slots=True)
class ScannerKey:
    """What a stored calibration is valid for; nothing is ever borrowed across it."""

    scanner: str
    """Device serial number; without one, the station name."""
    kvp: float
    kernel_class: KernelClass


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A calibration of another scan on the same scanner, for a scan without phantom (asynchronous calibration)."""

    key: ScannerKey
    material: Material
    sigma_ct: float
    beta_ct: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    """Of (sigma_ct, beta_ct), from the spread of the record."""
    measured_on: date
    expires_on: date
    scans: int
    """How many scans it is the mean of."""
    source: str
    """Phantom and kind of scan, in a few words."""


@dataclass(frozen=True, slots=True)
class CrossCalibration:
    """K2HPO4-equivalent = slope · density + intercept, found with one insert phantom under both calibrations."""

    key: ScannerKey
    from_material: Material
    slope: float
    intercept_mg_cm3: float
    standard_error_mg_cm3: float
    measured_on: date
    expires_on: date
    source: str


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known about the scanner at the time of the scan. Empty: nothing."""

    asynchronous: StoredCalibration | None = None
    """Only where the rule allows it, and within its validity."""
    cross_calibration: CrossCalibration | None = None
    out_of_control: str | None = None
    """Why the scanner's calibration is out of control, in a sentence; None when it is not."""
