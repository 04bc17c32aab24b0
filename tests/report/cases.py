"""Every kind of output, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from node.domain.findings import Findings, Refusal
from node.domain.volume import Volume
from tests.report import fixtures
from tests.report.conftest import Written


def _measured(written: Written) -> tuple[Findings, Volume | None]:
    stored, volume = written
    return fixtures.findings(volume, stored), volume


def _warned(written: Written) -> tuple[Findings, Volume | None]:
    stored, volume = written
    return fixtures.warned(volume, stored), volume


def _refused_with_levels(written: Written) -> tuple[Findings, Volume | None]:
    stored, volume = written
    return fixtures.refused(volume, stored), volume


def _refused_unread(written: Written) -> tuple[Findings, Volume | None]:
    return fixtures.refused(None, written[0]), None


def _refused_calibration(written: Written) -> tuple[Findings, Volume | None]:
    """The phantom was found but its line is bad: it stays in the report as evidence."""
    stored, volume = written
    refusal = Refusal("poor-calibration", "r² is 0.91; 0.998 is needed.", {"r_squared": 0.91})
    found = fixtures.refused(volume, stored)
    return replace(found, refusal=refusal, phantom=fixtures.phantom(volume)), volume


def _no_l1(written: Written) -> tuple[Findings, Volume | None]:
    """L1 was not found to be measurable and has neither VOI nor density; L2 alone remains."""
    stored, volume = written
    found = fixtures.findings(volume, stored)
    return (
        replace(
            found,
            vertebrae=tuple(v for v in found.vertebrae if v.level != "L1"),
            vois={"L2": found.vois["L2"]},
            densities={"L2": found.densities["L2"]},
            mean_vbmd_mg_cm3=found.densities["L2"].vbmd_mg_cm3,
            mean_levels=("L2",),
        ),
        volume,
    )


CASES: dict[str, Callable[[Written], tuple[Findings, Volume | None]]] = {
    "measured": _measured,
    "warned, HA phantom": _warned,
    "without L1": _no_l1,
    "refused, levels found": _refused_with_levels,
    "refused, poor calibration": _refused_calibration,
    "refused, never read": _refused_unread,
}
