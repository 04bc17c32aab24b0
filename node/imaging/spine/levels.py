"""The names of the vertebrae: every way of counting is weighed, none is followed blindly.

A hypothesis says how many thoracic (11 to 13) and lumbar (4 to 6) vertebrae this person has and which vertebra is the
uppermost one found. Ribs, pelvis and lungs each give every hypothesis a likelihood; with the frequency of the variants
they give a probability for every name of every vertebra.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import LEVELS, Anchor, LevelAssignment
from node.imaging.spine.ribs import Reach

Floats = NDArray[np.float64]
AnchorName = Literal["ribs", "sacrum", "first-rib"]

Agreement = Literal["agree", "single", "conflict", "none"]

MOST: Mapping[Agreement, float] = {"agree": 0.99, "single": 0.90, "conflict": 0.85, "none": 0.85}
"""No name is ever surer than this: one way of counting alone may be misled as its likelihood does not know."""
BLIND = 1 / 30
TELLING = 0.6
"""An anchor that alone puts L1 nowhere with at least this probability is silent."""

VARIANTS: Mapping[tuple[int, int, str], float] = {
    (12, 5, "T12"): 0.835,
    (12, 4, "T12"): 0.045,
    (12, 6, "T12"): 0.035,
    (12, 5, "T11"): 0.030,
    (12, 4, "T11"): 0.012,
    (12, 6, "T11"): 0.002,
    (12, 5, "L1"): 0.012,
    (12, 6, "L1"): 0.006,
    (12, 4, "L1"): 0.001,
    (11, 5, "T11"): 0.008,
    (11, 6, "T11"): 0.006,
    (13, 5, "T13"): 0.004,
    (13, 4, "T13"): 0.004,
}
"""(thoracic vertebrae, free lumbar vertebrae, last vertebra with ribs) → part of people. Between the figures of
whole-spine CT in n = 551 (sacralised 12 %, lumbarised 4 %, lumbar ribs 1.5 %; PMID 40381031), n = 226 (2.7 %, 6.2 %,
5.8 %; PMC3948909) and n = 1340 (eleven rib pairs 8 %, thirteen 0.4 %; a transitional lumbosacral vertebra in a third of
them, else in 5 %; Korea). Twelfth ribs too short to tell from processes are in the likelihood of the ribs instead. With
four free lumbar vertebrae the fifth is part of the sacrum and still called L5."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen at one vertebra."""

    reach: tuple[Reach, Reach]
    """To the right and to the left."""
    sacral: float | None
    """See ``sacrum.sacral_scores``."""
    lung: float | None
    """Part of the space beside it that is lung."""


LogLikelihood = Callable[[Signs, "Place"], float]


@dataclass(frozen=True, slots=True)
class Naming:
    """Names head to foot (C, T, L and S), each with its probability."""

    names: tuple[str, ...]
    confidence: tuple[float, ...]
    assignment: LevelAssignment


@dataclass(frozen=True, slots=True)
class Place:
    """One vertebra of a hypothesis: its name, and what it should look like."""

    level: str
    ribs: str
    """Row of the table of ribs."""
    pelvis: Literal["above", "last free", "sacrum"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Names for all vertebrae found."""

    places: tuple[Place, ...]
    first_lumbar: int
    """Index that L1 has, or would have, counted from the uppermost vertebra found."""
    log_prior: float


def name(signs: Sequence[Signs], whole: Sequence[bool] | None = None) -> Naming:
    """Name the vertebrae of a column from the signs at each, head to foot, no vertebra left out.

    ``whole`` says which of them lie wholly in the scan; all where it is not given.
    """
    whole = whole if whole is not None else [True] * len(signs)
    hypotheses = hypotheses_for(len(signs))
    prior = np.array([h.log_prior for h in hypotheses])
    evidence: dict[AnchorName, Floats] = {
        "ribs": _likelihood(signs, hypotheses, rib_log_likelihood),
        "sacrum": _likelihood(signs, hypotheses, sacral_log_likelihood),
        "first-rib": _likelihood(signs, hypotheses, lung_log_likelihood),
    }
    probability = _normalised(prior + np.sum(list(evidence.values()), axis=0))
    names = _likeliest(probability, hypotheses)
    anchors, agreement = _anchors(evidence, prior, hypotheses, signs, names)
    most = MOST[agreement]
    sure = tuple(min(most, _chance(probability, hypotheses, i, level)) for i, level in enumerate(names))
    nearest = min(range(len(names)), key=lambda i: abs(_rank(names[i]) - _rank("L1")))
    pairs = sum(is_rib(s.reach[0]) and is_rib(s.reach[1]) for s in signs)
    seen = [any(w and p.level in ("L1", "L2") for w, p in zip(whole, h.places, strict=True)) for h in hypotheses]
    chance = float(probability[np.array(seen)].sum())
    return Naming(names, sure, LevelAssignment(anchors, agreement, pairs, sure[nearest], chance))


def hypotheses_for(count: int) -> list[Hypothesis]:
    """Every run of ``count`` neighbours in every kind of column."""
    found = []
    for (thoracic, lumbar, last_rib), part in VARIANTS.items():
        column = _column(thoracic, lumbar, last_rib)
        for start in range(len(column) - count + 1):
            places = tuple(column[start : start + count])
            found.append(Hypothesis(places, 7 + thoracic - start, float(np.log(part))))
    if not found:
        raise ValueError(f"no human column has {count} vertebrae in a row")
    return found


def _column(thoracic: int, lumbar: int, last_rib: str) -> list[Place]:
    levels = [
        *(f"C{n}" for n in range(1, 8)),
        *(f"T{n}" for n in range(1, thoracic + 1)),
        *(f"L{n}" for n in range(1, max(lumbar, 5) + 1)),
        *(f"S{n}" for n in range(1, 6)),
    ]
    bearing = levels.index(last_rib)
    free = 7 + thoracic + lumbar
    return [
        Place(
            level,
            "last rib" if i == bearing else _rib_row(level, above=i < bearing, last_free=i == free - 1, free=i < free),
            "above" if i < free - 1 else "last free" if i == free - 1 else "sacrum",
        )
        for i, level in enumerate(levels)
    ]


def _rib_row(level: str, *, above: bool, last_free: bool, free: bool) -> str:
    if above:
        return level if level in _RIBS else level[0]
    if not free:
        return "S"
    return "last free" if last_free else "first without" if level in ("T12", "L1") else "L"


def _likeliest(probability: Floats, hypotheses: Sequence[Hypothesis]) -> tuple[str, ...]:
    """Names of the likeliest way of counting: hypotheses that name all vertebrae alike are one."""
    whole: dict[tuple[str, ...], float] = {}
    for p, h in zip(probability, hypotheses, strict=True):
        key = tuple(place.level for place in h.places)
        whole[key] = whole.get(key, 0.0) + float(p)
    return max(whole, key=lambda key: whole[key])


def is_rib(reach: Reach) -> bool:
    """Whether the bone goes on far beyond any transverse process."""
    return reach.beside_mm >= RIB_BESIDE_MM


PROCESS_BESIDE_MM, RIB_BESIDE_MM = 31.0, 41.0
"""From the side of the body: processes end before the first (L3 in men), all but short ribs pass the second."""
FALL_MM = 7.0
"""Ribs end lower than they begin; transverse processes do not."""

ALIKE = 0.6
"""Part of people in whom what makes one side unusual makes the other so too."""

_RIBS: Mapping[str, tuple[float, float, float, float]] = {
    "C": (0.85, 0.08, 0.02, 0.05),
    "C7": (0.60, 0.12, 0.10, 0.18),
    "T1": (0.06, 0.06, 0.10, 0.78),
    "T": (0.01, 0.01, 0.01, 0.97),
    "last rib": (0.085, 0.035, 0.08, 0.80),
    "first without": (0.935, 0.03, 0.01, 0.025),
    "L": (0.957, 0.025, 0.006, 0.012),
    "last free": (0.66, 0.13, 0.03, 0.18),
    "S": (0.40, 0.15, 0.15, 0.30),
}
"""Chance that bone ends like a process, a little later without falling, a little later but falling, or far out."""


def rib_log_likelihood(sign: Signs, place: Place) -> float:
    """Of both sides' reaches; the two sides of one vertebra are mostly alike."""
    table = np.array(_RIBS[place.ribs])
    right, left = (_possible(reach) for reach in sign.reach)
    alike = float((table * right * left).sum())
    apart = float((table * right).sum() * (table * left).sum())
    return float(np.log(ALIKE * alike + (1 - ALIKE) * apart))


def _possible(reach: Reach) -> Floats:
    """Which of the four columns of the table a reach can belong to: a cut one to several."""
    if is_rib(reach):
        return np.array([0.0, 0.0, 0.0, 1.0])
    if reach.cut:
        falling = reach.fall_mm > FALL_MM or reach.beside_mm > PROCESS_BESIDE_MM
        return np.array([0.0, 0.0, 1.0, 1.0]) if falling else np.ones(4)
    if reach.beside_mm > PROCESS_BESIDE_MM:
        return np.array([0.0, 0.0, 1.0, 0.0]) if reach.fall_mm > FALL_MM else np.array([0.0, 1.0, 0.0, 0.0])
    return np.array([1.0, 0.0, 0.0, 0.0])


_PELVIS: Mapping[str, tuple[float, float]] = {"above": (-7.0, 2.2), "last free": (-3.7, 2.0), "sacrum": (2.2, 1.6)}
"""Mean and spread of the sacral score."""


def sacral_log_likelihood(sign: Signs, place: Place) -> float:
    """Of the pelvis beside the vertebra; heavy tails, since contrast medium, metal and hips imitate it."""
    if sign.sacral is None:
        return 0.0
    mean, spread = _PELVIS[place.pelvis]
    z = (min(max(sign.sacral, -8.0), 4.0) - mean) / spread
    return float(np.log(0.99 * np.exp(-0.5 * z * z) / spread + 0.002))


_LUNG: Mapping[str, tuple[float, float, float]] = {
    "C": (0.95, 0.04, 0.01),
    "C7": (0.78, 0.18, 0.04),
    "T1": (0.40, 0.42, 0.18),
    "T2": (0.12, 0.48, 0.40),
    "T3": (0.05, 0.25, 0.70),
    "T": (0.03, 0.07, 0.90),
    "T10": (0.05, 0.20, 0.75),
    "T11": (0.20, 0.40, 0.40),
    "T12": (0.45, 0.38, 0.17),
    "T13": (0.65, 0.27, 0.08),
    "L1": (0.78, 0.18, 0.04),
    "L": (0.97, 0.02, 0.01),
    "S": (0.97, 0.02, 0.01),
}
"""Chance of no (< 3 %), some, much (> 30 %) lung beside a vertebra."""


def lung_log_likelihood(sign: Signs, place: Place) -> float:
    """Of the lung beside the vertebra; weakened, because neighbours are not independent."""
    if sign.lung is None:
        return 0.0
    table = _LUNG.get(place.level, _LUNG[place.level[0]])
    return 0.5 * float(np.log(table[0 if sign.lung < 0.03 else 1 if sign.lung < 0.3 else 2]))


def _likelihood(signs: Sequence[Signs], hypotheses: Sequence[Hypothesis], of: LogLikelihood) -> Floats:
    """Log-likelihood of every hypothesis by one kind of sign; in one scan of thirty that sign means nothing at all."""
    seen = {(i, place) for h in hypotheses for i, place in enumerate(h.places)}
    known = {(i, place): of(signs[i], place) for i, place in seen}
    told = np.array([sum(known[i, place] for i, place in enumerate(h.places)) for h in hypotheses])
    by_vertebra = [[value for (at, _), value in known.items() if at == i] for i in range(len(signs))]
    blind = sum(float(np.log(np.mean(np.sort(np.exp(values))))) for values in by_vertebra)
    mixed: Floats = np.logaddexp(np.log(1 - BLIND) + told, np.log(BLIND) + blind)
    return mixed


def _normalised(log_weight: Floats) -> Floats:
    weight: Floats = np.exp(log_weight - log_weight.max())
    whole: Floats = weight / weight.sum()
    return whole


def _chance(probability: Floats, hypotheses: Sequence[Hypothesis], i: int, level: str) -> float:
    return float(sum(p for p, h in zip(probability, hypotheses, strict=True) if h.places[i].level == level))


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _anchors(
    evidence: Mapping[AnchorName, Floats],
    prior: Floats,
    hypotheses: Sequence[Hypothesis],
    signs: Sequence[Signs],
    names: Sequence[str],
) -> tuple[tuple[Anchor, ...], Agreement]:
    """What each way of counting says alone, and whether they put L1 in the same place."""
    where = np.array([h.first_lumbar for h in hypotheses])
    anchors, places = [], []
    for kind, likelihood in evidence.items():
        alone = _normalised(prior + likelihood)
        chances = {int(w): float(alone[where == w].sum()) for w in np.unique(where)}
        likeliest = max(chances, key=lambda w: chances[w])
        if chances[likeliest] < TELLING:
            continue
        best = hypotheses[int(np.where(where == likeliest, alone, -1).argmax())]
        places.append(likeliest)
        anchors.append(Anchor(kind, best.places[0].level, _sentence(kind, best.places, signs, names)))
    if not places:
        return (), "none"
    if len(places) == 1:
        return tuple(anchors), "single"
    return tuple(anchors), "agree" if len(set(places)) == 1 else "conflict"


def _sentence(kind: AnchorName, best: Sequence[Place], signs: Sequence[Signs], names: Sequence[str]) -> str:
    if kind == "sacrum":
        top = next((names[i - 1] for i, place in enumerate(best) if place.level == "S1" and i > 0), None)
        seen = f"the sacrum begins below the vertebra named {top}" if top else "no sacrum is in the scan"
        return f"By its wings and the iliac bones {seen}; counted up from it the uppermost vertebra is {best[0].level}."
    if kind == "first-rib":
        return f"By where the lungs begin and end, the uppermost vertebra found is {best[0].level}."
    bearing = [names[i] for i, sign in enumerate(signs) if is_rib(sign.reach[0]) or is_rib(sign.reach[1])]
    ribs = f"ribs were followed from {bearing[0]} to {bearing[-1]}" if bearing else "no vertebra found has ribs"
    return f"Counted by the last ribs, the uppermost vertebra found is {best[0].level}: {ribs}."
