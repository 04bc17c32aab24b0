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


@dataclass(frozen=True, slots=True)
class InsertReading:
    """One insert of a QA phantom as read from a scan."""

    name: str
    nominal_mg_cm3: float
    """By its certificate, in the QA phantom's own material."""
    material: Material
    measured_mg_cm3: float | None
    """By the calibration phantom beneath it, in that phantom's material; ``None`` where there was none."""
    hu_mean: float
    hu_sd: float
    """Of single voxels."""
    standard_error_hu: float
    """Of the mean."""
    voxels: int
    centre_lps_mm: tuple[float, float, float]
    length_mm: float
    """Of the part that was read, along z."""


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """What one scan says of its scanner: a patient with a phantom under the back, or a QA phantom with its inserts."""

    kind: Literal["qa", "patient"]
    key: ScannerKey
    scan_date: date
    kernel: str | None
    """Convolution Kernel (0018,1210) as sent."""
    station: str | None
    """Station name and model, for the reader of tables."""
    calibration_phantom: str | None
    """Its id; ``None``: none lay in the scan, and slope and intercept are ``None`` too."""
    material: Material | None
    sigma_ct: float | None
    beta_ct: float | None
    covariance: tuple[tuple[float, float], tuple[float, float]] | None
    """Of (sigma_ct, beta_ct), of this fit alone."""
    rms_residual_hu: float | None
    qa_phantom: str | None = None
    """Its id; ``None`` for a patient."""
    inserts: tuple[InsertReading, ...] = ()
    believed: bool = True
    """Whether the calibration keeps the limits of a patient's; one that does not is charted, never borrowed."""


@dataclass(frozen=True, slots=True)
class RecordedScan:
    """One line of the record."""

    id: int
    """Rises with every line that is added."""
    recorded_at: float
    """Seconds since 1970 (UTC)."""
    series_instance_uid: str
    record: ScanRecord
    excluded: str | None = None
    """Why it does not count; ``None``: it does."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A physicist's word that the cause of every open alarm of a scanner was found and dealt with."""

    id: int
    at: float
    """Seconds since 1970 (UTC)."""
    scanner: str
    resolved_on: date
    after_scan: int
    """Id of the last scan that had been recorded by then."""
    new_baseline: bool
    """Whether limits are to be set anew from the scans that follow (tube replaced, software, phantom)."""
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class QualityRecord:
    """All that has been recorded, oldest first."""

    scans: tuple[RecordedScan, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    cross_calibrations: tuple[CrossCalibration, ...] = ()
