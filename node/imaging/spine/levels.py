"""The names of the vertebrae: every way of counting is weighed, none is followed blindly.

A hypothesis says how many thoracic (11 to 13) and lumbar (4 to 6) vertebrae this person has and which vertebra is the
uppermost one found. Ribs, pelvis and lungs each give every hypothesis a likelihood; with the frequency of the variants
(facts and sources in docs) they give a probability for every name of every vertebra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from node.domain.spine import LEVELS, Anchor, LevelAssignment
from node.imaging.spine.ribs import Reach

MOST = 0.99
"""No name is ever surer than this."""

COUNTS: Mapping[tuple[int, int], float] = {
    (12, 5): 0.900,
    (12, 4): 0.035,
    (12, 6): 0.025,
    (11, 5): 0.012,
    (11, 6): 0.012,
    (13, 5): 0.006,
    (13, 4): 0.010,
}
"""(thoracic, lumbar) vertebrae → part of people. Whole-spine CT, n = 551: sacralised (23 segments) and lumbarised spines;
eleven and thirteen rib pairs (PMID 40381031; PMC3948909). Hypoplastic twelfth ribs (about one in eight) are in the
likelihood of the ribs instead."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen at one vertebra."""

    reach: tuple[Reach, Reach]
    sacral: float | None
    """See ``sacrum.sacral_scores``."""
    lung: float | None
    """Part of the space beside it that is lung."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Names head to foot, each with its probability."""

    names: tuple[str, ...]
    confidence: tuple[float, ...]
    assignment: LevelAssignment


def name(signs: list[Signs], shown: int) -> Naming:
    """Name the first ``shown`` vertebrae; further signs (sacrum below the last disc) only help."""
    hypotheses, prior = _hypotheses(len(signs))
    evidence = {
        "ribs": np.array([sum(_rib(s, n) for s, n in zip(signs, h, strict=True)) for h in hypotheses]),
        "sacrum": np.array([sum(_sacral(s, n) for s, n in zip(signs, h, strict=True)) for h in hypotheses]),
        "first-rib": np.array([sum(_lung(s, n) for s, n in zip(signs, h, strict=True)) for h in hypotheses]),
    }
    posterior = _normal(prior + sum(evidence.values()))
    labels = [[_plain(n) for n in h] for h in hypotheses]
    best = max(range(len(hypotheses)), key=lambda i: _offset_mass(posterior, labels, i, shown))
    names = labels[best][:shown]
    sure = [float(sum(p for p, h in zip(posterior, labels, strict=True) if h[i] == names[i])) for i in range(shown)]
    sure = [min(MOST, c) for c in sure]
    return Naming(tuple(names), tuple(sure), _assignment(names, sure, evidence, prior, labels, signs, shown))


def _offset_mass(posterior: np.ndarray, labels: list[list[str]], i: int, shown: int) -> float:
    return float(posterior[i])


def _hypotheses(count: int) -> tuple[list[tuple[str, ...]], np.ndarray]:
    found, prior = [], []
    for (thoracic, lumbar), part in COUNTS.items():
        chain = (
            [f"C{n}" for n in range(1, 8)]
            + [f"T{n}" for n in range(1, thoracic + 1)]
            + [f"L{n}{'*' if n == lumbar else ''}" for n in range(1, lumbar + 1)]
            + [f"S{n}" for n in range(1, 6)]
        )
        if thoracic == 11:
            chain[chain.index("T11")] = "T11*"
        starts = max(1, len(chain) - count + 1)
        for start in range(starts):
            if len(chain[start : start + count]) == count:
                found.append(tuple(chain[start : start + count]))
                prior.append(np.log(part / starts))
    return found, np.array(prior)


def _plain(level: str) -> str:
    return level.rstrip("*")


def _normal(log_weight: np.ndarray) -> np.ndarray:
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum()


def _rib(sign: Signs, level: str) -> float:
    """Log-likelihood of the reaches at a level: (ends like a process, in between, goes on like a rib)."""
    table = _rib_table(level)
    total = 0.0
    for reach in sign.reach:
        if reach.mm >= 64:
            chance = table[2]
        elif reach.cut:
            chance = 1.0
        elif reach.mm >= 54:
            chance = table[1]
        else:
            chance = table[0]
        total += float(np.log(chance))
    return 0.75 * total


def _rib_table(level: str) -> tuple[float, float, float]:
    kind, number = level[0], int(level[1:].rstrip("*"))
    if kind == "C":
        return (0.60, 0.22, 0.18) if number == 7 else (0.85, 0.10, 0.05)
    if kind == "T":
        if level == "T11*" or number >= 12:
            return (0.10, 0.10, 0.80)
        return {1: (0.06, 0.16, 0.78), 11: (0.015, 0.025, 0.96)}.get(number, (0.01, 0.02, 0.97))
    if kind == "L":
        if level.endswith("*"):
            return (0.68, 0.15, 0.17)
        return (0.935, 0.035, 0.03) if number == 1 else (0.96, 0.025, 0.015)
    return (0.40, 0.30, 0.30)


def _sacral(sign: Signs, level: str) -> float:
    if sign.sacral is None:
        return 0.0
    if level[0] == "S":
        mean, spread = 2.2, 1.6
    elif level.endswith("*") and level[0] == "L":
        mean, spread = -2.7, 1.3
    else:
        mean, spread = -7.0, 2.2
    z = (max(sign.sacral, -8.0) - mean) / spread
    return float(np.log(0.97 * np.exp(-0.5 * z * z) / spread + 0.01))


LUNG: Mapping[str, tuple[float, float, float]] = {
    "C": (0.95, 0.04, 0.01),
    "T1": (0.60, 0.35, 0.05),
    "T2": (0.15, 0.60, 0.25),
    "T3": (0.05, 0.25, 0.70),
    "T": (0.03, 0.07, 0.90),
    "T10": (0.05, 0.20, 0.75),
    "T11": (0.20, 0.40, 0.40),
    "T12": (0.45, 0.38, 0.17),
    "L1": (0.78, 0.18, 0.04),
    "L": (0.97, 0.02, 0.01),
    "S": (0.97, 0.02, 0.01),
}
"""Chance of (no, some, much) lung beside a vertebra."""


def _lung(sign: Signs, level: str) -> float:
    if sign.lung is None:
        return 0.0
    table = LUNG.get(_plain(level), LUNG[level[0]])
    return 0.6 * float(np.log(table[0 if sign.lung < 0.03 else 1 if sign.lung < 0.3 else 2]))


def _assignment(
    names: list[str],
    sure: list[float],
    evidence: Mapping[str, np.ndarray],
    prior: np.ndarray,
    labels: list[list[str]],
    signs: list[Signs],
    shown: int,
) -> LevelAssignment:
    anchors = []
    for kind, likelihood in evidence.items():
        alone = _normal(prior + likelihood)
        first: dict[str, float] = {}
        for p, h in zip(alone, labels, strict=True):
            first[h[0]] = first.get(h[0], 0.0) + float(p)
        top = max(first, key=lambda level: first[level])
        if first[top] < 0.5:
            continue
        anchors.append(Anchor(kind, top, _sentence(kind, top, names, signs, shown)))  # type: ignore[arg-type]
    said = {a.level_of_first for a in anchors}
    strong = [a for a in anchors if a.name in ("ribs", "sacrum", "first-rib")]
    agreement = "none" if not strong else "conflict" if len(said) > 1 else "single" if len(strong) == 1 else "agree"
    at = (
        names.index("L1")
        if "L1" in names
        else min(range(shown), key=lambda i: abs(LEVELS.index(names[i]) - LEVELS.index("L1")))
    )
    pairs = sum(min(s.reach[0].mm, s.reach[1].mm) >= 64 for s in signs[:shown])
    return LevelAssignment(tuple(anchors), agreement, pairs, sure[at])  # type: ignore[arg-type]


def _sentence(kind: str, first: str, names: list[str], signs: list[Signs], shown: int) -> str:
    if kind == "ribs":
        bearing = [n for n, s in zip(names, signs, strict=False) if max(r.mm for r in s.reach) >= 64]
        return f"Ribs were followed from {len(bearing)} vertebrae; counted by them the uppermost found is {first}."
    if kind == "sacrum":
        return f"Counted up from the wings of the sacrum and the iliac bones, the uppermost vertebra found is {first}."
    return f"By where the lungs begin and end, the uppermost vertebra found is {first}."
