"""Fractures found and false candidates by the probability that is asked for, and whether probabilities are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.imaging.healthy_heights import NORMS
from tests.benchmarks.bodies_rows import Row

ASKED = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05)
BINS = ((0.0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0))
MODERATE, LEAST_LOSS = 2, 0.2


def probability(row: Row) -> float:
    """That a vertebra has lost 20 % or more, as stated (0.01 to 0.99); 0 where it was not judged."""
    if not np.isfinite(row.confidence):
        return 0.0
    return row.confidence if row.grade else 1.0 - row.confidence


def trade_off(rows: Sequence[Row]) -> str:
    """In Markdown; those of uncertain heights and no candidate are not judged, and not found at any probability."""
    judged = [row for row in rows if row.level in NORMS]
    patients = len({row.case for row in judged})
    severe = [probability(row) for row in judged if row.true_grade >= MODERATE]
    mild = [probability(row) for row in judged if row.true_grade == 1]
    sound = [probability(row) for row in judged if row.true_loss == 0.0]
    lines = [
        "| probability asked for | Genant 2 and 3 found | Genant 1 found | false for each patient |",
        "|---|---|---|---|",
    ]
    for asked in ASKED:
        found, slight, false = (sum(one >= asked for one in group) for group in (severe, mild, sound))
        lines.append(
            f"| {asked:g} | {found} of {len(severe)} | {slight} of {len(mild)} | {false / max(patients, 1):.3f} |"
        )
    return "\n".join(lines)


def reliability(rows: Sequence[Row]) -> str:
    """Of vertebrae by the probability stated of a loss of 20 % or more: how many have it. In Markdown."""
    judged = [row for row in rows if row.level in NORMS and np.isfinite(row.confidence)]
    stated = np.array([probability(row) for row in judged])
    true = np.array([row.true_loss >= LEAST_LOSS for row in judged])
    lines = ["| probability stated | vertebrae | mean of those stated | fractured |", "|---|---|---|---|"]
    for low, high in BINS:
        within = (stated >= low) & ((stated < high) | (high == BINS[-1][1]))
        if within.any():
            lines.append(
                f"| {low:g} to {high:g} | {np.count_nonzero(within)} | {np.mean(stated[within]):.2f} "
                f"| {np.count_nonzero(true[within])} ({np.mean(true[within]):.2f}) |"
            )
    return "\n".join(lines)
