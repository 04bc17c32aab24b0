"""What the scanner adds: blur, noise of the kernel's own texture, the circle of reconstruction."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from node.synthetic.canvas import Array
from node.synthetic.implants import streaks
from node.synthetic.spec import TorsoSpec

BLUR_MM = {"smooth": 0.70, "standard": 0.48, "sharp": 0.30}
"""Standard deviation of the point spread in the slice, besides the voxel itself."""
NOISE_PEAK = {"smooth": 0.22, "standard": 0.33, "sharp": 0.62}
"""Scale of the noise power spectrum f · exp(−(f/f0)²), cycles per mm."""
NOISE_GAIN = {"smooth": 0.65, "standard": 1.0, "sharp": 2.3}
REFERENCE_HU, REFERENCE_MGY, REFERENCE_MM, REFERENCE_PATH_MM = 12.0, 8.0, 1.5, 260.0
ATTENUATION_PER_MM = 0.0195
MODULATION = 0.55
"""Part of the size dependence of noise that tube current modulation leaves."""


def blurred(hu: Array, spec: TorsoSpec, pixel_mm: float) -> Array:
    """The slab through the kernel's point spread."""
    sigma = BLUR_MM[spec.kernel] / pixel_mm
    out = hu
    if sigma > 0.25:
        out = ndimage.gaussian_filter(hu, (0.0, sigma, sigma), mode="nearest", truncate=3.0)
    if spec.kernel == "sharp":
        soft = ndimage.gaussian_filter(hu, (0.0, 1.3 / pixel_mm, 1.3 / pixel_mm), mode="nearest", truncate=3.0)
        out = out + np.float32(0.7) * (out - soft)
    return out


def noise_level(spec: TorsoSpec) -> float:
    """Standard deviation in the middle of a trunk of reference size."""
    if spec.noise_hu is not None:
        return spec.noise_hu
    dose: float = (REFERENCE_MGY / spec.ctdi_mgy) ** 0.5 * (REFERENCE_MM / spec.thickness_mm) ** 0.5
    return REFERENCE_HU * dose * NOISE_GAIN[spec.kernel] * float(np.sqrt(120.0 / spec.kvp))


class Noise:
    """Correlated noise, one slice at a time; the same slice of the same seed is always the same."""

    def __init__(self, spec: TorsoSpec, pixel_mm: float) -> None:
        n = spec.matrix
        fy, fx = np.meshgrid(np.fft.fftfreq(n, pixel_mm), np.fft.rfftfreq(n, pixel_mm), indexing="ij")
        f2 = fx**2 + fy**2
        peak = NOISE_PEAK[spec.kernel]
        power = (np.sqrt(f2) + 0.02 * peak) * np.exp(-f2 / peak**2)
        self._fx2 = (fx**2 / np.maximum(f2, 1e-9)).astype(np.float32)
        self._power = power.astype(np.float32)
        self._spec, self._n, self._pixel = spec, n, pixel_mm
        self._level = noise_level(spec)
        overlap = max(spec.thickness_mm / spec.spacing_mm - 1.0, 0.0)
        self._mix = min(overlap, 1.0) * 0.6

    def _white(self, k: int) -> NDArray[np.complex64]:
        rng = np.random.Generator(np.random.SFC64([self._spec.seed, 77, k + 1]))
        pair = rng.standard_normal((self._n, 2 * (self._n // 2 + 1)), dtype=np.float32)
        out: NDArray[np.complex64] = pair.view(np.complex64)
        return out

    def slice(self, k: int, hu: Array) -> Array:
        """Noise for slice ``k``, given its noise-free image."""
        step = max(round(6.0 / self._pixel), 1)
        water = np.clip(hu[step // 2 :: step, step // 2 :: step] / 1000.0 + 1.0, 0.0, 2.5)
        along_x = _path(water.sum(axis=1) * step * self._pixel)
        along_y = _path(water.sum(axis=0) * step * self._pixel)
        ex, ey = float(along_x.max()), float(along_y.max())
        spectrum = self._power * (self._fx2 * np.float32(ey) + (1.0 - self._fx2) * np.float32(ex))
        field = self._white(k)
        if self._mix > 0:
            field += np.float32(self._mix) * self._white(k + 1)
        image = scipy.fft.irfft2(field * np.sqrt(spectrum), s=(self._n, self._n))
        scale = self._level * ((ex + ey) / 2.0) ** 0.5 / float(image.std())
        down = np.interp(np.arange(self._n), np.arange(len(along_x)) * step + step // 2, along_x / ex)
        across = np.interp(np.arange(self._n), np.arange(len(along_y)) * step + step // 2, along_y / ey)
        weight = np.sqrt(np.add.outer(down, across).astype(np.float32) * np.float32(0.5))
        out: Array = image * (weight * np.float32(scale))
        return out


def _path(length_mm: Array) -> Array:
    """Relative noise variance behind a water path."""
    out: Array = np.exp(ATTENUATION_PER_MM * MODULATION * (length_mm - REFERENCE_PATH_MM))
    return np.maximum(out, 0.12)


def outside_circle(n: int) -> NDArray[np.bool_]:
    """Pixels beyond the circle that touches the image's edges."""
    axis = np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2.0)
    out: NDArray[np.bool_] = np.add.outer(axis**2, axis**2) > (n / 2.0) ** 2
    return out


def cupping(spec: TorsoSpec, pixel_mm: float) -> Array:
    """What a field that is not uniform adds: nothing 200 mm from the image's middle, most of it in the middle."""
    axis = (np.arange(spec.matrix, dtype=np.float32) - np.float32((spec.matrix - 1) / 2.0)) * np.float32(pixel_mm)
    r2 = np.add.outer(axis**2, axis**2) / np.float32(200.0**2)
    out: Array = np.float32(-spec.cupping_hu) * np.clip(1.0 - r2, 0.0, 1.0)
    return out


def finished(
    hu: Array, first: int, spec: TorsoSpec, noise: Noise, pixel_mm: float, circle: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """A painted slab as the scanner would store it."""
    image = blurred(hu, spec, pixel_mm)
    if spec.cupping_hu:
        image = image + cupping(spec, pixel_mm)
    out = np.empty(image.shape, dtype=np.int16)
    for n in range(len(image)):
        plane = image[n]
        if spec.screws:
            plane = plane + streaks(plane)
        if spec.noise_hu != 0.0:
            plane = plane + noise.slice(first + n, plane)
        out[n] = np.clip(np.rint(plane), -1024, 3071).astype(np.int16)
        if spec.padding_hu is not None:
            out[n][circle] = spec.padding_hu
    return out
