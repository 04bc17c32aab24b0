"""What is seen at each vertebra, and how likely that is at each level: ribs, processes, pelvis, lungs, shape.

Lengths are judged in the person's own size: a child's ribs and processes are short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from node.imaging.spine.ribs import Reach

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen at one vertebra."""

    reach: tuple[Reach, Reach]
    """To the right and to the left."""
    sacral: float | None
    """See ``sacrum.sacral_scores``."""
    lung: float | None
    """Part of the space beside it that is lung."""
    width_mm: float | None = None
    """Of its body."""
    depth_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One vertebra of a hypothesis: its name, and what it should look like."""

    level: str
    ribs: str
    """Row of the table of ribs."""
    pelvis: Literal["above", "last free", "sacrum"]


def size_of(signs: Sequence[Signs]) -> float:
    """The person's size by the widest bodies found, 1 for adults; lumbar bodies of adults are 38 to 52 mm wide."""
    widths = [sign.width_mm for sign in signs if sign.width_mm is not None]
    return float(np.clip(max(widths, default=40.0) / 40.0, 0.55, 1.0))


# ------------------------------------------------------------------------------------------- ribs and processes

BESIDE_MM = (8.0, 31.0, 41.0, 62.0)
"""From the side of the body: lumbar processes pass the first, end before the second (L3 in men), all but short ribs
pass the third, lumbar and short twelfth ribs end before the fourth."""
FALL_MM = 7.0
"""Ribs end lower than they begin; transverse processes do not."""
ALIKE = 0.6
"""Part of people in whom what makes one side unusual makes the other so too."""

RIBS: Mapping[str, tuple[float, float, float, float, float, float]] = {
    "C": (0.72, 0.17, 0.04, 0.02, 0.03, 0.02),
    "C7": (0.16, 0.52, 0.12, 0.07, 0.10, 0.03),
    "T1": (0.03, 0.04, 0.06, 0.10, 0.60, 0.17),
    "T": (0.006, 0.006, 0.009, 0.009, 0.02, 0.95),
    "last rib": (0.02, 0.07, 0.04, 0.08, 0.19, 0.60),
    "lumbar rib": (0.02, 0.25, 0.13, 0.20, 0.32, 0.08),
    "T12 without": (0.46, 0.46, 0.03, 0.01, 0.02, 0.02),
    "L": (0.05, 0.90, 0.025, 0.007, 0.009, 0.009),
    "last free": (0.05, 0.62, 0.12, 0.03, 0.08, 0.10),
    "S": (0.25, 0.20, 0.15, 0.10, 0.15, 0.15),
}
"""Chance that bone ends at once, like a process, a little later without falling, a little later but falling, like a
short rib, far out. Twelfth ribs are hypoplastic in 12.6 % (PMID 40381031): then hardly longer than processes."""


def is_rib(reach: Reach, size: float = 1.0) -> bool:
    """Whether the bone goes on far beyond any transverse process."""
    return reach.beside_mm >= BESIDE_MM[2] * size


def rib_log_likelihood(sign: Signs, place: Place, size: float) -> float:
    """Of both sides' reaches; the two sides of one vertebra are mostly alike."""
    table = np.array(RIBS[place.ribs])
    right, left = (_possible(reach, size) for reach in sign.reach)
    alike = float((table * right * left).sum())
    apart = float((table * right).sum() * (table * left).sum())
    return float(np.log(ALIKE * alike + (1 - ALIKE) * apart))


def _possible(reach: Reach, size: float) -> Floats:
    """Which columns of the table a reach can belong to: a cut one to several."""
    kind = int(np.searchsorted(BESIDE_MM, reach.beside_mm / size, side="right"))
    falling = reach.fall_mm > FALL_MM * size
    column = kind + 1 if kind > 2 or (kind == 2 and falling) else kind
    possible = np.arange(6) >= column if reach.cut else np.arange(6) == column
    if reach.cut and falling:
        possible[:3] = False
    return possible.astype(np.float64)


def is_process(reach: Reach, size: float) -> bool:
    """Whether bone ends where transverse processes end, wholly seen."""
    return not reach.cut and BESIDE_MM[0] <= reach.beside_mm / size < BESIDE_MM[1]


EXTENT_MM: Mapping[str, float] = {"C7": 45.0, "T1": 59.0, "T2": 78.0, "T3": 94.0, "T12": 85.0}
WIDE_CAGE_MM, EXTENT_SPREAD, LOST_TRACK = 108.0, 0.16, 0.15
"""How far from the midline ribs go: the first bends forward early. Spread of its logarithm; part of tracks that end
anywhere."""


def extent_log_likelihood(sign: Signs, place: Place, size: float) -> float:
    """Of how far to the side the ribs of a vertebra at the upper end of the cage reach."""
    total = 0.0
    mean = np.log(EXTENT_MM.get(place.level, WIDE_CAGE_MM))
    for reach in sign.reach:
        if not is_rib(reach, size):
            continue
        z = (np.log(reach.mm / size) - mean) / EXTENT_SPREAD
        fits = ndtr(-z) if reach.cut else np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) / EXTENT_SPREAD
        total += 0.5 * float(np.log((1 - LOST_TRACK) * fits + LOST_TRACK))
    return total


# --------------------------------------------------------------------------------------------- pelvis and lungs

_PELVIS: Mapping[str, tuple[float, float]] = {"above": (-7.0, 2.2), "last free": (-3.2, 2.0), "sacrum": (2.2, 1.6)}
"""Mean and spread of the sacral score."""


def sacral_log_likelihood(sign: Signs, place: Place) -> float:
    """Of the pelvis beside the vertebra; heavy tails, since contrast medium, metal and hips imitate it."""
    if sign.sacral is None:
        return 0.0
    mean, spread = _PELVIS[place.pelvis]
    z = (min(max(sign.sacral, -8.0), 4.0) - mean) / spread
    return float(np.log(0.99 * np.exp(-0.5 * z * z) / spread + 0.002))


_LUNG: Mapping[str, tuple[float, float, float]] = {
    "C": (0.97, 0.02, 0.01),
    "C7": (0.85, 0.12, 0.03),
    "T1": (0.25, 0.50, 0.25),
    "T2": (0.06, 0.30, 0.64),
    "T3": (0.03, 0.12, 0.85),
    "T": (0.03, 0.07, 0.90),
    "T10": (0.05, 0.20, 0.75),
    "T11": (0.20, 0.40, 0.40),
    "T12": (0.45, 0.38, 0.17),
    "L1": (0.78, 0.18, 0.04),
    "L": (0.97, 0.02, 0.01),
    "S": (0.97, 0.02, 0.01),
}
"""Chance of no (< 3 %), some, much (> 30 %) lung beside a vertebra: its apex lies at T1, its end varies by three."""


def lung_log_likelihood(sign: Signs, place: Place) -> float:
    """Of the lung beside the vertebra; weakened, because neighbours are not independent."""
    if sign.lung is None:
        return 0.0
    table = _LUNG.get(place.level, _LUNG[place.level[0]])
    return 0.5 * float(np.log(table[0 if sign.lung < 0.03 else 1 if sign.lung < 0.3 else 2]))


# --------------------------------------------------------------------------------------------------------- shape

DEPTH_OF_WIDTH: Mapping[str, float] = {
    "C": 0.64, "C7": 0.65, "T1": 0.64, "T2": 0.70, "T3": 0.79, "T4": 0.85, "T5": 0.89, "T6": 0.91, "T7": 0.92,
    "T8": 0.92, "T9": 0.91, "T10": 0.88, "T11": 0.84, "T12": 0.80, "L1": 0.78, "L2": 0.775, "L3": 0.76, "L4": 0.735,
    "L5": 0.70, "L6": 0.68, "S": 0.62,
}  # fmt: skip
"""Depth of bodies as a part of their width (Panjabi 1991 and 1992): flat in neck and loin, deep in the chest."""
PROCESS_MM: Mapping[str, float] = {"L1": 15.0, "L2": 18.5, "L3": 23.0, "L4": 19.5, "L5": 21.0, "L6": 21.0}
"""How far transverse processes pass the body's side: those of L3 are the longest (Panjabi 1992)."""
OTHER_PROCESS_MM = 13.0
SPREAD, COMMON = 0.07, 0.08
"""Of the logarithm of depth to width, at one vertebra and common to a person."""
PROCESS_SPREAD_MM, OTHER_SPREAD_MM, PROCESS_COMMON_MM = 4.0, 8.0, 4.0


def depth_log_likelihood(signs: Sequence[Signs], levels: Sequence[str]) -> float:
    """Of the course of depth to width along the column, whatever the person's own mean."""
    off = [
        np.log(sign.depth_mm / sign.width_mm) - np.log(DEPTH_OF_WIDTH.get(level, DEPTH_OF_WIDTH.get(level[0], 0.8)))
        for sign, level in zip(signs, levels, strict=True)
        if sign.depth_mm and sign.width_mm
    ]
    return 0.5 * _together(np.array(off), np.full(len(off), SPREAD), COMMON)


def process_log_likelihood(signs: Sequence[Signs], levels: Sequence[str], size: float) -> float:
    """Of the course of the processes' lengths, where they are seen on both sides."""
    off, spread = [], []
    for sign, level in zip(signs, levels, strict=True):
        if all(is_process(reach, size) for reach in sign.reach):
            beside = 0.5 * (sign.reach[0].beside_mm + sign.reach[1].beside_mm) / size
            off.append(beside - PROCESS_MM.get(level, OTHER_PROCESS_MM))
            spread.append(PROCESS_SPREAD_MM if level in PROCESS_MM else OTHER_SPREAD_MM)
    return _together(np.array(off), np.array(spread), PROCESS_COMMON_MM)


def _together(off: Floats, spread: Floats, common: float) -> float:
    """Log-density of deviations that share a part of spread ``common`` (Sherman and Morrison); tails are held."""
    if not len(off):
        return 0.0
    off = np.clip(off, -2.5 * spread - common, 2.5 * spread + common)
    weight = 1 / spread**2
    shared = common**2 / (1 + common**2 * weight.sum())
    square = float((weight * off**2).sum() - shared * (weight * off).sum() ** 2)
    logarithm = float(np.log(spread**2).sum() + np.log(1 + common**2 * weight.sum()))
    return -0.5 * (square + logarithm)
