"""The tables of ``node.toml`` and of a phantom file. Defaults live in ``node.domain.settings``."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from node.config.rules import Rule, Scanner
from node.config.tables import (
    AeTitle,
    Fraction,
    NotEmpty,
    NotNegative,
    Port,
    Positive,
    Slug,
    Strings,
    Table,
    Text,
    fields_of,
    table,
)
from node.domain.phantom import PhantomModel, RodModel
from node.domain.settings import (
    AdminSettings,
    AlarmSettings,
    ArchiveSettings,
    AssemblySettings,
    AuditSettings,
    CalibrationLimits,
    CategoryLimits,
    ConfounderPolicies,
    DeliverySettings,
    Destination,
    FractureLimits,
    LevelLimits,
    OnnxModel,
    Output,
    PageSettings,
    PriorSettings,
    Proof,
    QualitySettings,
    ReceiverSettings,
    ReformatSettings,
    ReportSettings,
    RetentionSettings,
    RetryPolicy,
    SegmenterSettings,
    Sender,
    SuitabilityLimits,
    TlsSettings,
    TotalSegmentatorSettings,
    UncertaintySettings,
    VoiShape,
    WorkSettings,
)
from node.domain.spine import LEVELS

DEFAULT_STATE = "/var/lib/vbmd-node"


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(f'"{value}" is not an address (192.0.2.7) or network (192.0.2.0/24)') from error
    return value


def _host(value: str) -> str:
    if not value or any(character.isspace() or character in "/:@" for character in value.replace("::", "")):
        raise ValueError(f'"{value}" is not a host name or address (the port is a key of its own)')
    return value


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")) or "@" in value:
        raise ValueError(f'"{value}" is not the root of a web service (https://host/dicom-web, without a password)')
    return value.rstrip("/")


def _bindable(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise ValueError(f'"{value}" is not an address of this machine (0.0.0.0 for all)') from error
    return value


def _level(value: str) -> str:
    if value not in LEVELS:
        raise ValueError(f'"{value}" is not a vertebra: {LEVELS[0]} to {LEVELS[-1]}')
    return value


Level = Annotated[str, AfterValidator(_level)]
Levels = Annotated[tuple[Level, ...], Field(strict=False)]
Density = Annotated[float, Field(ge=-1000, le=3000)]
Side = Annotated[int, Field(ge=8, le=512)]


NODE = table(
    "node",
    {
        "ae_title": (AeTitle, "VBMD_NODE"),
        "port": (Port, 11112),
        "state": (Text, DEFAULT_STATE),
        "spool": (Text | None, None),
        "database": (Text | None, None),
    },
    fields_of(
        ReceiverSettings,
        omit=("ae_title", "port", "spool", "senders", "reporters", "tls"),
        bind=Annotated[str, AfterValidator(_bindable)],
        max_associations=Annotated[int, Field(ge=1, le=1000)],
        network_timeout_s=Positive,
        disk_reserve_mb=NotNegative,
        disk_watermark=Annotated[float, Field(gt=0, le=1)],
        max_object_mb=Positive,
    ),
    fields_of(AssemblySettings, quiet_period_s=NotNegative, sweep_interval_s=Positive),
)
SENDER = table(
    "sender",
    fields_of(
        Sender,
        name=Slug,
        ae_title=AeTitle | None,
        host=Annotated[str, AfterValidator(_network)] | None,
        called_ae_title=AeTitle | None,
        answer_ae_title=AeTitle | None,
        answer_host=Annotated[str, AfterValidator(_host)] | None,
        answer_port=Port | None,
    ),
)
TLS = table(
    "tls",
    fields_of(TlsSettings, omit=("certificate", "key", "authorities"), port=Port | None),
    {"certificate": (Text | None, None), "key": (Text | None, None), "authorities": (Text | None, None)},
)
RETRY = table(
    "retry",
    fields_of(
        RetryPolicy,
        first_delay_s=Positive,
        factor=Annotated[float, Field(ge=1)],
        max_delay_s=Positive,
        give_up_after_s=Positive,
    ),
)
DESTINATION = table(
    "destination",
    fields_of(
        Destination,
        omit=("retry",),
        name=Slug,
        ae_title=AeTitle,
        host=Annotated[str, AfterValidator(_host)],
        port=Port,
        calling_ae_title=AeTitle | None,
        outputs=Annotated[tuple[Output, ...], Field(strict=False)],
        timeout_s=Positive,
        url=Annotated[str, AfterValidator(_url)] | None,
        proof=Annotated[tuple[Proof, ...], Field(strict=False)],
        proof_delay_s=NotNegative,
        user=Text | None,
        password_variable=Text | None,
    ),
    {"retry": (RETRY, RETRY())},
)
DELIVERY = table("delivery", fields_of(DeliverySettings))
ADMIN = table("admin", fields_of(AdminSettings, port=Port | None, bind=Annotated[str, AfterValidator(_bindable)]))
ALARMS = table(
    "alarms",
    fields_of(
        AlarmSettings,
        interval_s=Positive,
        quiet_series=NotNegative,
        quiet_least_h=NotNegative,
        overdue_h=NotNegative,
        disk_free_part=Fraction,
        refused_part=Fraction,
        refused_least=Annotated[int, Field(ge=1)],
        clock_skew_s=NotNegative,
        waiting_h=NotNegative,
    ),
)
RETENTION = table(
    "retention",
    fields_of(
        RetentionSettings,
        inputs_days=NotNegative,
        results_days=NotNegative,
        history_days=NotNegative,
        disk_used_part=Fraction,
        interval_h=Positive,
    ),
)
AUDIT = table(
    "audit", fields_of(AuditSettings, host=Annotated[str, AfterValidator(_host)] | None, port=Port, source=Text)
)
MEASURE = table(
    "measure",
    fields_of(
        WorkSettings,
        concurrency=Annotated[int, Field(ge=1, le=64)],
        time_limit_s=Positive,
        memory_limit_mb=Annotated[float, Field(ge=512)],
        attempts=Annotated[int, Field(ge=1, le=10)],
    ),
    {"phantoms": (Strings, ())},
)
CALIBRATION = table(
    "calibration",
    fields_of(
        CalibrationLimits,
        min_r_squared=Fraction,
        max_abs_beta_ct_hu=Positive,
        max_rms_residual_hu=Positive,
        max_left_out_shift_mg_cm3=Positive,
        min_sigma_ct=Positive,
        max_sigma_ct=Positive,
        sigma_ct_margin=NotNegative,
        slope_cv_warning_percent=Positive,
        max_slope_cv_percent=Positive,
    ),
)
VOI = table(
    "voi",
    fields_of(
        VoiShape,
        height_mm=Annotated[float, Field(gt=0, le=30)],
        cortex_margin_mm=Annotated[float, Field(ge=0, le=10)],
        endplate_margin_mm=Annotated[float, Field(ge=0, le=10)],
        depth_fraction=Annotated[float, Field(gt=0, le=1)],
        width_fraction=Annotated[float, Field(gt=0, le=1)],
        anterior_shift_fraction=Annotated[float, Field(ge=-0.3, le=0.3)],
        slice_margin_mm=Annotated[float, Field(ge=0, le=10)],
        outlier_margin_mm=Annotated[float, Field(ge=0, le=10)],
    ),
)
SUITABILITY = table(
    "suitability",
    fields_of(
        SuitabilityLimits,
        fracture_grade=Annotated[int, Field(ge=1, le=3)],
        fracture_confidence=Fraction,
        dense_part=Fraction,
        sparse_part=Fraction,
        neighbour_part=Positive,
        neighbour_hu=NotNegative,
        uneven=Annotated[float, Field(gt=1)],
        min_outlier_hu=Positive,
        max_outlier_hu=Positive,
        min_edge_hu=Positive,
        metal_mm3=Positive,
        metal_reach_mm=NotNegative,
        metal_streaks_mm=NotNegative,
        cement_hu=Positive,
        cement_mm3=Positive,
        min_voi_mm3=NotNegative,
    ),
)
FRACTURES = table(
    "fractures",
    fields_of(
        FractureLimits,
        prevalence=Annotated[float, Field(gt=0, lt=1)],
        candidate_from=Annotated[float, Field(gt=0, lt=1)],
        worst_error_part=Positive,
        depression_mm=Positive,
        bulge_mm=Positive,
    ),
)
LEVEL_LIMITS = table(
    "levels",
    fields_of(
        LevelLimits, min_confidence=Fraction, min_confidence_in_conflict=Fraction, targets=Levels, substitutes=Levels
    ),
)
CATEGORY = table(
    "category",
    fields_of(CategoryLimits, normal_above_mg_cm3=Positive, osteoporosis_below_mg_cm3=Positive, kvp=Positive),
)
UNCERTAINTY = table(
    "uncertainty",
    fields_of(
        UncertaintySettings,
        relative=Fraction,
        absolute_mg_cm3=NotNegative,
        rod_scatter_hu=NotNegative,
        placement_mm=Annotated[float, Field(ge=0, le=5)],
        asynchronous_relative=Fraction,
        asynchronous_absolute_mg_cm3=NotNegative,
        native_estimate_relative=Fraction,
    ),
)
CONFOUNDERS = table(
    "confounders",
    fields_of(
        ConfounderPolicies,
        contrast_aorta_hu=Positive,
        off_centre_mm=Positive,
        metal_mm3=Positive,
        truncated_part=Fraction,
        thick_slices_mm=Positive,
        noise_mg_cm3=Positive,
    ),
)
QUALITY = table(
    "qa",
    {"phantoms": (Strings, ())},
    fields_of(
        QualitySettings,
        interval_days=NotNegative,
        reminder_interval_h=Positive,
        baseline_scans=Annotated[int, Field(ge=3, le=100)],
        sd_limit=Positive,
        cusum_k=NotNegative,
        cusum_h=Positive,
        min_sd_density_mg_cm3=NotNegative,
        min_sd_slope_percent=NotNegative,
        min_sd_intercept_hu=NotNegative,
        asynchronous_validity_days=NotNegative,
        asynchronous_scans=Annotated[int, Field(ge=1, le=100)],
        cross_calibration_validity_days=NotNegative,
    ),
)


def _orientation(value: str) -> str:
    if len(value) != 3 or any(len(set(value) & set(pair)) != 1 for pair in ("LR", "AP", "SI")):
        raise ValueError(f'"{value}" is no orientation: one letter for each axis, of L/R, A/P and S/I, as in SPL')
    return value


def _labelled(value: dict[str, str]) -> dict[str, str]:
    for number, name in value.items():
        if not number.isdecimal() or int(number) == 0:
            raise ValueError(f'"{number}" is not a label: a whole number above 0')
        if not re.fullmatch(r"(vertebrae_)?([CTL]\d{1,2}|S1|body)|sacrum|rib_(left|right)_\d{1,2}", name):
            raise ValueError(f'"{name}" is nothing that is known: a vertebra (L1), body, sacrum or rib_left_12')
    if not any(re.fullmatch(r"(vertebrae_)?[CTL]\d{1,2}", name) for name in value.values()):
        raise ValueError("no vertebra is named")
    return value


REFORMAT = table(
    "reformat",
    fields_of(
        ReformatSettings,
        thickness_mm=Annotated[float, Field(ge=2, le=3)],
        least_images=Annotated[int, Field(ge=7, le=15)],
        most_images=Annotated[int, Field(ge=7, le=15)],
        pixel_mm=Annotated[float, Field(ge=0.4, le=1)],
        curved_images=Annotated[int, Field(ge=1, le=15)],
    ),
)

REPORT = table("report", fields_of(ReportSettings, omit=("outputs", "only")))
PRIORS = table(
    "priors",
    fields_of(PriorSettings, precision_error_percent=Annotated[float, Field(gt=0, le=20)]),
    {"archive": (Slug | None, None)},
    fields_of(
        ArchiveSettings,
        max_age_years=Positive,
        max_studies=Annotated[int, Field(ge=1, le=50)],
        time_limit_s=Positive,
        rest_s=NotNegative,
    ),
    {
        "ae_title": (AeTitle | None, None),
        "host": (Annotated[str, AfterValidator(_host)] | None, None),
        "port": (Port | None, None),
        "calling_ae_title": (AeTitle | None, None),
        "tls": (bool, False),
        "tls_check_host": (bool, True),
    },
)
PAGE = table(
    "page",
    fields_of(
        PageSettings,
        font=Text | None,
    ),
)

Millimetres = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]
Task = Literal["total", "vertebrae_pp", "vertebrae_pp_refined", "vertebrae_body"]
TOTALSEGMENTATOR = table(
    "totalsegmentator",
    fields_of(
        TotalSegmentatorSettings,
        command=Text,
        weights=Text | None,
        tasks=Annotated[tuple[Task, ...], Field(strict=False), NotEmpty],
        device=Annotated[str, Field(pattern=r"^(cpu|gpu(:\d+)?|mps)$")],
    ),
)
SEGMENTER = table(
    "segmenter",
    fields_of(
        SegmenterSettings,
        omit=("totalsegmentator", "models"),
        use=Slug,
        beside=Strings,
        timeout_s=Positive,
        trust=Annotated[float, Field(gt=0.5, lt=1)],
    ),
    {"totalsegmentator": (TOTALSEGMENTATOR, TOTALSEGMENTATOR())},
)
MODEL = table(
    "model",
    fields_of(
        OnnxModel,
        name=Slug,
        file=Text,
        spacing_mm=Millimetres,
        labels=Annotated[dict[str, str], AfterValidator(_labelled)],
        orientation=Annotated[str, AfterValidator(_orientation)],
        window_hu=Annotated[tuple[float, float], Field(strict=False)],
        scale_hu=Positive,
        patch=Annotated[tuple[Side, Side, Side], Field(strict=False)],
        overlap=Annotated[float, Field(ge=0, le=0.9)],
        input=Text | None,
        output=Text | None,
    ),
)

TABLES: dict[str, type[Table]] = {
    "node": NODE,
    "tls": TLS,
    "measure": MEASURE,
    "calibration": CALIBRATION,
    "voi": VOI,
    "suitability": SUITABILITY,
    "fractures": FRACTURES,
    "levels": LEVEL_LIMITS,
    "category": CATEGORY,
    "uncertainty": UNCERTAINTY,
    "qa": QUALITY,
    "confounders": CONFOUNDERS,
    "segmenter": SEGMENTER,
    "reformat": REFORMAT,
    "page": PAGE,
    "priors": PRIORS,
    "report": REPORT,
    "delivery": DELIVERY,
    "admin": ADMIN,
    "alarms": ALARMS,
    "retention": RETENTION,
    "audit": AUDIT,
}
"""``[name]``: each may be left out."""
ARRAYS: dict[str, type[Table]] = {
    "senders": SENDER,
    "destinations": DESTINATION,
    "scanners": Scanner,
    "rules": Rule,
    "models": MODEL,
}
"""``[[name]]``: any number of each, in order."""

ROD = table("rod", fields_of(RodModel, name=Text, density_mg_cm3=Density, water_density_mg_cm3=Positive | None))
PHANTOM = table(
    "phantom",
    {"id": (Slug | None, None), "rods": (Annotated[tuple[ROD, ...], Field(strict=False)], ...)},  # type: ignore[valid-type]
    fields_of(
        PhantomModel,
        omit=("id", "rods", "serial"),
        model=Text,
        rod_diameter_mm=Positive | None,
        rod_pitch_mm=Positive | None,
        slab_width_mm=Positive | None,
        slab_thickness_mm=Positive | None,
        slab_length_mm=Positive | None,
        base_density_mg_cm3=Density | None,
        certificate_date=Text | None,
        tolerance_mm=Positive | None,
    ),
    {"serial": (Text | None, None)},
    {"geometry": (Literal["published", "partly published", "measured", "not published"] | None, None)},
    {"source": (Text | None, None), "note": (Annotated[str, Field(max_length=2000)] | None, None)},
)
"""``phantoms/<id>.toml``; ``geometry``, ``source`` and ``note`` are for the reader of the file."""
