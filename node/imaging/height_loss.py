"""How probable each kind and amount of height loss is, for every vertebra of a column.

The three heights of a body are weighed together by Bayes' rule: those of a sound vertebra scatter about what its level
and its neighbours suggest; a wedge, biconcave or crush deformity of a given loss lowers them in a pattern of its own,
within limits, since no two look alike. Whether the neighbours are sound is not known beforehand either: all are judged
in turns, each time by neighbours that count as far as they are probably sound, until the judgements agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from node.imaging.healthy_heights import Column, Expected, expected_heights

Floats = NDArray[np.float64]
Kind = Literal["wedge", "biconcave", "crush"]

KINDS: tuple[Kind, ...] = ("wedge", "biconcave", "crush")
KIND_PARTS: dict[Kind, float] = {"wedge": 0.5, "biconcave": 0.3, "crush": 0.2}
"""Of all deformities: wedges are the most frequent and crushed bodies the rarest."""
PATTERNS: dict[Kind, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "wedge": ((1.0,), (0.3, 0.5, 0.7, 0.9), (0.0, 0.15, 0.3)),
    "biconcave": ((0.0, 0.25, 0.5), (1.0,), (0.0, 0.25, 0.5)),
    "crush": ((0.8, 0.9, 1.0), (0.8, 0.9, 1.0), (0.8, 0.9, 1.0)),
}
"""Losses of the anterior, middle and posterior height as parts of the greatest; all combinations in which one of them
is the greatest are equally likely."""
LOSSES = np.arange(0.12, 0.851, 0.01)
MEAN_EXCESS = 0.2
"""Losses of deformed vertebrae lie above the least one by an exponential law of this mean: of nine of 20 % and more
two are mild, four moderate and three severe."""
ASTRAY, ASTRAY_TIMES = 0.03, 3.0
"""Of bodies so many have a surface that went astray: readings are then so many times as uncertain as stated."""
LEAST_LOSS = 0.20
"""That makes a fracture (Genant grade 1)."""
ROUNDS = 6
LOW_FROM, LOW_STEP = 0.15, 0.03
"""At first a vertebra that lies by more than this below the median of the column (logarithms) is taken to be low."""


def _patterns() -> tuple[NDArray[np.intp], Floats, Floats]:
    """Kind (n,), prior probability (n,) and pattern (n, 3) of each way to lose height."""
    kinds, priors, patterns = [], [], []
    for number, kind in enumerate(KINDS):
        found = [pattern for pattern in product(*PATTERNS[kind]) if max(pattern) == 1.0]
        kinds += [number] * len(found)
        priors += [KIND_PARTS[kind] / len(found)] * len(found)
        patterns += found
    return np.array(kinds), np.array(priors), np.array(patterns)


_KIND, _PRIOR, _PATTERN = _patterns()
_LOSS_PRIOR = np.exp(-(LOSSES - LOSSES[0]) / MEAN_EXCESS)
_LOSS_PRIOR /= _LOSS_PRIOR.sum()
_LEFT = 1.0 - LOSSES[None, :, None] * _PATTERN[:, None, :]
"""(patterns, losses, 3): part of each height that is left."""
_ENOUGH = LOSSES > LEAST_LOSS - 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """Of one vertebra, given those beside it."""

    expected: Expected
    lost: Floats
    """(3,): part of each height that is missing against the expected one, as read."""
    deformed: Floats
    """(kinds, losses): probability of each."""

    @property
    def sound(self) -> float:
        """Probability that there is no deformity at all."""
        return 1.0 - float(self.deformed.sum())

    @property
    def fractured(self) -> float:
        """Probability of a loss of 20 % or more."""
        return float(self.deformed[:, _ENOUGH].sum())

    @property
    def kind(self) -> Kind:
        """The likeliest kind of a loss of 20 % or more."""
        return KINDS[int(np.argmax(self.deformed[:, _ENOUGH].sum(axis=1)))]

    @property
    def loss(self) -> float:
        """Expected loss, if it is one of that kind and of 20 % or more."""
        weights = self.deformed[KINDS.index(self.kind), _ENOUGH]
        total = float(weights.sum())
        return float(weights @ LOSSES[_ENOUGH]) / total if total > 0.0 else 0.0


def judged(column: Column, prevalence: float) -> list[Judgement]:
    """Judge every vertebra of a column; ``prevalence``: of deformed vertebrae, before anything is measured."""
    if not column.levels:
        return []
    departures = np.log(np.maximum(column.mm, 1.0) / column.norms_mm())
    low = np.max(np.median(departures, axis=0) - departures, axis=1)
    sound = 1.0 / (1.0 + np.exp((low - LOW_FROM) / LOW_STEP))
    found: list[Judgement] = []
    for _ in range(ROUNDS):
        found = [
            _judged(expected, mm, variance, prevalence)
            for expected, mm, variance in zip(expected_heights(column, sound), column.mm, column.own_mm2(), strict=True)
        ]
        sound = 0.5 * (sound + np.array([one.sound for one in found]))
    return found


def _judged(expected: Expected, mm: Floats, variance_mm2: Floats, prevalence: float) -> Judgement:
    left = mm / expected.mm
    reading = np.diag(variance_mm2 / expected.mm**2)
    healthy = np.log(1.0 - prevalence) + _log_likelihood(left, np.ones(3), expected.covariance, reading)
    beforehand = np.log(prevalence * _PRIOR[:, None] * _LOSS_PRIOR)
    deformed = beforehand + _log_likelihood(left, _LEFT, expected.covariance, reading)
    greatest = max(float(healthy), float(deformed.max()))
    weights = np.exp(deformed - greatest)
    weights /= weights.sum() + np.exp(healthy - greatest)
    by_kind = np.stack([weights[number == _KIND].sum(axis=0) for number in range(len(KINDS))])
    return Judgement(expected, 1.0 - left, by_kind)


def _log_likelihood(left: Floats, mean: Floats, covariance: Floats, reading: Floats) -> Floats:
    """Of what is left of three heights, where ``mean`` (..., 3) is; a few readings went astray."""
    usual = np.log(1.0 - ASTRAY) + _log_density(left, mean, covariance, reading)
    astray = np.log(ASTRAY) + _log_density(left, mean, covariance, ASTRAY_TIMES**2 * reading)
    return np.asarray(np.logaddexp(usual, astray))


def _log_density(left: Floats, mean: Floats, covariance: Floats, reading: Floats) -> Floats:
    """Of a normal distribution about ``mean`` (..., 3); what varies between bodies shrinks with them."""
    total = mean[..., :, None] * mean[..., None, :] * covariance + reading
    away = left - mean
    solved = np.linalg.solve(total, away[..., None])[..., 0]
    _, log_determinant = np.linalg.slogdet(total)
    return np.asarray(-0.5 * (away * solved).sum(axis=-1) - 0.5 * log_determinant)
