"""Parameters handed down in slices: what a site may dispute, each with its default and its reason.

``node.config`` fills these from TOML; the parts that use them never see the configuration itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Output = Literal[
    "bone-density", "segmentation", "sagittal", "heights", "curved", "key-images", "summary", "summary-pdf"
]
"""What a measured series gives: two reports, the segments of the first, the images of the second, and pictures."""


@dataclass(frozen=True, slots=True)
class CalibrationLimits:
    """When a fit of rod attenuation against density is believed."""

    min_r_squared: float = 0.998
    """An automatic rod reader reached a median of 0.9998 over 1,000 scans (Uemura 2021)."""
    max_abs_beta_ct_hu: float = 10.0
    """Water should read 0 HU; acceptance tests of scanners allow ±4 to ±5, and the rods' place at the edge of the
    field some more. A larger offset is a scanner or a reading fault."""
    max_rms_residual_hu: float = 8.0
    """Of the rods about the fitted line; about 5 mg/cm³."""
    max_left_out_shift_mg_cm3: float = 10.0
    """How far 100 mg/cm³ may move when one rod is left out: 5 HU in one of five rods moves it by 1."""
    max_noise_mg_cm3: float = 1.5
    """Standard uncertainty of 100 mg/cm³ from the noise of the rods alone: twice it is the 3 mg/cm³ that QCT is
    accurate to. Noisier rods are no standard."""
    min_sigma_ct: float = 0.9
    max_sigma_ct: float = 2.4
    """HU per mg/cm³ at any tube voltage: 1.2 to 1.7 between 60 and 75 keV effective energy, up to 2.3 at 80 kV; HA
    phantoms read down to 0.9 at 140 kV."""
    sigma_ct_margin: float = 0.05
    """By how much of it ``sigma_ct`` may leave its physical range for the material and the tube voltage."""
    slope_cv_warning_percent: float = 1.0
    """Of ``sigma_ct`` between vertebrae: more may indicate calibration problems (JCAT 1993;17:915)."""
    max_slope_cv_percent: float = 4.0
    """More is refused: at 120 mg/cm³ neighbouring vertebrae would differ by 5 for the calibration alone."""


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
    slice_margin_mm: float = 1.5
    """From the outer face of an endplate (0.4 to 1.2 mm thick) to all that a slice averages: the slices that a VOI is
    read from show spongiosa alone, however thick they are."""
    outlier_margin_mm: float = 1.5
    """From bone islands, vessels, rims of Schmorl's nodes and the like, in the VOI or beside it: the blur of a scan
    spreads their edges."""


@dataclass(frozen=True, slots=True)
class SuitabilityLimits:
    """When a vertebra is left out of the mean."""

    fracture_grade: int = 1
    """Genant grade from which a candidate counts as broken. From the first: a body that has lost a fifth of its height
    holds a quarter more bone in each volume, which is more than the width of a category at 100 mg/cm³."""
    fracture_confidence: float = 0.6
    """Least confidence of such a candidate: grade 1 is within the noise of readers (±12.5 % of the height)."""
    dense_part: float = 0.33
    """Of the VOI, much denser than the rest: more than a bone island, which is left out, takes up."""
    sparse_part: float = 0.2
    """Of the VOI, much less dense: more than a vessel or a Schmorl's node."""
    neighbour_part: float = 0.33
    """By which the spongiosa may differ from what the patient's other vertebrae suggest. Neighbours differ by less than
    10 % (1 SD)."""
    neighbour_hu: float = 40.0
    """The same, where bone is so thin that a part of it means little."""
    uneven: float = 2.0
    """Distance of the quartiles within the VOI against that in the neighbours: coarse strands, as in a haemangioma."""
    min_outlier_hu: float = 80.0
    """Off the bulk of the VOI, averaged over 4 mm: what is left out of its mean deviates by four standard deviations of
    the bulk, this much at least, ..."""
    max_outlier_hu: float = 150.0
    """... and this much at most, however noisy."""
    min_edge_hu: float = 40.0
    """The same limit for what the VOI keeps its distance from: the edge of something, where it stands out from the
    spongiosa's own texture."""
    metal_mm3: float = 40.0
    """Above 2,200 HU (the densest cortex has about 2,000; steel and titanium saturate)."""
    metal_reach_mm: float = 30.0
    """About the body, that metal is looked for in: in the slices of the VOI, ..."""
    metal_streaks_mm: float = 5.0
    """... and so far beyond them: interpolation along a helix and the slices' own profile carry streaks there."""
    cement_hu: float = 700.0
    cement_mm3: float = 400.0
    """In one piece, 3 mm from the surface of the body."""
    min_voi_mm3: float = 400.0
    """A smaller VOI is not representative: a tenth of that of a lumbar vertebra."""


@dataclass(frozen=True, slots=True)
class FractureLimits:
    """When the shape of a vertebral body is a candidate for review."""

    prevalence: float = 0.08
    """Of vertebrae with a deformity, before anything is measured. One older patient in five has a moderate or severe
    one (Williams: 19.8 %), often several, and mild ones are more frequent."""
    candidate_from: float = 0.2
    """Least probability of a loss of 20 % or more: a fracture overlooked weighs about four times a needless review.
    Measured on random synthetic spines: docs/bodies.md."""
    worst_error_part: float = 0.08
    """Of heights that are stated, standard error: a third of the loss that makes a moderate fracture."""
    depression_mm: float = 2.5
    """By which an endplate is deeper than the median of the patient's others: normal ones differ from it by 1.4 mm or
    less in 98 of 100 (docs/bodies.md)."""
    bulge_mm: float = 2.0
    """A posterior wall that stands out so far is convex: healthy ones are flat or hollow."""


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
    """The stated systematic part of the uncertainty, as standard uncertainties."""

    relative: float = 0.015
    """As a part of the value: accuracy of simultaneous calibration on the ESP."""
    absolute_mg_cm3: float = 1.5
    """In quadrature: beam hardening between spine and phantom, field inhomogeneity."""
    rod_scatter_hu: float = 2.0
    """Of rods about their line for reasons other than noise, expected before any is read (certificate, beam
    hardening)."""
    placement_mm: float = 1.0
    """Of the VOI along each of its axes."""
    asynchronous_relative: float = 0.04
    """Instead of ``relative`` where the calibration is asynchronous: errors on the ESP were 1.4 to 6.7 %
    (Wang 2017, PMC5524691)."""
    asynchronous_absolute_mg_cm3: float = 2.0
    """Instead of ``absolute_mg_cm3``, likewise: drift of 0.6 to 2.3 HU a year is not seen (PMC6682570)."""
    native_estimate_relative: float = 0.05
    """Of a native value that is estimated from a scan with contrast medium: spread between patients."""


Policy = Literal["warn", "withhold", "refuse"]


@dataclass(frozen=True, slots=True)
class ConfounderPolicies:
    """What falsifies a density: when it is seen, and what follows (a warning, no category, or a refusal)."""

    kvp: Policy = "withhold"
    """A tube voltage other than ``CategoryLimits.kvp``."""
    contrast: Policy = "withhold"
    """Contrast medium, by the header or by the attenuation of aorta and kidneys."""
    sharp_kernel: Policy = "warn"
    off_centre: Policy = "warn"
    table_height: Policy = "warn"
    metal: Policy = "warn"
    """In the slices of a VOI. A vertebra that holds or touches metal leaves the mean in any case."""
    truncated: Policy = "warn"
    thick_slices: Policy = "warn"
    noise: Policy = "refuse"
    asynchronous: Policy = "warn"
    out_of_control: Policy = "withhold"
    """The quality record says that the scanner's calibration has moved."""
    contrast_aorta_hu: float = 90.0
    """Blood reads 30 to 60 HU without contrast medium (up to 70 at 80 kV), 100 and more with it."""
    off_centre_mm: float = 40.0
    """CT numbers shift by more than 10 HU at 4 cm (AJR.16.17215); one scan in fifty is farther off."""
    min_table_height_mm: float = 60.0
    max_table_height_mm: float = 260.0
    """Table Height (0018,1130), from the centre of rotation down to the table top."""
    metal_mm3: float = 100.0
    """Above 2,200 HU in the slices of a VOI: more than a clip."""
    truncated_part: float = 0.02
    """Of the outline of the body at a VOI that lies on the edge of the field."""
    thick_slices_mm: float = 3.0
    noise_mg_cm3: float = 7.5
    """Expanded uncertainty (k = 2) of the mean from image noise alone: more than a third of the width of a category."""
    native_estimate: bool = False
    """With contrast medium, add what the mean would be without, by the equations of Toelly 2017."""


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
class ReportSettings:
    """What is written, and in which form."""

    outputs: tuple[Output, ...] = (
        "bone-density",
        "segmentation",
        "sagittal",
        "heights",
        "curved",
        "key-images",
        "summary",
    )
    only: Mapping[str, tuple[Output, ...]] = field(default_factory=dict)
    """Destinations that get no more than these; others get all."""
    sr_class: Literal["comprehensive", "comprehensive-3d"] = "comprehensive"
    """SOP class of the reports. Their content is the same; Comprehensive is the older and the wider accepted."""


@dataclass(frozen=True, slots=True)
class PriorSettings:
    """Comparison with earlier results of the patient."""

    enabled: bool = True
    precision_error_percent: float = 1.8
    """Short-term precision in routine scanning with the phantom in place (Bligh 2009, Acad Radiol 16:2)."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The summary page and the labelled images."""

    language: Literal["en", "zh"] = "en"
    font: str | None = None
    """A font file of the site's own, before all others; ``None``: those of the system."""


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """Everything that the measurement itself can be told."""

    calibration: CalibrationLimits = field(default_factory=CalibrationLimits)
    voi: VoiShape = field(default_factory=VoiShape)
    suitability: SuitabilityLimits = field(default_factory=SuitabilityLimits)
    fractures: FractureLimits = field(default_factory=FractureLimits)
    levels: LevelLimits = field(default_factory=LevelLimits)
    category: CategoryLimits = field(default_factory=CategoryLimits)
    uncertainty: UncertaintySettings = field(default_factory=UncertaintySettings)
    confounders: ConfounderPolicies = field(default_factory=ConfounderPolicies)
    priors: PriorSettings = field(default_factory=PriorSettings)
    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    reformat: ReformatSettings = field(default_factory=ReformatSettings)


@dataclass(frozen=True, slots=True)
class Sender:
    """A scanner that may store here. ``None`` matches anything."""

    name: str
    ae_title: str | None = None
    host: str | None = None
    """Address or network (192.0.2.7, 192.0.2.0/24)."""
    called_ae_title: str | None = None
    """By which it calls the node; ``None``: the node's own."""
    tls_only: bool = False
    """Whether it is admitted at the TLS port alone."""
    answer_ae_title: str | None = None
    """The AE that takes storage commitment results, where it is another one than stores; ``None``: ``ae_title``."""
    answer_host: str | None = None
    """Where that AE listens; ``None``: the address that asked."""
    answer_port: int | None = None
    """``None``: results go over the association that asked, and nowhere else."""
    answer_tls: bool = False


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """DICOM over TLS (PS3.15 annex B, the profiles that follow BCP 195)."""

    certificate: Path
    """Of this node, PEM, with its intermediates."""
    key: Path
    """Its private key, PEM, not encrypted."""
    authorities: Path | None = None
    """PEM bundle of those whose certificates are trusted; ``None``: the system's."""
    client_certificates: bool = True
    """Whether who connects must show a certificate."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    port: int | None = None
    """TCP port of the TLS listener; ``None``: TLS only towards destinations."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """The door in."""

    ae_title: str
    port: int
    spool: Path
    bind: str = "0.0.0.0"
    senders: tuple[Sender, ...] = ()
    reporters: tuple[Sender, ...] = ()
    """Archives that are asked for storage commitment: they may call to answer, and store nothing."""
    open_to_all: bool = False
    """Accept any sender: for tests only, said so in the log."""
    max_associations: int = 24
    network_timeout_s: float = 60.0
    """An association without traffic for this long is aborted."""
    disk_reserve_mb: float = 1024.0
    """Below this much free space objects are answered A700 (out of resources)."""
    disk_watermark: float = 0.95
    """Above this part of the disk in use, new associations are rejected as transient: scanners try again."""
    max_object_mb: float = 4096.0
    """An object larger than this ends its association: a length that lies must not fill the memory."""
    tls: TlsSettings | None = None


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """When a study counts as complete."""

    quiet_period_s: float = 60.0
    """No instance of the study for this long (the default of comparable routers)."""
    sweep_interval_s: float = 5.0


Proof = Literal["find", "commitment"]
"""A C-FIND (with STOW-RS: a QIDO-RS search) that finds the object, or a storage commitment for it."""


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
    """An archive that results are stored to."""

    name: str
    ae_title: str = ""
    host: str = ""
    port: int = 0
    calling_ae_title: str | None = None
    """``None``: the node's own."""
    outputs: tuple[Output, ...] = ()
    """What is sent there; empty: all that the rule makes."""
    timeout_s: float = 30.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    kind: Literal["dicom", "stow"] = "dicom"
    """C-STORE, or DICOMweb STOW-RS at ``url``."""
    url: str | None = None
    """Root of the DICOMweb service."""
    tls: bool = False
    """DICOM over TLS, with the node's own certificate."""
    tls_check_host: bool = True
    """Whether the certificate must be made for ``host``."""
    sr_fallback: bool = True
    """Comprehensive 3D SR goes as Comprehensive SR where the former is not accepted."""
    proof: tuple[Proof, ...] = ()
    """What the archive is asked for before a series counts as delivered: all of these."""
    proof_delay_s: float = 5.0
    """How long after the last object it is asked: archives file what they accepted a moment later."""
    user: str | None = None
    password_variable: str | None = None
    """Environment variable that holds the password for ``user``; without a user, a bearer token."""


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """How an archive is asked for the patient's earlier reports."""

    method: Literal["get", "move"] = "get"
    """C-GET over the association that asks, or C-MOVE to the node's own port."""
    max_age_years: float = 10.0
    max_studies: int = 5
    """The latest: a trend needs no more."""
    time_limit_s: float = 20.0
    """For all of it; the measurement goes on without what has not come by then."""
    rest_s: float = 300.0
    """How long an archive that did not answer is not asked again."""


@dataclass(frozen=True, slots=True)
class PriorArchive:
    """The archive that is asked."""

    destination: Destination
    settings: ArchiveSettings = field(default_factory=ArchiveSettings)
    series_descriptions: tuple[str, ...] = ()
    """Of the series that hold this node's reports, by every template that is known."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Sending as a whole."""

    shadow: bool = False
    """Measure and keep, send nothing until it is released."""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The HTTP endpoint: ``/health``, ``/ready`` and ``/metrics``."""

    port: int | None = None
    """``None``: there is none."""
    bind: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """When an operator is told. 0 switches an alarm off."""

    interval_s: float = 30.0
    """How often is looked."""
    quiet_series: float = 8.0
    """A scanner is quiet although so many series usually come in these hours of the week; by chance that happens less
    than once in a thousand times."""
    quiet_least_h: float = 4.0
    """A pause shorter than this is never an alarm."""
    overdue_h: float = 4.0
    """An object that has waited for a destination for so long."""
    disk_free_part: float = 0.15
    """Less than this part of the disk is free."""
    refused_part: float = 0.5
    """So many of the last day's series could not be measured though a rule wanted them."""
    refused_least: int = 10
    """With fewer series than this in a day nothing is said of their rate."""
    clock_skew_s: float = 5.0
    """Between this machine and the database server, or a jump of this machine's clock."""
    waiting_h: float = 2.0
    """A series has waited to be measured for so long."""


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """What is removed, and when; 0: never. What is not yet delivered is never touched."""

    inputs_days: float = 30.0
    """Received images, after the series has come to its end."""
    results_days: float = 0.0
    """Reports, pictures and result of a series, after its end."""
    history_days: float = 0.0
    """Rows and events of a series whose images and results are gone."""
    disk_used_part: float = 0.85
    """Above this part of the disk in use, the inputs of the longest-ended series go before their time."""
    interval_h: float = 1.0
    """How often is looked."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Audit messages (DICOM PS3.15 annex A.5) by syslog (RFC 5424)."""

    host: str | None = None
    """``None``: none are sent."""
    port: int = 514
    transport: Literal["udp", "tcp", "tls"] = "udp"
    """RFC 5426, or octet-counted by RFC 6587 and RFC 5425."""
    source: str = "vbmd-node"
    """Audit Source ID."""


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """Limits of one measurement, which runs in a child process of its own."""

    concurrency: int = 1
    time_limit_s: float = 300.0
    memory_limit_mb: float = 6144.0
    attempts: int = 2


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Quality assurance of the scanners: limits, intervals, validities."""

    interval_days: float = 30.0
    """Between QA scans. Published drift is 0.5 to 2.3 HU a year (PMC6682570): 0.2 HU a month. 0: no reminder."""
    reminder_interval_h: float = 24.0
    """How often an overdue QA scan is logged again."""
    baseline_scans: int = 10
    """QA scans that mean and standard deviation are taken from, before anything is judged."""
    sd_limit: float = 3.0
    """Control limits: mean ± so many standard deviations (Shewhart)."""
    cusum_k: float = 0.5
    """Slack of the cumulative sums in standard deviations: half of the shift to be found, one (Page 1954)."""
    cusum_h: float = 5.0
    """Decision limit of the cumulative sums in standard deviations (Montgomery: 4 or 5)."""
    min_sd_density_mg_cm3: float = 0.5
    """A standard deviation from a few scans may be too small by luck; ESP inserts repeat to 0.36 to 0.86 mg/cm³."""
    min_sd_slope_percent: float = 0.3
    """The same for the slope of the calibration, as a part of its mean."""
    min_sd_intercept_hu: float = 0.5
    """The same for HU: of zero density, and of an insert scanned without a calibration phantom."""
    asynchronous_validity_days: float = 180.0
    """Between the last QA scan and the patient's: at 2.3 HU a year about 1 HU of drift."""
    asynchronous_scans: int = 10
    """A stored calibration is the mean of at most so many QA scans, the last ones."""
    cross_calibration_validity_days: float = 365.0
    """A cross-calibration is repeated at least yearly."""
