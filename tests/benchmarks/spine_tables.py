"""The tables of ``spine_accuracy``, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.benchmarks.spine_accuracy import Outcome

EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
FAR_MM = 3.0
TITLES = {
    "people": "Random people",
    "development": "Development CT",
    "worsened": "Worsened copies of the development CT",
}


def markdown(outcomes: Sequence[Outcome], commit: str = "") -> str:
    """Summary, groups, reliability, and what failed; ``commit`` names the state of the code that was measured."""
    out: list[str] = ["# Vertebrae found and named", "", *_introduction()]
    if commit:
        out += ["", f"Measured: {commit}."]
    for kind in dict.fromkeys(o.kind for o in outcomes):
        of = [o for o in outcomes if o.kind == kind]
        out += ["", f"## {TITLES.get(kind, kind)}", "", *_summary(of)]
        if any(o.groups for o in of):
            out += ["", *_groups(of)]
    out += ["", "## Is the confidence earned?", "", *_reliability([o for o in outcomes if o.kind != "worsened"])]
    out += ["", "## What failed", "", *_failures(outcomes), ""]
    return "\n".join(out)


def _introduction() -> list[str]:
    return [
        "Written by `python -m tests.benchmarks.spine_accuracy --markdown docs/spine_accuracy.md`. Random people",
        "(`tests/benchmarks/spine_people.py`) are 5 to 90 years old, with the variants, diseases, positions and",
        "scans that the generator of this project knows; what is rare comes more often than in life. They are no",
        "proof for patients: generator and method share their anatomy books. The development CT has another",
        "origin. A vertebra is found when a delineated body has its centroid within 9 mm of its own. *Measured*",
        "studies are those whose names the shipped configuration believes, with L1 or L2 wholly in the scan; the",
        "others are refused as `levels-ambiguous`, with both readings.",
    ]


def _summary(of: Sequence[Outcome]) -> list[str]:
    errors = np.array([e for o in of for e in o.errors_mm] or [np.nan])
    tilts = np.array([t for o in of for t in o.tilts_deg] or [np.nan])
    present, found = sum(o.present for o in of), sum(o.found for o in of)
    can = [o for o in of if o.target_seen]
    measured = [o for o in can if o.measured]
    right = sum(o.l1_right for o in measured)
    sure = sum(not o.l1_right and o.confidence >= 0.9 for o in of if o.present and not o.refusal)
    rows = [
        ("studies", f"{len(of)}"),
        ("no spine found", f"{sum(bool(o.refusal) for o in of)}"),
        ("complete vertebrae found", f"{found} of {present} ({_percent(found, present)})"),
        ("vertebrae found where there is none", f"{sum(o.spurious for o in of)}"),
        ("cut vertebrae called complete", f"{sum(o.cut_called_complete for o in of)}"),
        ("complete vertebrae called cut", f"{sum(o.complete_called_cut for o in of)}"),
        ("error of the centroid: median, 95th percentile, largest", _spread(errors, "mm")),
        (f"centroids off by more than {FAR_MM:.0f} mm", f"{int((errors > FAR_MM).sum())} of {found}"),
        ("error of the long axis: median, 95th percentile, largest", _spread(tilts, "°")),
        ("studies with L1 or L2 wholly in the scan", f"{len(can)}"),
        ("measured", f"{len(measured)} ({_percent(len(measured), len(can))})"),
        ("of these rightly named", f"{right} ({_percent(right, len(measured))})"),
        (
            "measured without a whole L1 or L2",
            f"{sum(o.measured and not o.target_seen for o in of)} of {len(of) - len(can)}",
        ),
        ("wrong names stated with 0.9 or more", f"{sure}"),
        ("time, median", f"{np.median([o.seconds for o in of]):.1f} s"),
    ]
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]


def _groups(of: Sequence[Outcome]) -> list[str]:
    names = sorted({name for o in of for name in o.groups})
    rows = [
        "| group | studies | found | centroid p95 mm | measured | right of measured |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        some = [o for o in of if name in o.groups]
        can = [o for o in some if o.target_seen]
        measured = [o for o in can if o.measured]
        errors = [e for o in some for e in o.errors_mm] or [np.nan]
        found = _percent(sum(o.found for o in some), sum(o.present for o in some))
        rows.append(
            f"| {name} | {len(some)} | {found} | {np.percentile(errors, 95):.1f} | {len(measured)} of {len(can)} "
            f"| {sum(o.l1_right for o in measured)} |"
        )
    return rows


def _reliability(of: Sequence[Outcome]) -> list[str]:
    judged = [o for o in of if not o.refusal and o.found]
    rows = ["| stated confidence | studies | mean stated | right |", "|---|---|---|---|"]
    for low, high in pairwise(EDGES):
        rows += _reliable(judged, f"{low:.2f} to {min(high, 1):.2f}", lambda o, a=low, b=high: a <= o.confidence < b)  # type: ignore[misc]
    rows += ["", "| ways of counting | studies | mean stated | right |", "|---|---|---|---|"]
    for agreement in ("agree", "single", "conflict", "none"):
        rows += _reliable(judged, agreement, lambda o, kind=agreement: o.agreement == kind)  # type: ignore[misc]
    return rows


def _reliable(judged: Sequence[Outcome], name: str, chosen: Callable[[Outcome], bool]) -> list[str]:
    some = [o for o in judged if chosen(o)]
    if not some:
        return []
    stated = np.mean([o.confidence for o in some])
    return [f"| {name} | {len(some)} | {stated:.2f} | {np.mean([o.l1_right for o in some]):.2f} |"]


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    rows = ["| case | what | about it |", "|---|---|---|"]
    for o in outcomes:
        told = [f"refused: {o.refusal}"] if o.refusal else []
        told += [f"{o.present - o.found} not found"] if o.found < o.present and not o.refusal else []
        told += [f"{o.spurious} too many"] if o.spurious else []
        told += [f"{o.cut_called_complete} cut, called complete"] if o.cut_called_complete else []
        far = sum(error > FAR_MM for error in o.errors_mm)
        told += [f"{far} off by up to {max(o.errors_mm):.1f} mm"] if far else []
        told += [f"{o.wrong[0]}{', measured' if o.measured else ', refused'}"] if o.wrong else []
        if told:
            rows.append(f"| {o.case} | {'; '.join(told)} | {o.note} |")
    return rows if len(rows) > 2 else ["Nothing."]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _spread(values: np.ndarray, unit: str) -> str:
    return f"{np.median(values):.1f}, {np.percentile(values, 95):.1f}, {values.max():.1f} {unit}"
