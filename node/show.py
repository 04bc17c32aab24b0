"""Results and states as tables for a terminal. Builds them; printing is the command line's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.ledger.records import SeriesStatus

if TYPE_CHECKING:
    from node.report import LevelSummary, SrSummary

HEIGHTS, DEFORMITY = "heights a / m / p mm", "deformity (candidate)"


def result_table(result: dict[str, Any]) -> RenderableType:
    """One entry of the result JSON."""
    table = _table("level", "vBMD mg/cm³", "HU", HEIGHTS, DEFORMITY, "use", "confidence")
    for name, level in result["levels"].items():
        voi, heights, deformity = level["voi"] or {}, level["heights_mm"] or {}, level["deformity"] or {}
        state = "" if level["complete"] else "incomplete"
        table.add_row(
            name,
            _with_uncertainty(level["vbmd_mg_cm3"], level["vbmd_expanded_uncertainty_mg_cm3"]),
            _number(voi.get("hu_mean"), 0),
            " / ".join(_number(heights.get(part), 1) for part in ("anterior", "middle", "posterior"))
            if heights
            else "",
            _deformity(deformity.get("type"), deformity.get("loss_percent"), deformity.get("genant_grade")),
            "mean" if level["included_in_mean"] else level["exclusion_reason"] or state,
            _number(level["confidence"], 2),
        )
    parts: list[RenderableType] = [table]
    if result["refusal"]:
        parts.append(Text(f"not measured: {result['refusal']['reason']}: {result['refusal']['message']}", "red"))
    else:
        mean = _with_uncertainty(result["mean_vbmd_mg_cm3"], result["mean_vbmd_expanded_uncertainty_mg_cm3"])
        levels = ", ".join(result["mean_levels"])
        parts.append(Text(f"mean of {levels}: {mean} mg/cm³ — {result['category']}", "bold"))
    if result["phantom"]:
        phantom, fit = result["phantom"], result["calibration"]
        line = f"phantom {phantom['id']} ({phantom['model']}, serial {phantom['serial'] or 'not stated'})"
        if fit:
            line += f"; {fit['sigma_ct']:.4f} HU per mg/cm³ {fit['material']}, {fit['beta_ct']:+.1f} HU at 0"
        parts.append(Text(line))
    parts += [Text(f"warning {one['code']}: {one['message']}", "yellow") for one in result["warnings"]]
    return Group(*parts)


def report_table(summary: SrSummary) -> RenderableType:
    """What a structured report says, as read back from its file."""
    table = _table("level", "vBMD mg/cm³", "HU", "use", "confidence")
    for level in summary.levels:
        table.add_row(
            level.level,
            f"{level.vbmd_mg_cm3} ± {level.expanded_uncertainty_mg_cm3}" if level.vbmd_mg_cm3 else "",
            level.hu_mean or "",
            "mean" if level.included_in_mean else level.exclusion or "",
            level.confidence or "",
        )
    parts: list[RenderableType] = [table]
    if not summary.measured:
        parts.append(Text(f"not measured: {summary.refusal}", "red"))
    else:
        mean = f"{summary.mean_vbmd_mg_cm3} ± {summary.mean_expanded_uncertainty_mg_cm3} mg/cm³"
        parts.append(Text(f"{summary.mean_of}: {mean} — {summary.category}", "bold"))
    for label, value in (("phantom", summary.phantom), ("calibration", summary.calibration)):
        if value:
            parts.append(Text(f"{label}: {value}"))
    parts += [Text(f"levels: {line}") for line in summary.level_assignment]
    parts += [Text(f"warning: {line}", "yellow") for line in summary.warnings]
    return Group(*parts)


def heights_table(levels: Sequence[LevelSummary]) -> RenderableType:
    """What a report of vertebral heights says, as read back from its file."""
    table = _table("level", HEIGHTS, DEFORMITY)
    for level in levels:
        heights = (level.height_anterior_mm, level.height_middle_mm, level.height_posterior_mm)
        deformity = _deformity(level.deformity, level.height_loss_percent, level.genant_grade)
        table.add_row(level.level, " / ".join(height or "–" for height in heights), deformity)
    return table


def deliveries(row: SeriesStatus) -> list[str]:
    """One line for each destination of a series."""
    lines = []
    for one in row.deliveries:
        line = f"{one.destination}: {one.stored} of {one.total} stored"
        line += f", {one.warned} with a warning" if one.warned else ""
        line += f", {one.proven} found there" if one.proof == "proven" else ""
        line += {"wanted": ", not confirmed yet", "unproven": ", not confirmed"}.get(one.proof or "", "")
        line += {"held": "; kept back", "stranded": "; no longer configured"}.get(one.waits or "", "")
        if one.last_error and (one.stored < one.total or one.proof in ("wanted", "unproven")):
            status = f" ({one.last_status:04X})" if one.last_status is not None else ""
            line += f"; last answer: {one.last_error}{status}"
        lines.append(line)
    return lines


def status_row(row: SeriesStatus) -> dict[str, Any]:
    """One series as JSON values."""
    values = asdict(row)
    values["state"] = row.state.value
    return values


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _with_uncertainty(value: float | None, uncertainty: float | None) -> str:
    return "" if value is None else f"{value:.1f} ± {_number(uncertainty, 1)}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _deformity(kind: str | None, loss_percent: float | str | None, grade: int | None) -> str:
    if not kind or kind == "none" or not grade:
        return ""
    loss = loss_percent if isinstance(loss_percent, str) else _number(loss_percent, 0)
    return f"{kind} {loss} %, grade {grade}"
