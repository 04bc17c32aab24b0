"""Unknowns of the model by robust least squares.

Steps are Marquardt's (J SIAM 11:431, 1963), weights those of Student's law (Lange, Little and Taylor, J Am Stat Assoc
84:881, 1989), of one kind for the slices and of another for what is usual. Each disc's slices meet a tenth of the
unknowns of a column: its normal equations are gathered disc by disc, and a few discs can be solved alone.
(``scipy.optimize`` knows one law for all residuals, and would hold the whole matrix of slopes in every step.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.imaging.spine.thick.habits import FREEDOM, Rules
from node.imaging.spine.thick.model import Model, explained

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

ALIKE_MM2 = 50.0
"""Columns on so large an area count as one: neighbours miss the model by the same."""
TAILS = 4.0
"""Degrees of freedom of the residuals' law."""
FIRST_DAMPING, CALMER, WILDER, TRIES = 1e-2, 5.0, 0.2, 8
SETTLED = 1e-4
"""Relative gain below which nothing more is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The model, what is usual, and how far the model is missed in HU."""

    model: Model
    rules: Rules
    scale_hu: float

    @property
    def alike(self) -> float:
        """So many residuals count as one."""
        return max(ALIKE_MM2 / self.model.column_mm**2, 1.0)

    def cost(self, x: Floats, discs: Iterable[int]) -> float:
        """-2 log of the probability of unknowns, by the slices about some discs and by what is usual."""
        return float(self.rules.cost(x)) + sum(self._missed(x, disc) for disc in discs if disc in self.model.windows)

    def _missed(self, x: Floats, disc: int) -> float:
        return float(self._robust(self.model.residuals(x, disc)))

    def _robust(self, residuals: Floats) -> Floats:
        squared = (residuals / self.scale_hu) ** 2
        return np.asarray((TAILS + 1.0) * np.log1p(squared / TAILS).sum(axis=-1) / self.alike)

    def best_attenuations(self, tries: Floats, disc: int) -> tuple[Floats, Floats]:
        """Unknowns (tries, size) with attenuations that fit their surfaces about one disc, and their costs (tries,)."""
        window = self.model.windows[disc]
        slopes, share, unknowns = self.model.attenuations(tries, disc)
        rows, least = self.rules.rows[:, unknowns], self.rules.least
        others = self.rules.expected[:, None] - self.rules.rows @ tries.T + rows @ tries[:, unknowns].T
        plain = ~(window.gas | window.cement)
        flat = slopes[:, plain] / window.spread[plain][:, None]
        weight = 1.0 / (self.scale_hu**2 * self.alike)
        left = weight * flat.transpose(0, 2, 1) @ flat + rows[~least].T @ rows[~least]
        right = (
            weight * (flat.transpose(0, 2, 1) @ (window.hu / window.spread)[plain])
            + (rows[~least].T @ others[~least]).T
        )
        found = tries.copy()
        found[:, unknowns] = np.linalg.solve(left, right[..., None])[..., 0]
        missed = window.hu - (slopes @ found[:, unknowns][:, None, :, None])[..., 0]
        residuals = (explained(missed, share, window) / window.spread).reshape(len(tries), -1)
        return found, self._robust(residuals) + self.rules.cost(found.T)

    def normal(self, x: Floats, discs: Iterable[int], free: Indices) -> tuple[Floats, Floats]:
        """Normal equations of the free unknowns: (free, free) and (free,), weighed as they lie now."""
        place = np.full(self.model.layout.size, -1)
        place[free] = np.arange(len(free))
        left, right = np.zeros((len(free), len(free))), np.zeros(len(free))
        for disc in discs:
            if disc not in self.model.windows:
                continue
            residual, unknowns, slopes = self.model.linearised(x, disc)
            chosen = place[unknowns] >= 0
            at, slopes = place[unknowns[chosen]], slopes[:, chosen]
            weight = (TAILS + 1.0) / (TAILS + (residual / self.scale_hu) ** 2) / (self.scale_hu**2 * self.alike)
            weighted = slopes * weight[:, None]
            left[np.ix_(at, at)] += weighted.T @ slopes
            right[at] += weighted.T @ residual
        missed = self.rules.missed(x)
        rows = self.rules.rows[:, free]
        missed_weight = (FREEDOM + 1.0) / (FREEDOM + missed**2)
        missed_weight[self.rules.least & (missed == 0.0)] = 0.0
        left += rows.T @ (rows * missed_weight[:, None])
        right += rows.T @ (missed_weight * missed)
        return left, right

    def solved(
        self, x: Floats, rounds: int, free: Indices | None = None, discs: Iterable[int] | None = None
    ) -> tuple[Floats, float]:
        """Better unknowns, of which only the ``free`` ones are changed, and their cost."""
        free = np.arange(self.model.layout.size) if free is None else free
        discs = list(self.model.windows if discs is None else discs)
        cost, damping = self.cost(x, discs), FIRST_DAMPING
        for _ in range(rounds):
            left, right = self.normal(x, discs, free)
            for _ in range(TRIES):
                tried = x.copy()
                tried[free] += np.linalg.solve(left + np.diag(damping * np.diag(left) + 1e-9), right)
                reached = self.cost(tried, discs)
                if reached < cost:
                    break
                damping *= CALMER
            else:
                break
            gain, x, cost, damping = cost - reached, tried, reached, max(damping * WILDER, 1e-5)
            if gain < SETTLED * max(cost, 1.0):
                break
        return x, cost
