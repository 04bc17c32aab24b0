"""The tables of ``node.toml`` and of a phantom file. Defaults live in ``node.domain.settings``."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from node.config.rules import Rule, Scanner
from node.config.tables import (
    AeTitle,
    Fraction,
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
    AssemblySettings,
    CalibrationLimits,
    CategoryLimits,
    Destination,
    LevelLimits,
    ReceiverSettings,
    RetryPolicy,
    Sender,
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
        omit=("ae_title", "port", "spool", "senders"),
        bind=Annotated[str, AfterValidator(_bindable)],
        max_associations=Annotated[int, Field(ge=1, le=1000)],
        network_timeout_s=Positive,
        disk_reserve_mb=NotNegative,
    ),
    fields_of(AssemblySettings, quiet_period_s=NotNegative, sweep_interval_s=Positive),
)
SENDER = table(
    "sender",
    fields_of(Sender, name=Slug, ae_title=AeTitle | None, host=Annotated[str, AfterValidator(_network)] | None),
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
        timeout_s=Positive,
    ),
    {"retry": (RETRY, RETRY())},
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
        min_sigma_ct=Positive,
        max_sigma_ct=Positive,
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
UNCERTAINTY = table("uncertainty", fields_of(UncertaintySettings, relative=Fraction, absolute_mg_cm3=NotNegative))

TABLES: dict[str, type[Table]] = {
    "node": NODE,
    "measure": MEASURE,
    "calibration": CALIBRATION,
    "voi": VOI,
    "levels": LEVEL_LIMITS,
    "category": CATEGORY,
    "uncertainty": UNCERTAINTY,
}
"""``[name]``: each may be left out."""
ARRAYS: dict[str, type[Table]] = {
    "senders": SENDER,
    "destinations": DESTINATION,
    "scanners": Scanner,
    "rules": Rule,
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
