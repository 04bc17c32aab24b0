"""Change of bone density since earlier scans, and whether it is more than the method's own scatter.

The least significant change at 95 % confidence is 2.77 · precision error (2.77 = 1.96 · √2; ISCD). Densities are only
compared when they were measured alike: in the same material, by a phantom in both scans, in the same vertebrae and at
the same tube voltage.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from node.domain.findings import Findings
from node.domain.prior import Change, PriorResult
from node.domain.settings import PriorSettings

LEAST_SIGNIFICANT = 2.77
DAYS_A_YEAR = 365.25
LEAST_DAYS = 30
"""Over less time a rate per year says nothing."""


def changes(
    findings: Findings, on: date | None, priors: Sequence[PriorResult], settings: PriorSettings
) -> tuple[Change, ...]:
    """One for each earlier result, newest first; empty where nothing was measured now or the scan has no date."""
    if findings.mean_vbmd_mg_cm3 is None or findings.refusal is not None or on is None:
        return ()
    earlier = sorted((one for one in priors if one.study_date <= on), key=lambda one: one.study_date, reverse=True)
    return tuple(_change(findings, on, one, settings) for one in earlier)


def _change(findings: Findings, on: date, prior: PriorResult, settings: PriorSettings) -> Change:
    reasons = _differences(findings, prior)
    now, before = findings.mean_vbmd_mg_cm3, prior.mean_vbmd_mg_cm3
    if reasons or now is None or before is None:
        return Change(prior, tuple(reasons))
    difference = now - before
    percent = 100.0 * difference / before if before > 0 else None
    days = (on - prior.study_date).days
    rate = percent * DAYS_A_YEAR / days if percent is not None and days >= LEAST_DAYS else None
    least = LEAST_SIGNIFICANT * settings.precision_error_percent / 100.0 * abs(now + before) / 2.0
    return Change(prior, (), difference, percent, rate, least, abs(difference) > least)


def _differences(findings: Findings, prior: PriorResult) -> list[str]:
    """Why the two must not be compared, as sentences."""
    line = findings.calibration
    reasons = []
    if prior.mean_vbmd_mg_cm3 is None:
        reasons.append("the earlier scan has no mean density")
    if line is not None and prior.material != line.material:
        reasons.append(f"the earlier density is in {prior.material}, this one in {line.material} equivalents")
    if prior.asynchronous or (line is not None and line.kind == "asynchronous"):
        reasons.append("not both scans hold a phantom")
    if prior.mean_levels and set(prior.mean_levels) != set(findings.mean_levels):
        reasons.append(
            f"the earlier mean is of {', '.join(prior.mean_levels)}, this one of {', '.join(findings.mean_levels)}"
        )
    kvp = findings.header.kvp
    if prior.kvp is not None and kvp is not None and abs(prior.kvp - kvp) > 0.5:
        reasons.append(f"the earlier scan was made at {prior.kvp:g} kVp, this one at {kvp:g} kVp")
    return reasons
