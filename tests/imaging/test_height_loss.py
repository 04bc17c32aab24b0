"""Probabilities of height loss, of made-up and of random columns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from node.imaging.healthy_heights import CONCAVITY_NORM, NORMS, Column
from node.imaging.height_loss import KINDS, Judgement, judged

Floats = NDArray[np.float64]
LEVELS = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4")
L1 = LEVELS.index("L1")
SHAPES = {"wedge": (1.0, 0.5, 0.1), "biconcave": (0.2, 1.0, 0.1), "crush": (1.0, 1.0, 0.95)}
PREVALENCE = 0.08


def usual_mm() -> Floats:
    posterior = np.array([NORMS[level].posterior_mm for level in LEVELS])
    anterior = posterior * [NORMS[level].wedge for level in LEVELS]
    return np.stack([anterior, CONCAVITY_NORM * 0.5 * (anterior + posterior), posterior], axis=1)


def judge(mm: Floats, error_mm: float = 0.5) -> list[Judgement]:
    return judged(Column(LEVELS, mm, np.full(mm.shape, error_mm)), PREVALENCE)


def broken(kind: str, loss: float, *where: int) -> Floats:
    mm = usual_mm()
    for n in where:
        mm[n] *= 1.0 - loss * np.array(SHAPES[kind])
    return mm


def test_no_column_is_no_judgement() -> None:
    assert judged(Column((), np.zeros((0, 3)), np.zeros((0, 3))), PREVALENCE) == []


def test_a_usual_column_is_sound() -> None:
    assert min(one.sound for one in judge(usual_mm())) > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_with_its_loss(kind: str) -> None:
    found = judge(broken(kind, 0.33, L1))[L1]
    assert found.kind == kind
    assert found.fractured > 0.95
    assert found.loss == pytest.approx(0.33, abs=0.03)


def test_a_crush_is_told_by_all_three_heights() -> None:
    """26 %: the posterior height alone would not do."""
    all_three = judge(broken("crush", 0.26, L1))[L1].fractured
    behind = usual_mm()
    behind[L1, 2] *= 0.74
    assert all_three > 0.8
    assert all_three > judge(behind)[L1].fractured + 0.3


def test_four_broken_of_nine_are_told_from_the_sound_ones() -> None:
    where = (2, 4, 5, 7)
    found = judge(broken("crush", 0.4, *where))
    assert [one.fractured > 0.5 for one in found] == [n in where for n in range(len(LEVELS))]


def test_what_is_read_badly_is_told_only_where_much_is_lost() -> None:
    """Slices of 5 mm: 2.5 mm of error."""
    mild, severe = (judge(broken("wedge", loss, L1), 2.5)[L1].fractured for loss in (0.22, 0.5))
    assert mild < 0.2
    assert severe > 0.6


def test_one_hidden_corner_read_far_too_low_is_no_candidate() -> None:
    mm, errors = usual_mm(), np.full((len(LEVELS), 3), 0.6)
    mm[L1, 2] *= 0.55
    errors[L1, 2] = 3.0
    assert judged(Column(LEVELS, mm, errors), PREVALENCE)[L1].fractured < 0.2


def test_probabilities_are_kept() -> None:
    """Of random columns with deformities as frequent as expected, as many are fractured as the probabilities say."""
    draw = np.random.default_rng(11)
    said, so = [], []
    for _ in range(50):
        size, habit = draw.normal(0.0, 0.08), draw.normal(0.0, 0.03, 3) * [1.0, 1.0, 0.0]
        own = draw.normal(0.0, 0.04, (len(LEVELS), 1)) + draw.normal(0.0, 1.0, (len(LEVELS), 3)) * [0.03, 0.025, 0.015]
        losses = np.where(draw.random(len(LEVELS)) < PREVALENCE, 0.12 + draw.exponential(0.2, len(LEVELS)), 0.0)
        losses = np.minimum(losses, 0.85)
        shapes = [SHAPES[KINDS[n]] for n in draw.choice(3, len(LEVELS), p=[0.5, 0.3, 0.2])]
        mm = usual_mm() * np.exp(size + habit + own) * (1.0 - losses[:, None] * np.array(shapes))
        said += [one.fractured for one in judge(mm + draw.normal(0.0, 0.5, mm.shape))]
        so += list(losses >= 0.2)
    chance = np.array(said)
    assert abs(chance.sum() - np.sum(so)) < 3.0 * np.sqrt(np.sum(chance * (1.0 - chance)))
    assert np.mean(np.array(so)[chance > 0.8]) > 0.9
    assert np.mean(np.array(so)[chance < 0.2]) < 0.02
