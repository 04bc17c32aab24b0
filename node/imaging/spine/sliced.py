"""The outer face of an endplate that lies along the slices: fitted to what the slices hold.

A thin shell inside one slice looks the same wherever in the slice it lies, and between slices there is nothing but
interpolation: the steepest fall then sits midway between two slices, whatever the shape. Each profile is therefore
compared with what interpolation between slices would have made of spongiosa, shell and disc (as in ``shell``, blurred
by a Gaussian of one width), for its own place between the slices. Neighbouring places are fitted with common
attenuations; since they lie at different depths of their slices, together they tell what one could not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from node.imaging.spine.shell import BLURS_MM, SHELL_MM, WINDOW_MM, window_mm

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

SHIFTS_MM = np.arange(-3.0, 1.01, 0.1)
COARSE = 4
"""Every so many shifts, and of every so many plates, choose the blur."""
SUBSET = 3
PHASES = 10
"""Depths within a slice that are told apart."""
SPREAD = 2.0
"""Over which places have common attenuations, in steps of the grid (Gaussian)."""
SMOOTH = 2.0
INDEPENDENT_PLACES = 25.0
"""Of those averaged with a spread of 2 steps (4π·2² = 50), half: noise is correlated."""
USUAL_PART, LEAST_SPREAD_MM = 0.25, 0.25
"""How far the shift of a place lies from that of the whole plate (1 SD), as a part of the slices: it depends on how
deep in its slice the endplate lies."""
LEAST_WEIGHT, RIDGE = 0.02, 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Sliced:
    """Profiles across one endplate, aligned on the surface found."""

    hu: Floats32
    """(columns, rows, window)."""
    phase: Floats
    """(columns, rows): how far between two slices each place of the surface lies, 0 to 1."""
    slices_per_mm: float
    """Slices that are passed in 1 mm along the profiles, with its sign."""
    mm_per_slice: float
    """How far along the profiles' direction the next slice lies, with its sign."""
    weight: Floats
    """(columns, rows)."""


def face_shifts(plates: list[Sliced]) -> list[Floats]:
    """Return for every place of every plate how far beyond (+) the surface found the outer face lies, in mm."""
    if not plates:
        return []
    misfits = [sum(_misfit(plate, float(blur)) for plate in plates[::SUBSET]) for blur in BLURS_MM]
    blur = float(BLURS_MM[int(np.argmin(misfits))])
    return [gaussian_filter(_likeliest(plate, blur), SMOOTH) for plate in plates]


def _likeliest(plate: Sliced, blur: float) -> Floats:
    """Shift at each place: by its residuals, as far as noise lets them tell, and by that of the whole plate."""
    residuals = _residuals(plate, blur, SHIFTS_MM)
    usual = _weighted_median(SHIFTS_MM[np.argmin(residuals, axis=-1)], plate.weight)
    noise = max(float(np.average(residuals.min(axis=-1), weights=plate.weight + 1e-6)), 1e-6)
    samples = INDEPENDENT_PLACES * (WINDOW_MM[1] - WINDOW_MM[0]) * abs(plate.slices_per_mm)
    spread = max(USUAL_PART * abs(plate.mm_per_slice), LEAST_SPREAD_MM)
    unlikely = 0.5 * samples * residuals / noise + 0.5 * ((SHIFTS_MM - usual) / spread) ** 2
    return np.asarray(SHIFTS_MM[np.argmin(unlikely, axis=-1)])


def _weighted_median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values, axis=None)
    total = np.cumsum(weight.ravel()[order] + 1e-6)
    return float(values.ravel()[order][np.searchsorted(total, 0.5 * total[-1])])


def _misfit(plate: Sliced, blur: float) -> float:
    least = _residuals(plate, blur, SHIFTS_MM[::COARSE]).min(axis=-1)
    return float(np.sum(np.sqrt(np.maximum(least, 0.0)) * plate.weight))


def _residuals(plate: Sliced, blur: float, shifts: Floats) -> Floats:
    """Squared residual (columns, rows, shifts) of the best attenuations about each place.

    Normal equations of each place are averaged over its neighbours before they are solved.
    """
    model = _model(plate, blur, shifts)
    at = np.minimum((plate.phase * PHASES).astype(int), PHASES - 1)
    right = np.empty((*plate.phase.shape, len(shifts), 3))
    for n in range(PHASES):
        right[at == n] = np.einsum("nw,swi->nsi", plate.hu[at == n], model[n], optimize=True)
    left = np.einsum("pswi,pswj->psij", model, model, optimize=True)[at]
    energy = (plate.hu.astype(np.float64) ** 2).sum(axis=-1)
    weight = np.maximum(plate.weight, LEAST_WEIGHT)
    left, right, energy = (_averaged(values, weight) for values in (left, right, energy))
    left = left + RIDGE * np.trace(left, axis1=-2, axis2=-1)[..., None, None] * np.eye(3)
    solved = np.linalg.solve(left, right[..., None])[..., 0]
    return np.asarray(energy[..., None] - (right * solved).sum(axis=-1))


def _averaged(values: Floats, weight: Floats) -> Floats:
    further = (1,) * (values.ndim - 2)
    sigma = (SPREAD, SPREAD, *(0.0 for _ in further))
    return np.asarray(gaussian_filter(values * weight.reshape(*weight.shape, *further), sigma, mode="nearest"))


def _model(plate: Sliced, blur: float, shifts: Floats) -> Floats:
    """(phases, shifts, window, 3): inside, outside and shell as interpolation between blurred slices shows them."""
    at = window_mm()
    slices = (np.arange(PHASES) + 0.5)[:, None] / PHASES + plate.slices_per_mm * at
    before = np.floor(slices)
    part = (slices - before)[:, None, :, None]
    near = at + (before - slices) * plate.mm_per_slice
    return np.asarray(
        (1.0 - part) * _shell(near, blur, shifts) + part * _shell(near + plate.mm_per_slice, blur, shifts)
    )


def _shell(at: Floats, blur: float, shifts: Floats) -> Floats:
    """(phases, shifts, window, 3) at positions (phases, window) along the profile."""
    beyond = at[:, None, :] - shifts[:, None]
    outside, within = ndtr(beyond / blur), ndtr((beyond + SHELL_MM) / blur)
    return np.stack([1.0 - outside, outside, within - outside], axis=-1)
