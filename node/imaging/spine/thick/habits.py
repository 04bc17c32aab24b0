"""What columns are usually like: how much each unknown of the model may differ from what is expected.

Every rule is one row of a matrix: a sum of unknowns, what it should be, and by how much it usually misses that. Misses
follow Student's law (Lange, Little and Taylor, J Am Stat Assoc 84:881, 1989), so that a broken body is not forced to
look like a sound one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from node.imaging.spine.thick.model import Model, Patch

Floats = NDArray[np.float64]

FREEDOM = 3.0
"""Degrees of freedom of Student's law."""
PLACE_MM = 6.0
"""From where an endplate was outlined."""
TILT_MM = (1.5, 2.5)
"""Rise at the side and at the back against a plane across the column."""
SHAPE_MM = ((-1.5, 2.0), (0.0, 0.6), (0.0, 0.6), (0.0, 0.8), (0.0, 0.7), (0.0, 0.7))
"""Usual value and spread of the dish, u², uv, v², v³ and u²v of a superior endplate: hollow."""
PARALLEL_MM = (1.5, 2.0)
"""Rise at the side and at the back of two endplates that face each other, against each other."""
HEIGHT_PART = 0.15
"""Of the median height of the neighbours."""
NEIGHBOURS = 3
"""To either side."""
DISC_MM, DISC_PART = 1.0, 0.25
"""Spread of a disc's thickness: always, and of the median of the neighbours' besides."""
THINNEST_DISC_MM, FLATTEST_BODY_MM = 1.5, 6.0
SHELL_HU_MM, SHELL_RANGE_HU_MM = 100.0, (150.0, 900.0)
"""Spread of the shells' mass about their median, and where that may lie."""
DISC_HU, DISC_RANGE_HU = 35.0, (40.0, 150.0)
"""The same of the discs' attenuation."""
SPONGIOSA_HU, HALVES_HU = 60.0, 30.0
"""From the median in the middle of the outline; between the halves of a body."""


class Kind(IntEnum):
    """How it is known what a rule expects."""

    FIXED = 0
    HEIGHT = 1
    """Of a body: the median of the neighbours'."""
    GAP = 2
    """Between two bodies: likewise."""
    SHELL = 3
    """The median of all shells."""
    DISC = 4
    """The median attenuation of all discs."""
    LEAST = 5
    """Fixed, and only missed by what is less."""


_RANGES = {
    Kind.HEIGHT: (8.0, 45.0, 0.0, HEIGHT_PART),
    Kind.GAP: (2.5, 14.0, DISC_MM, DISC_PART),
    Kind.SHELL: (*SHELL_RANGE_HU_MM, SHELL_HU_MM, 0.0),
    Kind.DISC: (*DISC_RANGE_HU, DISC_HU, 0.0),
}
"""Least and greatest that is expected, and the spread: always, and as a part of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """Rules of one column."""

    rows: Floats
    """(rules, unknowns)."""
    fixed: Floats
    """(rules,): what each should be, where that does not follow from the others of its kind."""
    spread: Floats
    """(rules,): by how much it usually misses that, likewise."""
    kinds: NDArray[np.intp]
    """(rules,) of ``Kind``."""

    def at(self, x: Floats) -> Rules:
        """The rules with what follows from the others of a kind taken from these unknowns."""
        expected, spread = self.fixed.copy(), self.spread.copy()
        found = self.rows @ x
        for kind, (low, high, always, part) in _RANGES.items():
            which = np.flatnonzero(self.kinds == kind)
            if kind in (Kind.HEIGHT, Kind.GAP):
                usual = _of_neighbours(found[which])
            else:
                usual = np.full(len(which), np.median(found[which]))
            expected[which] = np.clip(usual, low, high)
            spread[which] = always + part * expected[which]
        return Rules(self.rows / spread[:, None], expected / spread, self.kinds == Kind.LEAST)


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """Rules in units of their spreads."""

    rows: Floats
    expected: Floats
    least: NDArray[np.bool_]
    """Those that only a value below the expected one misses."""

    def missed(self, x: Floats) -> Floats:
        """(rules,) or (rules, tries) for unknowns (size,) or (size, tries): expected less found."""
        missed = (self.expected - (self.rows @ x).T).T
        missed[self.least] = np.maximum(missed[self.least], 0.0)
        return np.asarray(missed)

    def cost(self, x: Floats) -> Floats:
        """-2 log of the probability, but for a constant."""
        return np.asarray((FREEDOM + 1.0) * np.log1p(self.missed(x) ** 2 / FREEDOM).sum(axis=0))


def _of_neighbours(values: Floats) -> Floats:
    """Median of those about each, itself left out."""
    n = len(values)
    near = [[m for m in range(max(k - NEIGHBOURS, 0), min(k + NEIGHBOURS + 1, n)) if m != k] or [k] for k in range(n)]
    return np.array([np.median(values[one]) for one in near])


def habits(model: Model, start: Floats, spongiosa_hu: Floats) -> Habits:
    """Rules about the outlines the model was built from; ``spongiosa_hu``: (bodies,) as measured in their middles."""
    layout, count = model.layout, model.layout.bodies
    rows: list[dict[int, float]] = []
    expected: list[float] = []
    spreads: list[float] = []
    kinds: list[int] = []

    def rule(parts: dict[int, float], value: float, spread: float, kind: Kind = Kind.FIXED) -> None:
        rows.append(parts)
        expected.append(value)
        spreads.append(spread)
        kinds.append(kind)

    across = tilts(model, start)
    for body in range(count):
        for end, sign in ((0, 1.0), (1, -1.0)):
            first = layout.height(body, end)
            rule({first: 1.0}, float(start[first]), PLACE_MM)
            for number in (0, 1):
                rule({first + 1 + number: 1.0}, across[body, end, number], TILT_MM[number])
            for number, (usual, spread) in enumerate(SHAPE_MM):
                rule({first + 3 + number: 1.0}, sign * usual, spread)
            rule({layout.shell(body, end): 1.0}, 0.0, 1.0, Kind.SHELL)
            rule({layout.spongiosa(body, end): 1.0}, float(spongiosa_hu[body]), SPONGIOSA_HU)
        rule({layout.spongiosa(body, 0): 1.0, layout.spongiosa(body, 1): -1.0}, 0.0, HALVES_HU)
        height = {layout.height(body, 0): 1.0, layout.height(body, 1): -1.0}
        rule(height, 0.0, 1.0, Kind.HEIGHT)
        rule(height, FLATTEST_BODY_MM, 0.5, Kind.LEAST)
    for disc in range(count + 1):
        rule({layout.disc(disc): 1.0}, 0.0, 1.0, Kind.DISC)
        if 0 < disc < count:
            upper, lower = layout.height(disc - 1, 1), layout.height(disc, 0)
            for number in (0, 1):
                rule({upper + 1 + number: 1.0, lower + 1 + number: -1.0}, 0.0, PARALLEL_MM[number])
            rule({upper: 1.0, lower: -1.0}, 0.0, 1.0, Kind.GAP)
            rule({upper: 1.0, lower: -1.0}, THINNEST_DISC_MM, 0.3, Kind.LEAST)
    matrix = np.zeros((len(rows), layout.size))
    for number, parts in enumerate(rows):
        for place, factor in parts.items():
            matrix[number, place] = factor
    return Habits(matrix, np.array(expected), np.array(spreads), np.array(kinds))


def tilts(model: Model, start: Floats) -> Floats:
    """(bodies, ends, 2): rise at the left side and at the back of planes across the line through the bodies."""
    layout, count = model.layout, model.layout.bodies
    middles = np.array(
        [
            [
                *(0.5 * (patches[0].centre_mm + patches[1].centre_mm)),
                0.5 * (start[layout.height(body, 0)] + start[layout.height(body, 1)]),
            ]
            for body, patches in enumerate(model.patches)
        ]
    )
    found = np.zeros((count, 2, 2))
    for disc in range(1, count):
        along = middles[disc - 1] - middles[disc]
        found[disc - 1, 1] = _rise(along, model.patches[disc - 1][1])
        found[disc, 0] = _rise(along, model.patches[disc][0])
    found[0, 0], found[-1, 1] = found[0, 1], found[-1, 0]
    return found


def _rise(along: Floats, patch: Patch) -> tuple[float, float]:
    """Rise at the left side and at the back of the plane across ``along`` (p, q, t)."""
    flat = along[:2] / along[2]
    return -float(flat @ patch.left) * patch.half_width_mm, -float(flat @ patch.back) * patch.half_depth_mm
