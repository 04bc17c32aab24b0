"""Smooth curves through the body, and volumes straightened along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume

Floats = NDArray[np.float64]
OUTSIDE = np.float32(-5000.0)
"""Marks samples of a straightened volume that lie beyond the scan."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve from head to foot, sampled at equal steps, with its own axes at every point (right-handed, LPS)."""

    s_mm: Floats
    """(n,): length along the curve from its upper end."""
    points: Floats
    """(n, 3): LPS mm."""
    left: Floats
    posterior: Floats
    superior: Floats

    @property
    def step_mm(self) -> float:
        return float(self.s_mm[1] - self.s_mm[0])

    def at(self, s_mm: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Point and (left, posterior, superior) unit axes at a length, linear between samples."""
        rows = [np.array([np.interp(s_mm, self.s_mm, field[:, a]) for a in range(3)]) for field in self._fields()]
        return rows[0], unit(rows[1]), unit(rows[2]), unit(rows[3])

    def nearest(self, lps_mm: Floats) -> int:
        """Index of the sample nearest to a point."""
        return int(np.linalg.norm(self.points - lps_mm, axis=1).argmin())

    def _fields(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.points, self.left, self.posterior, self.superior


def unit(vectors: Floats) -> Floats:
    """Vectors (..., 3) made one long."""
    length: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = vectors / np.maximum(length, 1e-9)
    return scaled


def smoothed(s_mm: Floats, values: Floats, sigma_mm: float, trust: Floats | None = None) -> tuple[Floats, Floats]:
    """Local straight-line fit with Gaussian weights: values and slopes per mm, (n, d) each. Unbiased at the ends."""
    offset = s_mm[None, :] - s_mm[:, None]
    weight = np.exp(-0.5 * (offset / sigma_mm) ** 2)
    if trust is not None:
        weight = weight * trust[None, :]
    w0, w1, w2 = weight.sum(1), (weight * offset).sum(1), (weight * offset**2).sum(1)
    y0, y1 = weight @ values, (weight * offset) @ values
    determinant = (w0 * w2 - w1**2 + 1e-9)[:, None]
    value = (w2[:, None] * y0 - w1[:, None] * y1) / determinant
    slope = (w0[:, None] * y1 - w1[:, None] * y0) / determinant
    return value, slope


def equal_steps(points: Floats, step_mm: float) -> tuple[Floats, Floats]:
    """Resample a polyline (n, 3) at equal steps of length: (s, points)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s = np.arange(0.0, length[-1] + 1e-6, step_mm)
    return s, np.stack([np.interp(s, length, points[:, a]) for a in range(3)], axis=1)


def curve_through(points: Floats, toward_back: Floats, step_mm: float, sigma_mm: float, extend_mm: float) -> Curve:
    """Curve through points ordered head to foot, smoothed and lengthened straight at both ends.

    ``toward_back``: (3,) or (n, 3) directions that make ``posterior`` when freed of their part along the curve.
    """
    s, even = equal_steps(points, step_mm)
    even, slope = smoothed(s, even, sigma_mm)
    if toward_back.ndim == 2:
        source = np.linspace(0.0, 1.0, len(toward_back))
        along = s / max(s[-1], 1e-9)
        toward_back = np.stack([np.interp(along, source, toward_back[:, a]) for a in range(3)], axis=1)
    back: Floats = np.broadcast_to(toward_back, even.shape).astype(np.float64)
    extra = round(extend_mm / step_mm)
    if extra:
        steps = np.arange(1.0, extra + 1)[:, None] * step_mm
        head, foot = unit(slope[0]), unit(slope[-1])
        even = np.concatenate([even[0] - head * steps[::-1], even, even[-1] + foot * steps])
        slope = np.concatenate([np.repeat(slope[:1], extra, 0), slope, np.repeat(slope[-1:], extra, 0)])
        back = np.concatenate([np.repeat(back[:1], extra, 0), back, np.repeat(back[-1:], extra, 0)])
        s = np.arange(len(even), dtype=np.float64) * step_mm
    superior = -unit(slope)
    posterior = unit(back - (back * superior).sum(1, keepdims=True) * superior)
    return Curve(s, even, np.cross(posterior, superior), posterior, superior)


def straighten(volume: Volume, curve: Curve, u_mm: Floats, v_mm: Floats) -> NDArray[np.float32]:
    """Sample the volume in planes across the curve: (n, len(v), len(u)), u to the left, v to the back; HU.

    Linear interpolation. Samples beyond the scan, or never reconstructed, are ``OUTSIDE``.
    """
    to_index = np.linalg.inv(volume.affine_lps_mm[:3, :3])
    origin = (curve.points - volume.affine_lps_mm[:3, 3]) @ to_index.T
    across, back = curve.left @ to_index.T, curve.posterior @ to_index.T
    index = (
        origin[:, :, None, None]
        + back[:, :, None, None] * v_mm[None, None, :, None]
        + across[:, :, None, None] * u_mm[None, None, None, :]
    )
    coordinates = np.moveaxis(index, 1, 0)
    hu: NDArray[np.float32] = ndimage.map_coordinates(
        volume.hu, coordinates, order=1, mode="constant", cval=float(OUTSIDE), output=np.float32
    )
    hu[hu < -1500] = OUTSIDE
    return hu
