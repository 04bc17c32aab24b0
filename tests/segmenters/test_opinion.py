"""Two engines that disagree make a name less sure, and the reader is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.domain.spine import LEVELS, SpineMap
from node.segmenters import weigh
from tests.imaging.spine import made_up
from tests.segmenters import painted


def spine(confidence: float, shift: int = 0) -> SpineMap:
    """T12 to L2 at their places, named ``shift`` levels lower."""
    usual = [level for level in LEVELS if level not in ("T13", "L6")]
    made = made_up.column(painted.LEVELS).spine
    seeds = tuple(replace(s, level=usual[usual.index(s.level) + shift], confidence=confidence) for s in made.seeds)
    return SpineMap(seeds, replace(made.assignment, confidence=confidence), made.canal_centres_lps_mm)


def test_agreement_changes_no_confidence() -> None:
    found, cautions = weigh(spine(0.95), spine(0.9), "net", "builtin")
    assert [seed.confidence for seed in found.seeds] == [0.95] * 3
    assert found.assignment.confidence == 0.95
    assert cautions == ()


def test_agreement_is_an_anchor() -> None:
    found, _ = weigh(spine(0.95), spine(0.9), "net", "builtin")
    anchor = found.assignment.anchors[-1]
    assert (anchor.name, anchor.level_of_first) == ("second-opinion", "T12")
    assert anchor.evidence == "net: names 3 of 3 vertebrae found by both alike"


def test_disagreement_lowers_the_confidence_by_bayes() -> None:
    found, _ = weigh(spine(0.97), spine(0.9, shift=1), "net", "builtin")
    expected = 0.97 * 0.1 / (0.97 * 0.1 + 0.03 * 0.9)
    assert found.assignment.confidence == pytest.approx(expected)
    assert [seed.confidence for seed in found.seeds] == pytest.approx([expected] * 3)
    assert found.assignment.agreement == "conflict"


def test_disagreement_is_shown() -> None:
    found, (caution,) = weigh(spine(0.97), spine(0.9, shift=1), "net", "builtin")
    assert caution.code == "second-opinion-differs"
    assert "by net, what builtin calls T12 is L1, L1 is L2, L2 is L3" in caution.message
    assert found.assignment.anchors[-1].level_of_first == "L1"


def test_names_are_kept() -> None:
    found, _ = weigh(spine(0.6), spine(0.9, shift=-1), "net", "builtin")
    assert [seed.level for seed in found.seeds] == list(painted.LEVELS)
    assert found.assignment.confidence < 0.2


def test_vertebrae_that_only_one_engine_found_say_nothing() -> None:
    other = spine(0.9, shift=1)
    away = tuple(
        replace(s, frame=replace(s.frame, centre_lps_mm=s.frame.centre_lps_mm + [0.0, 0.0, 300.0])) for s in other.seeds
    )
    found, cautions = weigh(spine(0.95), replace(other, seeds=away), "net", "builtin")
    assert (found.assignment.confidence, cautions) == (0.95, ())
    assert "found none" in found.assignment.anchors[-1].evidence
