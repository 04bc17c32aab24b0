"""Parameters handed down in slices: what a site may dispute, each with its default and its reason.

``node.config`` fills these from TOML; the parts that use them never see the configuration itself.
"""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class ReformatSettings:
    """The sagittal images and the curved ones."""

    thickness_mm: float = 2.5
    """Slab that each image averages: thinner ones are noisy, thicker ones blur endplates."""
    least_images: int = 9
    most_images: int = 15
    """Of the straight stack; a crooked column gets more, up to this many."""
    pixel_mm: float = 0.9
    """Isotropic; not coarser than 1 mm."""
    curved: bool = True
    """Images bent along the column, too: all vertebrae at once in scoliosis."""
    curved_images: int = 5
    """Of each: the middle of the bodies, and as many at either side."""


@dataclass(frozen=True, slots=True)
class TotalSegmentatorSettings:
    """The public package ``totalsegmentator`` as this site has installed it."""

    command: str = "TotalSegmentator"
    """Program of that name beside the interpreter or on PATH, or its full path: it may live in an environment of its
    own."""
    weights: str | None = None
    """Folder of the installed weights; ``None``: $TOTALSEG_WEIGHTS_PATH, else ~/.totalsegmentator/nnunet/results."""
    tasks: tuple[str, ...] = ("total",)
    """Run one after the other: total, vertebrae_pp, vertebrae_pp_refined (name), vertebrae_body (cuts bodies out)."""
    fast: bool = True
    """Of the task total: its model at 3 mm instead of 1.5 mm."""
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """One trained model in an ONNX file, and how it wants to be fed. Axes are those of its input tensor (D, H, W)."""

    name: str
    file: str
    spacing_mm: tuple[float, float, float]
    labels: Mapping[str, str]
    """Label number → vertebra (L1), "sacrum", "body", "rib_left_12"; numbers that are not listed mean nothing."""
    orientation: str = "SPL"
    """Where each axis runs to, as one letter of L/R, A/P, S/I for each axis."""
    window_hu: tuple[float, float] = (-1024.0, 1024.0)
    """Attenuation is cut to this window first."""
    offset_hu: float = 0.0
    scale_hu: float = 1.0
    """The model is fed (HU - offset) / scale."""
    patch: tuple[int, int, int] = (128, 128, 128)
    overlap: float = 0.5
    """Of neighbouring patches, as a part of their size."""
    input: str | None = None
    """Name of the input tensor; ``None``: the model's only one."""
    output: str | None = None
    """Name of the output tensor: scores (1, labels, D, H, W), or labels (1, 1, D, H, W); ``None``: the only one."""


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    """Which engine finds and names the vertebrae, and which others are asked for a second opinion."""

    use: str = "builtin"
    """builtin, totalsegmentator, or the name of an ONNX model."""
    beside: tuple[str, ...] = ()
    """Engines that run beside it; where they name a vertebra otherwise, its name becomes less sure."""
    timeout_s: float = 180.0
    """For each engine but the built-in one."""
    trust: float = 0.9
    """How often a learned engine is taken to name a vertebra rightly."""
    totalsegmentator: TotalSegmentatorSettings = field(default_factory=TotalSegmentatorSettings)
    models: tuple[OnnxModel, ...] = ()


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The summary page and the labelled images."""

    language: Literal["en", "zh"] = "en"
    font: str | None = None
    """A font file of the site's own, before all others; ``None``: those of the system."""
    forms: tuple[Literal["picture", "pdf"], ...] = ("picture",)
    """A secondary capture, an encapsulated PDF, or both."""


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """Everything that the measurement itself can be told."""

    calibration: CalibrationLimits = field(default_factory=CalibrationLimits)
    voi: VoiShape = field(default_factory=VoiShape)
    levels: LevelLimits = field(default_factory=LevelLimits)
    category: CategoryLimits = field(default_factory=CategoryLimits)
    uncertainty: UncertaintySettings = field(default_factory=UncertaintySettings)
    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    reformat: ReformatSettings = field(default_factory=ReformatSettings)


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
