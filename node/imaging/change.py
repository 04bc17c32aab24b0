"""Change of bone density since earlier scans, and whether it is more than the method's own scatter.

The least significant change at 95 % confidence is 2.77 · precision error (2.77 = 1.96 · √2; ISCD). Densities are only
compared when they were measured alike: in the same material, by a phantom in both scans, in the same vertebrae, at the
same tube voltage, and both with or both without contrast medium. Another kernel, phantom or scanner is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from node.domain.findings import Caution, Findings
from node.domain.prior import Change, Difference, NotComparable, PriorResult
from node.domain.settings import PriorSettings

INCOMPLETE = Caution(
    "priors-incomplete",
    "Prior results could not be looked up, or not all of them: there may be earlier reports that are missing here.",
)
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
    reasons, differences = tuple(_reasons(findings, prior)), tuple(_differences(findings, prior))
    now, before = findings.mean_vbmd_mg_cm3, prior.mean_vbmd_mg_cm3
    if reasons or now is None or before is None:
        return Change(prior, reasons, differences=differences)
    difference = now - before
    percent = 100.0 * difference / before if before > 0 else None
    days = (on - prior.study_date).days
    rate = percent * DAYS_A_YEAR / days if percent is not None and days >= LEAST_DAYS else None
    least = LEAST_SIGNIFICANT * settings.precision_error_percent / 100.0 * abs(now + before) / 2.0
    return Change(prior, (), difference, percent, rate, least, abs(difference) > least, differences)


def _reasons(findings: Findings, prior: PriorResult) -> Iterator[NotComparable]:
    """Why the two must not be compared."""
    line, kvp = findings.calibration, findings.header.kvp
    if prior.mean_vbmd_mg_cm3 is None:
        yield NotComparable("no-mean", "the earlier scan has no mean density")
    if line is not None and prior.material != line.material:
        sentence = f"the earlier density is in {prior.material}, this one in {line.material} equivalents"
        yield NotComparable("material", sentence)
    if prior.asynchronous or (line is not None and line.kind == "asynchronous"):
        yield NotComparable("asynchronous", "not both scans hold a phantom")
    if set(prior.mean_levels) != set(findings.mean_levels):
        before = ", ".join(prior.mean_levels) or "no vertebra that is named"
        sentence = f"the earlier mean is of {before}, this one of {', '.join(findings.mean_levels)}"
        yield NotComparable("levels", sentence)
    if prior.kvp is not None and kvp is not None and abs(prior.kvp - kvp) > 0.5:
        sentence = f"the earlier scan was made at {prior.kvp:g} kVp, this one at {kvp:g} kVp"
        yield NotComparable("kvp", sentence)
    contrast = bool(findings.header.contrast_bolus_agent) or any(one.code == "contrast" for one in findings.cautions)
    if prior.contrast is not None and prior.contrast != contrast:
        sentence = f"contrast medium was given in {'this' if contrast else 'the earlier'} scan only"
        yield NotComparable("contrast", sentence)


def _differences(findings: Findings, prior: PriorResult) -> Iterator[Difference]:
    """What else differs: it moves a density by less than another material or voltage would, but it does."""
    header, fit = findings.header, findings.phantom
    phantom = f"{fit.phantom.model}, serial {fit.phantom.serial or 'not stated'}" if fit else None
    scanner = header.device_serial_number or header.station_name
    if prior.kernel and header.convolution_kernel and prior.kernel != header.convolution_kernel:
        yield Difference("kernel", prior.kernel, header.convolution_kernel)
    if prior.phantom and phantom and prior.phantom != phantom:
        yield Difference("phantom", prior.phantom, phantom)
    if prior.scanner and scanner and prior.scanner != scanner:
        yield Difference("scanner", prior.scanner, scanner)
