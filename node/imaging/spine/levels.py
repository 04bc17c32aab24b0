"""The names of the vertebrae: every way of counting is weighed, none is followed blindly.

A hypothesis says how many free lumbar vertebrae this person has, which vertebra bears the last ribs, and which
vertebra is the uppermost one found. The last ribs, the pelvis, the upper end of the cage and the shapes of bodies and
processes each give every hypothesis a likelihood; with the frequency of the variants they give a probability for every
name of every vertebra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import LEVELS, Anchor, LevelAssignment, Reading
from node.imaging.spine import signs as likelihoods
from node.imaging.spine.signs import Place, Signs, is_rib, size_of

Floats = NDArray[np.float64]
AnchorName = Literal["ribs", "sacrum", "first-rib", "shape"]
Agreement = Literal["agree", "single", "conflict", "none"]

MOST: Mapping[Agreement, float] = {"agree": 0.99, "single": 0.89, "conflict": 0.92, "none": 0.75}
"""No name is ever surer than this: one way of counting alone may be misled as its likelihood does not know."""
MOST_OUTVOTED = 0.96
"""Where two ways of counting agree and a third does not."""
BLIND = 1 / 30
TELLING = 0.6
"""An anchor that alone puts L1 nowhere with at least this probability is silent."""
LIKELY_ENOUGH = 0.02
"""Another way of naming is kept from this probability on."""

VARIANTS: Mapping[tuple[int, str], float] = {
    (5, "T12"): 0.825,
    (4, "T12"): 0.060,
    (6, "T12"): 0.040,
    (5, "T11"): 0.035,
    (4, "T11"): 0.010,
    (6, "T11"): 0.004,
    (5, "L1"): 0.015,
    (6, "L1"): 0.006,
    (4, "L1"): 0.005,
}
"""(free lumbar vertebrae, last vertebra with ribs) → part of people. Between the figures of whole-spine CT in n = 551
(sacralised 12 %, lumbarised 4 %, lumbar ribs 1.5 %; PMID 40381031), n = 226 (2.7 %, 6.2 %, 5.8 %; PMC3948909) and
n = 1340 (eleven rib pairs 8 %, thirteen 0.4 %; a transitional lumbosacral vertebra in a third of them, else in 5 %;
Korea). Twelfth ribs too short to tell from processes are in the likelihood of the ribs instead. Names count vertebrae,
whatever they bear: the twentieth is L1. With four free lumbar vertebrae the fifth is part of the sacrum and still
called L5; the sixth of six is L6."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Names head to foot (C, T, L and S), each with its probability."""

    names: tuple[str, ...]
    confidence: tuple[float, ...]
    assignment: LevelAssignment


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Names for all vertebrae found."""

    places: tuple[Place, ...]
    first_lumbar: int
    """Index that L1 has, or would have, counted from the uppermost vertebra found."""
    log_prior: float

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(place.level for place in self.places)


def name(signs: Sequence[Signs], whole: Sequence[bool] | None = None) -> Naming:
    """Name the vertebrae of a column from the signs at each, head to foot, no vertebra left out.

    ``whole`` says which of them lie wholly in the scan; all where it is not given.
    """
    whole = whole if whole is not None else [True] * len(signs)
    hypotheses = hypotheses_for(len(signs))
    prior = np.array([h.log_prior for h in hypotheses])
    evidence = _evidence(signs, hypotheses)
    probability = _normalised(prior + np.sum(list(evidence.values()), axis=0))
    readings = _readings(probability, hypotheses)
    names = readings[0][0]
    where = hypotheses[int(np.argmax([h.levels == names for h in hypotheses]))].first_lumbar
    anchors, agreement, most = _anchors(evidence, prior, hypotheses, signs, names, where)
    sure = tuple(min(most, _chance(probability, hypotheses, i, level)) for i, level in enumerate(names))
    nearest = min(range(len(names)), key=lambda i: abs(_rank(names[i]) - _rank("L1")))
    size = size_of(signs)
    pairs = sum(is_rib(s.reach[0], size) and is_rib(s.reach[1], size) for s in signs)
    seen = [any(w and p.level in ("L1", "L2") for w, p in zip(whole, h.places, strict=True)) for h in hypotheses]
    others = tuple(
        Reading(dict(zip(names, levels, strict=True)), min(chance, 1 - sure[nearest]))
        for levels, chance in readings[1:3]
        if chance >= LIKELY_ENOUGH
    )
    chance = float(probability[np.array(seen)].sum())
    return Naming(names, sure, LevelAssignment(anchors, agreement, pairs, sure[nearest], chance, others))


def hypotheses_for(count: int) -> list[Hypothesis]:
    """Every run of ``count`` neighbours in every kind of column."""
    found = []
    for (lumbar, last_rib), part in VARIANTS.items():
        column = _column(lumbar, last_rib)
        for start in range(len(column) - count + 1):
            places = tuple(column[start : start + count])
            found.append(Hypothesis(places, 19 - start, float(np.log(part))))
    if not found:
        raise ValueError(f"no human column has {count} vertebrae in a row")
    return found


def _column(lumbar: int, last_rib: str) -> list[Place]:
    levels = [
        *(f"C{n}" for n in range(1, 8)),
        *(f"T{n}" for n in range(1, 13)),
        *(f"L{n}" for n in range(1, max(lumbar, 5) + 1)),
        *(f"S{n}" for n in range(1, 6)),
    ]
    bearing, free = levels.index(last_rib), 19 + lumbar
    return [
        Place(
            level,
            _rib_row(level, i - bearing, free - 1 - i),
            "above" if i < free - 1 else "last free" if i == free - 1 else "sacrum",
        )
        for i, level in enumerate(levels)
    ]


def _rib_row(level: str, below_last_rib: int, above_last_free: int) -> str:
    if below_last_rib < 0:
        return level if level in ("C7", "T1") else level[0].replace("L", "T")
    if below_last_rib == 0:
        return "lumbar rib" if level[0] == "L" else "last rib"
    if above_last_free <= 0:
        return "last free" if above_last_free == 0 else "S"
    return "T12 without" if level == "T12" else "L"


def _evidence(signs: Sequence[Signs], hypotheses: Sequence[Hypothesis]) -> dict[AnchorName, Floats]:
    """Log-likelihood of every hypothesis by each way of counting.

    Ribs and lungs of the upper half of the rib-bearing vertebrae belong to the cage's upper end, the others to its
    lower end, so that the two ends are counted from independently.
    """
    size = size_of(signs)
    bearing = [i for i, sign in enumerate(signs) if any(is_rib(reach, size) for reach in sign.reach)]
    middle = bearing[len(bearing) // 2] if len(bearing) > 3 else 0
    every = range(len(signs))

    def of_ribs(i: int, place: Place) -> float:
        return likelihoods.rib_log_likelihood(signs[i], place, size)

    def of_upper_end(i: int, place: Place) -> float:
        extent = likelihoods.extent_log_likelihood(signs[i], place, size)
        return of_ribs(i, place) + likelihoods.lung_log_likelihood(signs[i], place) + extent

    def of_pelvis(i: int, place: Place) -> float:
        return likelihoods.sacral_log_likelihood(signs[i], place)

    shape = {
        levels: likelihoods.depth_log_likelihood(signs, levels)
        + likelihoods.process_log_likelihood(signs, levels, size)
        + sum(likelihoods.lung_log_likelihood(signs[i], Place(levels[i], "", "above")) for i in every[middle:])
        for levels in {h.levels for h in hypotheses}
    }
    alone = np.array([shape[h.levels] for h in hypotheses])
    return {
        "ribs": _mixed(
            [{p: of_ribs(i, p) for p in _places(hypotheses, i)} for i in every[middle:]], middle, hypotheses
        ),
        "sacrum": _mixed([{p: of_pelvis(i, p) for p in _places(hypotheses, i)} for i in every], 0, hypotheses),
        "first-rib": _mixed(
            [{p: of_upper_end(i, p) for p in _places(hypotheses, i)} for i in every[:middle]], 0, hypotheses
        ),
        "shape": np.logaddexp(np.log(1 - BLIND) + alone, np.log(BLIND) + np.log(np.mean(np.exp(alone)))),
    }


def _places(hypotheses: Sequence[Hypothesis], i: int) -> set[Place]:
    return {h.places[i] for h in hypotheses}


def _mixed(known: Sequence[Mapping[Place, float]], first: int, hypotheses: Sequence[Hypothesis]) -> Floats:
    """Sum over vertebrae from ``first`` on; in one scan of thirty such signs mean nothing at all."""
    told = np.array([sum(at[h.places[first + i]] for i, at in enumerate(known)) for h in hypotheses])
    blind = sum(float(np.log(np.mean(np.sort(np.exp(list(at.values())))))) for at in known)
    mixed: Floats = np.logaddexp(np.log(1 - BLIND) + told, np.log(BLIND) + blind)
    return mixed


def _readings(probability: Floats, hypotheses: Sequence[Hypothesis]) -> list[tuple[tuple[str, ...], float]]:
    """Ways of naming, likeliest first: hypotheses that name all vertebrae alike are one."""
    whole: dict[tuple[str, ...], float] = {}
    for p, h in zip(probability, hypotheses, strict=True):
        whole[h.levels] = whole.get(h.levels, 0.0) + float(p)
    return sorted(whole.items(), key=lambda reading: -reading[1])


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
    decided: int,
) -> tuple[tuple[Anchor, ...], Agreement, float]:
    """What each way of counting says alone, whether they put L1 where it was decided to be, and the most to believe."""
    where = np.array([h.first_lumbar for h in hypotheses])
    anchors, places = [], []
    for kind, likelihood in evidence.items():
        alone = _normalised(prior + likelihood)
        chances = {int(w): float(alone[where == w].sum()) for w in np.unique(where)}
        likeliest = max(chances, key=lambda w: chances[w])
        if chances[likeliest] < TELLING:
            continue
        best = hypotheses[int(np.where(where == likeliest, alone, -1).argmax())]
        anchors.append(Anchor(kind, best.places[0].level, _sentence(kind, best.places, signs, names)))
        if kind != "shape":
            places.append(likeliest)
    for_it = places.count(decided)
    if not places:
        return tuple(anchors), "none", MOST["none"]
    if for_it == len(places):
        agreement: Agreement = "single" if for_it == 1 else "agree"
        return tuple(anchors), agreement, MOST[agreement]
    return (tuple(anchors), "agree", MOST_OUTVOTED) if for_it > 1 else (tuple(anchors), "conflict", MOST["conflict"])


def _sentence(kind: AnchorName, best: Sequence[Place], signs: Sequence[Signs], names: Sequence[str]) -> str:
    if kind == "sacrum":
        top = next((names[i - 1] for i, place in enumerate(best) if place.level == "S1" and i > 0), None)
        seen = f"the sacrum begins below the vertebra named {top}" if top else "no sacrum is in the scan"
        return f"By its wings and the iliac bones {seen}; counted up from it the uppermost vertebra is {best[0].level}."
    size = size_of(signs)
    bearing = [names[i] for i, sign in enumerate(signs) if any(is_rib(reach, size) for reach in sign.reach)]
    if kind == "first-rib":
        first = f"the first ribs seen are at {bearing[0]}; " if bearing else ""
        return f"By the upper ends of rib cage and lungs {first}the uppermost vertebra found is {best[0].level}."
    if kind == "shape":
        return f"By the shapes of bodies and processes the uppermost vertebra found is {best[0].level}."
    ribs = f"ribs were followed from {bearing[0]} to {bearing[-1]}" if bearing else "no vertebra found has ribs"
    return f"Counted by the last ribs, the uppermost vertebra found is {best[0].level}: {ribs}."
