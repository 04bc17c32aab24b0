"""Smooth surfaces of least cost through stacks of profiles.

Each profile runs across the surface sought (outward from a vertebral body); the surface picks one position on
every profile. Costs are gathered along the four directions of the profile grid by dynamic programming
(semi-global matching, Hirschmüller, IEEE TPAMI 30:328, 2008), which is close to the optimal surface of
Li, Wu et al. (IEEE TPAMI 28:119, 2006) at a small part of its time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float32]


def least_cost_surface(cost: Floats, jump_cost: NDArray[np.float64], *, closed_rows: bool = False) -> Floats:
    """Return the surface position on every profile, in fractional steps.

    ``cost`` has shape (batch, rows, columns, positions); ``jump_cost[n]`` is what a step of ``n`` positions
    between neighbouring profiles costs, and steps beyond its length are not allowed. ``closed_rows``: the last row is
    a neighbour of the first (angles around an axis). The result has shape (batch, rows, columns).
    """
    rows = cost.shape[1]
    gathered = np.zeros_like(cost)
    turned = np.concatenate([cost, cost], axis=1) if closed_rows else cost
    for reverse in (False, True):
        along_rows = _gather(turned[:, ::-1] if reverse else turned, 1, jump_cost)
        along_rows = along_rows[:, -rows:]
        gathered += along_rows[:, ::-1] if reverse else along_rows
        along_columns = _gather(cost[:, :, ::-1] if reverse else cost, 2, jump_cost)
        gathered += along_columns[:, :, ::-1] if reverse else along_columns
    return _fractional_minimum(gathered)


def _gather(cost: Floats, axis: int, jump_cost: NDArray[np.float64]) -> Floats:
    """Least cost of a path that ends at each position, walking up ``axis``."""
    walk = np.moveaxis(cost, axis, 0)
    out = np.empty_like(walk)
    out[0] = walk[0]
    reach = len(jump_cost) - 1
    positions = walk.shape[-1]
    padded = np.full((*walk.shape[1:-1], positions + 2 * reach), np.inf, dtype=np.float32)
    for step in range(1, walk.shape[0]):
        before = out[step - 1]
        padded[..., reach : reach + positions] = before - before.min(axis=-1, keepdims=True)
        best = padded[..., reach : reach + positions].copy()
        for jump in range(1, reach + 1):
            price = np.float32(jump_cost[jump])
            np.minimum(best, padded[..., reach - jump : reach - jump + positions] + price, out=best)
            np.minimum(best, padded[..., reach + jump : reach + jump + positions] + price, out=best)
        out[step] = walk[step] + best
    return np.moveaxis(out, 0, axis)


def _fractional_minimum(cost: Floats) -> Floats:
    """Position of the least cost with the vertex of the parabola through its neighbours."""
    last = cost.shape[-1] - 1
    low = np.argmin(cost, axis=-1)
    inner = np.clip(low, 1, last - 1)[..., None]
    left, mid, right = (np.take_along_axis(cost, inner + shift, axis=-1)[..., 0] for shift in (-1, 0, 1))
    bend = left - 2.0 * mid + right
    vertex = np.divide(left - right, 2.0 * bend, out=np.zeros_like(bend), where=bend > 1e-6)
    inside = (low > 0) & (low < last)
    return np.asarray(np.where(inside, low + np.clip(vertex, -0.5, 0.5), low), dtype=np.float32)


def outward_fall(profiles: Floats, sigma: float) -> Floats:
    """Fall of attenuation along the last axis (positive where it drops outward), smoothed with ``sigma`` steps."""
    fall: Floats = -gaussian_filter1d(profiles, sigma, axis=-1, order=1, mode="nearest")
    return fall


def passed_edges(score: Floats, steps: int) -> Floats:
    """The strongest fall that lies more than ``steps`` further in on the same profile, 0 to 1.

    Beyond the body's own surface other structures end too (the arch behind the canal, the next endplate): of two
    edges the inner one is meant.
    """
    passed = np.zeros_like(score)
    strongest = np.maximum.accumulate(np.clip(score, 0.0, 1.0), axis=-1)
    passed[..., steps:] = strongest[..., :-steps]
    return np.asarray(passed, dtype=np.float32)
