"""The likeliest surfaces of a column: from the outlines, and from other places of each disc, in case they were wrong.

Least squares finds the nearest hollow of the cost only. Where the outline was laid into a neighbour, or along the wrong
side of a wedge, the right one lies beyond a ridge. Each disc is therefore also tried elsewhere: higher and lower,
thicker and thinner, with either endplate tilted or pressed in. What explains the slices better is kept.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from node.imaging.spine.thick.habits import SHAPE_MM, Habits, habits, tilts
from node.imaging.spine.thick.model import Model
from node.imaging.spine.thick.slices import SliceProfile
from node.imaging.spine.thick.solve import Problem

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

SCALE_HU, LEAST_SCALE_HU, GREATEST_SCALE_HU = 25.0, 10.0, 60.0
"""By how much slices miss the model: at first, and between these as measured."""
SHELL_HU_MM, DISC_HU, SPONGIOSA_HU = 400.0, 85.0, 150.0
WIDER = (1.0, 1.4, 2.0)
"""Thickness of slices, as parts of their distance."""
MOVES_MM = (-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0)
TILTS_MM = (-7.0, -3.5, 0.0, 3.5, 7.0)
"""Rise at the back of the whole disc."""
THICKER = (0.5, 1.0, 2.0)
"""Times the median disc."""
PRESSED_MM = ((0.0, 0.0), (4.0, 0.0), (8.0, 0.0), (-4.0, 0.0), (0.0, 5.0))
"""Rise at the back (a wedge) and depth in the middle (hollow) by which either endplate may differ."""
BASES, TRIED = 3, 4
"""The best places of a disc that are varied further; the best of all starts, which are followed."""
WORTH = 1.0
"""Least gain for which a disc is moved."""
LEAST_BODY_MM = 4.0
SWEEPS = 3


def search(model: Model, start: Floats) -> tuple[Floats, Problem]:
    """Return the likeliest unknowns (size,), and the problem that they solve; ``start``: surfaces as outlined."""
    layout = model.layout
    x = start.copy()
    spongiosa = _spongiosa(model, x)
    for body in range(layout.bodies):
        for end in (0, 1):
            x[layout.spongiosa(body, end)] = spongiosa[body]
            x[layout.shell(body, end)] = SHELL_HU_MM
    x[layout.disc(0) :] = DISC_HU
    usual = habits(model, start, spongiosa)
    model, x = _as_wide_as_slices(model, usual, x)
    scale = _scale(model, x)
    problem = Problem(model, usual.at(x), scale)
    x, _ = problem.solved(x, 8)
    level = tilts(model, start)
    waiting = set(range(1, layout.bodies))
    for _ in range(SWEEPS):
        moved: set[int] = set()
        for disc in sorted(waiting):
            better = _moved(problem, x, disc, level, spongiosa)
            if better is not None:
                x = better
                moved.add(disc)
        if not moved:
            break
        problem = Problem(model, usual.at(x), scale)
        x, _ = problem.solved(x, 8)
        waiting = {near for disc in moved for near in (disc - 1, disc, disc + 1) if 1 <= near < layout.bodies}
    return x, problem


def _as_wide_as_slices(model: Model, usual: Habits, x: Floats) -> tuple[Model, Floats]:
    """The model with slices as thick as explains them best, and a first fit: slices may overlap."""
    fits = []
    for times in WIDER:
        wider = replace(model, profile=SliceProfile(times * model.profile.width_mm))
        found, cost = Problem(wider, usual.at(x), SCALE_HU).solved(x, 8)
        fits.append((cost, wider, found))
    _, best, found = min(fits, key=lambda fit: fit[0])
    return best, found


def _spongiosa(model: Model, x: Floats) -> Floats:
    """(bodies,): median attenuation of the slices nearest to each body's middle.

    Of a body with a lesion or outside the scan that of the others.
    """
    layout = model.layout
    found = np.full(layout.bodies, np.nan)
    for body in range(layout.bodies):
        middle = 0.5 * (x[layout.height(body, 0)] + x[layout.height(body, 1)])
        near = [model.windows[disc] for disc in (body, body + 1) if disc in model.windows]
        values = [np.median(one.hu[:, int(np.argmin(np.abs(one.t_mm - middle)))]) for one in near]
        if values:
            found[body] = np.mean(values)
    found[model.lesions] = np.nan
    known = found[np.isfinite(found)]
    return np.where(np.isfinite(found), found, np.median(known) if len(known) else SPONGIOSA_HU)


def _scale(model: Model, x: Floats) -> float:
    if not model.windows:
        return SCALE_HU
    missed = np.concatenate([model.residuals(x, disc) for disc in model.windows])
    return float(np.clip(1.4826 * np.median(np.abs(missed)), LEAST_SCALE_HU, GREATEST_SCALE_HU))


def _moved(problem: Problem, x: Floats, disc: int, level: Floats, spongiosa: Floats) -> Floats | None:
    """Unknowns with one disc elsewhere, if they explain the slices better."""
    layout = problem.model.layout
    if disc not in problem.model.windows:
        return None
    ways = product(MOVES_MM, THICKER, TILTS_MM)
    laid = [_laid(problem, x, disc, level, spongiosa, shift, times, rise) for shift, times, rise in ways]
    possible = [one for one in laid if one is not None]
    if not possible:
        return None
    plain, costs = problem.best_attenuations(np.array(possible), disc)
    bases = [x, *(plain[one] for one in np.argsort(costs)[:BASES])]
    pressed = [
        _pressed(problem, base, disc, upper, lower)
        for base in bases
        for upper, lower in product(PRESSED_MM, PRESSED_MM)
        if upper != (0.0, 0.0) or lower != (0.0, 0.0)
    ]
    tries, more = problem.best_attenuations(np.array(pressed), disc)
    tries, costs = np.concatenate([plain, tries]), np.concatenate([costs, more])
    discs = (disc - 1, disc, disc + 1)
    free = np.unique(np.concatenate([layout.body(disc - 1), layout.body(disc), layout.about(disc)]))
    now = problem.cost(x, discs)
    followed = [problem.solved(tries[one], 8, free, discs) for one in np.argsort(costs)[:TRIED]]
    found, cost = min(followed, key=lambda pair: pair[1])
    return found if cost < now - WORTH else None


def _laid(
    problem: Problem,
    x: Floats,
    disc: int,
    level: Floats,
    spongiosa: Floats,
    shift_mm: float,
    times: float,
    rise_mm: float,
) -> Floats | None:
    """Usual endplates about a disc, higher or lower than they are, or ``None`` where no body would be left."""
    layout = problem.model.layout
    upper, lower = layout.height(disc - 1, 1), layout.height(disc, 0)
    gaps = [x[layout.height(one - 1, 1)] - x[layout.height(one, 0)] for one in range(1, layout.bodies)]
    half = 0.5 * times * float(np.clip(np.median(gaps), 2.5, 14.0))
    middle = 0.5 * (x[upper] + x[lower]) + shift_mm
    out = x.copy()
    for body, end, sign in ((disc - 1, 1, -1.0), (disc, 0, 1.0)):
        shape = [sign * usual for usual, _ in SHAPE_MM]
        left, back = level[body, end]
        out[layout.surface(body, end)] = [middle - sign * half, left, back + rise_mm, *shape]
        out[[layout.spongiosa(body, 0), layout.spongiosa(body, 1)]] = spongiosa[body]
    heights = [out[layout.height(body, 0)] - out[layout.height(body, 1)] for body in (disc - 1, disc)]
    return out if min(heights) >= LEAST_BODY_MM else None


def _pressed(problem: Problem, x: Floats, disc: int, upper: tuple[float, float], lower: tuple[float, float]) -> Floats:
    """The endplates above and below a disc tilted, and pressed into their bodies in the middle."""
    layout = problem.model.layout
    out = x.copy()
    for body, end, sign, (rise, hollow) in ((disc - 1, 1, -1.0, upper), (disc, 0, 1.0, lower)):
        first = layout.height(body, end)
        out[first + 2] += sign * rise
        out[first + 3] -= sign * hollow
    return out
