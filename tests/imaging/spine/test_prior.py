"""The naming of an earlier report is kept where its column is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from node.domain.prior import PriorResult
from node.domain.spine import Frame, Heights, LevelAssignment, SpineMap, Vertebra, VertebraSeed
from node.imaging.spine.prior import keep_naming, recognise
from node.synthetic import anatomy

LEVELS = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
FRAME = Frame(np.zeros(3), *np.eye(3))
Triple = tuple[float, float, float]


def person(number: int) -> dict[str, Triple]:
    """Anterior, middle and posterior heights of one person."""
    rng = np.random.default_rng(number)
    size = rng.normal(1.0, 0.06)
    heights = {}
    for level in anatomy.LEVELS:
        mean = np.array([level.anterior, 0.5 * (level.anterior + level.posterior) - 1.5, level.posterior])
        a, m, p = size * mean + rng.normal(0, 0.7) + rng.normal(0, 0.6, 3)
        heights[level.name] = (float(a), float(m), float(p))
    return heights


def measured(heights: dict[str, Triple], levels: Sequence[str], called: Sequence[str], seed: int) -> list[Vertebra]:
    rng = np.random.default_rng(seed)
    found = []
    for level, name in zip(levels, called, strict=True):
        a, m, p = np.array(heights[level]) + rng.normal(0, 0.5, 3)
        known = Heights(a, m, p, ((0.0, 0.0, 0.0),) * 6)  # type: ignore[arg-type]
        found.append(Vertebra(name, 0.8, True, FRAME, None, known, None))  # type: ignore[arg-type]
    return found


def report(heights: dict[str, Triple], levels: Sequence[str] = LEVELS) -> PriorResult:
    known = {level: heights[level] for level in levels}
    return PriorResult(date(2024, 5, 6), "1.2", "1.3", "K2HPO4", 100.0, ("L1", "L2"), heights_mm=known)


def column(vertebrae: Sequence[Vertebra], confidence: float = 0.6) -> SpineMap:
    seeds = tuple(VertebraSeed(v.level, confidence, FRAME, 25.0, 40.0, 30.0, True) for v in vertebrae)
    return SpineMap(seeds, LevelAssignment((), "single", 3, confidence), np.zeros((0, 3)))


@pytest.mark.parametrize("number", range(5))
def test_a_column_is_recognised_where_it_lies(number: int) -> None:
    heights = person(number)
    found = recognise(measured(heights, LEVELS, LEVELS, number), report(heights))
    assert found is not None
    assert found.shift == 0


@pytest.mark.parametrize("number", range(5))
def test_a_column_named_one_off_is_recognised(number: int) -> None:
    heights = person(number)
    found = recognise(measured(heights, LEVELS[:-1], LEVELS[1:], number), report(heights))
    assert found is not None
    assert found.shift == -1


def test_the_reports_names_are_kept_and_the_difference_is_told() -> None:
    heights = person(1)
    vertebrae = measured(heights, LEVELS[:-1], LEVELS[1:], 1)
    kept, renamed, cautions = keep_naming(column(vertebrae), vertebrae, (report(heights),))
    assert [v.level for v in renamed] == list(LEVELS[:-1])
    assert [s.level for s in kept.seeds] == list(LEVELS[:-1])
    assert kept.assignment.anchors[-1].name == "prior-study"
    assert [caution.code for caution in cautions] == ["levels-differ-from-prior"]
    assert "L2" in cautions[0].message


def test_the_same_names_need_no_caution_and_are_surer() -> None:
    heights = person(2)
    vertebrae = measured(heights, LEVELS, LEVELS, 2)
    kept, renamed, cautions = keep_naming(column(vertebrae, 0.6), vertebrae, (report(heights),))
    assert cautions == ()
    assert [v.level for v in renamed] == list(LEVELS)
    assert kept.assignment.confidence > 0.9


def test_the_latest_report_that_knows_the_column_counts() -> None:
    heights = person(3)
    vertebrae = measured(heights, LEVELS, LEVELS, 3)
    newest = replace(report(heights), study_date=date(2025, 1, 1))
    kept, _, _ = keep_naming(column(vertebrae), vertebrae, (report(heights), newest))
    assert "2025-01-01" in kept.assignment.anchors[-1].evidence


def test_a_fracture_since_then_does_not_hide_the_column() -> None:
    heights = person(4)
    broken = {**heights, "L1": (15.0, 14.0, 24.0)}
    found = recognise(measured(broken, LEVELS, LEVELS, 4), report(heights))
    assert found is not None
    assert found.shift == 0


def test_three_vertebrae_are_too_few() -> None:
    heights = person(5)
    assert recognise(measured(heights, LEVELS, LEVELS, 5), report(heights, LEVELS[:3])) is None


def test_a_report_without_heights_changes_nothing() -> None:
    vertebrae = measured(person(6), LEVELS, LEVELS, 6)
    before = column(vertebrae)
    kept, renamed, cautions = keep_naming(before, vertebrae, (replace(report(person(6)), heights_mm={}),))
    assert kept is before
    assert renamed == tuple(vertebrae)
    assert cautions == ()
