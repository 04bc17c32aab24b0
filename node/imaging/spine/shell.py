"""Where the outer face of a thin, blurred shell of cortex lies.

The steepest fall of a shell thinner than the blur lies beyond its outer face (by a millimetre or more in thick
slices). A profile across it is therefore fitted with what the scanner would have made of spongiosa, a shell of
typical thickness and the tissue outside, blurred by a Gaussian of one width for the whole scan
(compare Treece et al., Med. Image Anal. 14:276, 2010).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

SHELL_MM = 0.8
"""Thickness of endplate and side wall: 0.4 to 1.2 mm in the lumbar spine."""
BLURS_MM = np.array([0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2, 2.7])
SHIFTS_MM = np.arange(-3.0, 1.01, 0.1)
WINDOW_MM = (-4.5, 2.0)
"""The part of a profile that is fitted, from inside to outside; a disc may be no thicker than 2 mm."""
WINDOW_STEP_MM = 0.25
SUBSET = 7
"""Every so many profiles choose the blur."""


def aligned(profiles: Floats32, offsets_mm: Floats, surface_mm: Floats) -> Floats32:
    """Profiles (rows, columns, positions) resampled about the surface found on each, over the window."""
    step = offsets_mm[1] - offsets_mm[0]
    place = (surface_mm[..., None] + window_mm() - offsets_mm[0]) / step
    place = np.clip(place, 0.0, len(offsets_mm) - 1.001)
    whole = place.astype(int)
    part = (place - whole).astype(np.float32)
    low = np.take_along_axis(profiles, whole, axis=-1)
    high = np.take_along_axis(profiles, whole + 1, axis=-1)
    return np.asarray(low + part * (high - low), dtype=np.float32)


def window_mm() -> Floats:
    """Positions of an aligned profile, 0 at the surface found."""
    return np.arange(WINDOW_MM[0], WINDOW_MM[1] + 1e-6, WINDOW_STEP_MM)


def pooled(profiles: Floats32, weight: Floats, spread: float, *, closed_rows: bool = False) -> Floats32:
    """Aligned profiles averaged with their neighbours' (Gaussian of ``spread`` grid steps) by weight."""
    mode = ("wrap" if closed_rows else "nearest", "nearest")
    total = gaussian_filter(weight, spread, mode=mode) + 1e-4
    sums = gaussian_filter(profiles * weight[..., None], (spread, spread, 0.0), mode=(*mode, "nearest"))
    return np.asarray(sums / total[..., None], dtype=np.float32)


def face_shifts(stacks: list[Floats32], weights: list[Floats]) -> list[Floats]:
    """Return for every pooled profile how far beyond (+) the surface found the shell's outer face lies, in mm.

    One blur serves all: that which leaves the least residual.
    """
    flat = np.concatenate([stack.reshape(-1, stack.shape[-1]) for stack in stacks]).astype(np.float64)
    weight = np.concatenate([w.ravel() for w in weights])
    some = slice(None, None, SUBSET)
    misfits = [float(np.sum(weight[some] * np.sqrt(_fit(flat[some], float(blur))[0]))) for blur in BLURS_MM]
    _, shifts = _fit(flat, float(BLURS_MM[int(np.argmin(misfits))]))
    sizes = np.cumsum([stack[..., 0].size for stack in stacks])[:-1]
    return [part.reshape(stack.shape[:-1]) for part, stack in zip(np.split(shifts, sizes), stacks, strict=True)]


def _fit(profiles: Floats, blur: float) -> tuple[Floats, Floats]:
    """Least residual over the shifts, and that shift."""
    at = window_mm()
    energy = (profiles**2).sum(axis=1)
    residuals = np.empty((len(SHIFTS_MM), len(profiles)))
    for n, shift in enumerate(SHIFTS_MM):
        outside = ndtr((at - shift) / blur)
        shell = ndtr((at - shift + SHELL_MM) / blur) - outside
        basis, _ = np.linalg.qr(np.stack([1.0 - outside, outside, shell], axis=1))
        residuals[n] = energy - ((profiles @ basis) ** 2).sum(axis=1)
    low = np.argmin(residuals, axis=0)
    return np.maximum(residuals.min(axis=0), 0.0), SHIFTS_MM[low]
