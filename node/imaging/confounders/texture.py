"""The kernel as the noise shows it: where header entries are missing or private, and because names mislead.

Noise of a filtered back-projection rises with spatial frequency until the kernel cuts it. The mean frequency of its
power spectrum lies near 0.3 per mm for soft-tissue kernels and above 0.5 per mm for lung and bone kernels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import Voi
from node.domain.volume import Volume

SHARP_PER_MM = 0.45
MAX_PIXEL_MM = 0.9
"""With coarser pixels the frequencies that tell are not in the image."""
PATCH = 24
"""Pixels; soft tissue that is even over it is looked for."""
SOFT_HU = (-30.0, 160.0)
MAX_PATCHES = 60


def mean_frequency_per_mm(volume: Volume, vois: tuple[Voi, ...]) -> float | None:
    """Return the mean frequency of the noise of even soft tissue beside the VOIs; ``None``: cannot be told."""
    _, dj, di = volume.spacing_mm
    if max(dj, di) > MAX_PIXEL_MM or not vois:
        return None
    patches = [patch for voi in vois for patch in _patches(volume, voi)]
    if len(patches) < 8:
        return None
    spread = np.array([patch.std() for patch in patches])
    even = [patch for patch, sd in zip(patches, spread, strict=True) if sd <= np.quantile(spread, 0.4)]
    power = np.mean([_power(patch) for patch in even], axis=0)
    fj, fi = np.fft.fftfreq(PATCH, dj), np.fft.fftfreq(PATCH, di)
    radius = np.hypot(fj[:, None], fi[None, :])
    kept = (radius > 2.0 / (PATCH * max(dj, di))) & (radius <= 0.5 / max(dj, di))
    return float((power * radius)[kept].sum() / power[kept].sum())


def _patches(volume: Volume, voi: Voi) -> list[NDArray[np.float64]]:
    k = round(float(volume.index_kji(voi.centre_lps_mm)[0]))
    found = []
    layer = volume.hu[min(max(k, 0), volume.hu.shape[0] - 1)]
    for j in range(0, layer.shape[0] - PATCH, PATCH // 2):
        for i in range(0, layer.shape[1] - PATCH, PATCH // 2):
            patch = layer[j : j + PATCH, i : i + PATCH]
            if SOFT_HU[0] <= float(np.median(patch)) <= SOFT_HU[1] and patch.min() > -600 and patch.max() < 900:
                found.append(patch.astype(np.float64))
    found.sort(key=lambda patch: float(patch.std()))
    return found[:MAX_PATCHES]


def _power(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power spectrum of a patch less its plane."""
    j, i = np.mgrid[: patch.shape[0], : patch.shape[1]]
    design = np.column_stack([np.ones(patch.size), j.ravel(), i.ravel()])
    flat = patch.ravel() - design @ np.linalg.lstsq(design, patch.ravel(), rcond=None)[0]
    window = np.hanning(patch.shape[0])[:, None] * np.hanning(patch.shape[1])[None, :]
    spectrum: NDArray[np.float64] = np.abs(np.fft.fft2(flat.reshape(patch.shape) * window)) ** 2
    return spectrum
