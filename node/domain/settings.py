"""Parameters handed down in slices: what a site may dispute, each with its default and its reason.

``node.config`` fills these from TOML; the parts that use them never see the configuration itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class CalibrationLimits:
    """When a fit of rod attenuation against density is believed."""

    min_r_squared: float = 0.998
    """An automatic rod reader reached a median of 0.9998 over 1,000 scans (Uemura 2021)."""
    max_abs_beta_ct_hu: float = 15.0
    """Water should read 0 HU; a larger offset is a scanner or a reading fault."""
    max_rms_residual_hu: float = 8.0
    """Of the rods about the fitted line; about 5 mg/cm³."""
    min_sigma_ct: float = 1.0
    max_sigma_ct: float = 2.0
    """HU per mg/cm³: 1.2 to 1.7 between 60 and 75 keV effective energy; HA phantoms read down to 1.1."""


@dataclass(frozen=True, slots=True)
class VoiShape:
    """The trabecular elliptic cylinder."""

    height_mm: float = 9.0
    """Classic mid-vertebral slab of 8 to 10 mm."""
    cortex_margin_mm: float = 3.0
    endplate_margin_mm: float = 3.5
    depth_fraction: float = 0.5
    """Full antero-posterior axis, as a part of the body's depth."""
    width_fraction: float = 0.6
    """Full left-right axis, as a part of the body's width."""
    anterior_shift_fraction: float = 0.06
    """Centre forward of the body centre, as a part of the depth: leaves the basivertebral vein out."""


@dataclass(frozen=True, slots=True)
class CategoryLimits:
    """Categories of the mean of two lumbar vertebrae (PMC7495321, table 2: both ends of 80 to 120 are low)."""

    normal_above_mg_cm3: float = 120.0
    osteoporosis_below_mg_cm3: float = 80.0
    material: Literal["K2HPO4"] = "K2HPO4"
    kvp: float = 120.0


@dataclass(frozen=True, slots=True)
class LevelLimits:
    """When a name is believed."""

    min_confidence: float = 0.8
    """Below it the study is refused as ambiguous."""
    min_confidence_in_conflict: float = 0.9
    """The same when two ways of counting put L1 in different places (transitional vertebrae; one spine in six)."""
    targets: tuple[str, ...] = ("L1", "L2")
    substitutes: tuple[str, ...] = ()
    """Levels that may stand in for an unsuitable target, in order of preference."""


@dataclass(frozen=True, slots=True)
class UncertaintySettings:
    """The stated systematic part of the uncertainty."""

    relative: float = 0.015
    """Standard uncertainty as a part of the value: accuracy of simultaneous calibration on the ESP."""
    absolute_mg_cm3: float = 1.5
    """Standard uncertainty in quadrature: positioning, beam hardening, field inhomogeneity."""


Output = Literal["bone-density", "segmentation", "sagittal", "heights"]
"""What a measured series gives: two reports, the segments of the first, the images of the second."""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What is written, and in which form."""

    outputs: tuple[Output, ...] = ("bone-density", "segmentation", "sagittal", "heights")
    sr_class: Literal["comprehensive", "comprehensive-3d"] = "comprehensive"
    """SOP class of the reports. Their content is the same; Comprehensive is the older and the wider accepted."""


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """Everything that the measurement itself can be told."""

    calibration: CalibrationLimits = field(default_factory=CalibrationLimits)
    voi: VoiShape = field(default_factory=VoiShape)
    levels: LevelLimits = field(default_factory=LevelLimits)
    category: CategoryLimits = field(default_factory=CategoryLimits)
    uncertainty: UncertaintySettings = field(default_factory=UncertaintySettings)


@dataclass(frozen=True, slots=True)
class Sender:
    """A scanner that may store here. ``None`` matches anything."""

    name: str
    ae_title: str | None = None
    host: str | None = None
    """Address or network (192.0.2.7, 192.0.2.0/24)."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """The door in."""

    ae_title: str
    port: int
    spool: Path
    bind: str = "0.0.0.0"
    senders: tuple[Sender, ...] = ()
    open_to_all: bool = False
    """Accept any sender: for tests only, said so in the log."""
    max_associations: int = 24
    network_timeout_s: float = 60.0
    """An association without traffic for this long is aborted."""
    disk_reserve_mb: float = 1024.0
    """Below this much free space objects are answered A700 (out of resources)."""


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """When a study counts as complete."""

    quiet_period_s: float = 60.0
    """No instance of the study for this long (the default of comparable routers)."""
    sweep_interval_s: float = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with jitter."""

    first_delay_s: float = 15.0
    factor: float = 2.0
    max_delay_s: float = 1800.0
    give_up_after_s: float = 7 * 86400.0
    """A week: a long weekend with the PACS down loses nothing."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A PACS that results are stored to."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str | None = None
    """``None``: the node's own."""
    timeout_s: float = 30.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """Limits of one measurement, which runs in a child process of its own."""

    concurrency: int = 1
    time_limit_s: float = 300.0
    memory_limit_mb: float = 6144.0
    attempts: int = 2
