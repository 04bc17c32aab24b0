"""Round, homogeneous cross-sections in one axial image: the first hint of a rod."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]

MIN_RADIUS_MM = 4.5
MAX_RADIUS_MM = 14.0
"""Rods on the market have radii of 5 to 13 mm; a search for 6 to 10 finds the Mindways rods (Ogo)."""
MIN_CONTRAST_HU = 6.0
"""Fainter rods are not searched for; they are predicted from their neighbours."""
MIN_SIGNIFICANCE = 5.0
"""Contrast in standard errors: hundreds of places are looked at in each image."""
_SECTORS_INSIDE, _SECTORS_OF_RING = 6.0, 10.0
"""Of the 24 sectors, how many are independent (noise is correlated over a few mm)."""
MIN_SEEN_PART = 0.55
"""Of its circumference: a rod cut more than this by the scan field is not seen."""
UNSEEN_HU = -1300.0
"""Below it nothing was reconstructed."""
_MATERIAL_HU = (-250.0, 2500.0)
"""What a rod or a base plate can be made of; air, foam and metal are left out of every average."""
_SEARCH_RADII_MM = (5.0, 7.0, 9.5, 12.5)
MAX_FALL = 2.0
"""Of the typical one: a face of the slab towards the air falls more, and must not draw the circle to itself."""
_TO_AIR = np.array([1, 1, 1, 0, 0], dtype=bool)
"""Steps before air begins, in which HU fall already: the faces of a slim slab are no edge of a rod."""
_ANGLES = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
_STEP_MM = 0.75
_REACH_MM = 19.5


@dataclass(frozen=True, slots=True, eq=False)
class Discs:
    """Discs of one image; arrays of equal length n."""

    centres_yx_mm: Floats
    """Shape (n, 2), from the centre of voxel (0, 0)."""
    radii_mm: Floats
    hu: Floats
    base_hu: Floats
    """Mean of the ring around it."""

    @classmethod
    def none(cls) -> Discs:
        """An image in which there are none."""
        return cls(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))


def find_discs(
    image: NDArray[np.float32], pixel_mm: tuple[float, float], min_contrast_hu: float = MIN_CONTRAST_HU
) -> Discs:
    """Return the round homogeneous regions of ``image`` that lie in a homogeneous surrounding.

    Candidates are the extrema of a difference of Gaussians that ignores air (so that the nearby surface of
    the slab has no influence); each is then measured on rays from its centre.
    """
    material = (image > _MATERIAL_HU[0]) & (image < _MATERIAL_HU[1])
    shown = np.clip(image, _MATERIAL_HU[0], 600.0)
    centres, signs = _candidates(shown, material, pixel_mm, 0.35 * min_contrast_hu)
    for slack in (3.0, 2.0, 1.5, 1.2, 1.0):
        if len(centres) == 0:
            break
        rays = _rays(image, centres, pixel_mm)
        shift, radii = _circle(rays, signs)
        measured = _measured(rays, radii, signs)
        likely = measured.good(min_contrast_hu, slack)
        centres, signs = _merged((centres + shift)[likely], signs[likely])
    if len(centres) == 0:
        return Discs.none()
    rays = _rays(image, centres, pixel_mm)
    shift, radii = _circle(rays, signs)
    measured = _measured(rays, radii, signs)
    off = np.linalg.norm(shift, axis=1)
    return _distinct(centres, measured, measured.good(min_contrast_hu) & (off < 0.8), off)


def _candidates(
    image: NDArray[np.float32], material: NDArray[np.bool_], pixel_mm: tuple[float, float], threshold: float
) -> tuple[Floats, Floats]:
    weight = material.astype(np.float32)
    responses = []
    for radius in _SEARCH_RADII_MM:
        inner = _smooth(image, weight, [0.5 * radius / p for p in pixel_mm])
        outer = _smooth(image, weight, [1.1 * radius / p for p in pixel_mm])
        responses.append(np.where(material, inner - outer, 0.0))
    found, signs = [], []
    for response in responses:
        for sign in (1.0, -1.0):
            signed = sign * response
            peak = (signed > threshold) & (signed == ndimage.maximum_filter(signed, size=5))
            where = np.argwhere(peak)
            found.append(where * np.asarray(pixel_mm))
            signs.append(np.full(len(where), sign))
    return np.concatenate(found).astype(np.float64), np.concatenate(signs)


def _smooth(image: NDArray[np.float32], weight: NDArray[np.float32], sigma: list[float]) -> NDArray[np.float32]:
    """Gaussian mean of the weighted pixels alone."""
    total = ndimage.gaussian_filter(image * weight, sigma, truncate=2.5)
    share = ndimage.gaussian_filter(weight, sigma, truncate=2.5)
    smoothed: NDArray[np.float32] = total / np.maximum(share, 1e-3)
    return smoothed


def _rays(image: NDArray[np.float32], centres: Floats, pixel_mm: tuple[float, float]) -> Floats:
    """Sample outward from each centre; shape (n, angles, distances)."""
    distance = np.arange(0.0, _REACH_MM, _STEP_MM)
    y = centres[:, 0, None, None] + np.sin(_ANGLES)[None, :, None] * distance
    x = centres[:, 1, None, None] + np.cos(_ANGLES)[None, :, None] * distance
    sampled: Floats = ndimage.map_coordinates(
        image, [y / pixel_mm[0], x / pixel_mm[1]], output=np.float64, order=1, mode="nearest"
    )
    return sampled


def _circle(rays: Floats, signs: Floats) -> tuple[Floats, Floats]:
    """Return the shift (y, x) to the centre of the edge, and its radius.

    Along each ray the edge is the centroid of the fall around the distance where the mean profile falls most;
    a circle is fitted to the edges of those rays that stay in the scan field.
    """
    seen = rays > UNSEEN_HU
    solid = ~ndimage.binary_dilation(rays < _MATERIAL_HU[0], _TO_AIR[None, None, :])[:, :, 1:]
    fall = -np.diff(np.clip(rays, *_MATERIAL_HU), axis=2) * signs[:, None, None]
    fall = np.where(solid & seen[:, :, 1:] & seen[:, :, :-1], fall, 0.0)
    at = (np.arange(fall.shape[2]) + 0.5) * _STEP_MM
    typical = np.median(fall, axis=1)
    typical[:, (at < MIN_RADIUS_MM - 1) | (at > MAX_RADIUS_MM)] = -np.inf
    guess = at[typical.argmax(axis=1)]
    near = np.maximum(0.0, 1.0 - np.abs(at - guess[:, None]) / 3.5)
    most = MAX_FALL * np.maximum(typical.max(axis=1), 0.0)
    weight = np.clip(fall, 0.0, most[:, None, None]) * near[:, None, :]
    mass = weight.sum(axis=2)
    edge = np.where(mass > 0, (weight * at).sum(axis=2) / np.maximum(mass, 1e-9), guess[:, None])
    usable = _usable(seen, guess + 2.0).astype(np.float64)
    basis = np.stack([np.sin(_ANGLES), np.cos(_ANGLES), np.ones_like(_ANGLES)], axis=1)
    normal = np.einsum("na,ap,aq->npq", usable, basis, basis) + 1e-6 * np.eye(3)
    moment = np.einsum("na,ap->np", usable * edge, basis)
    fitted = np.linalg.solve(normal, moment[:, :, None])[:, :, 0]
    return np.clip(fitted[:, :2], -2.0, 2.0), fitted[:, 2]


def _usable(seen: NDArray[np.bool_], to_mm: Floats) -> NDArray[np.bool_]:
    """Which rays stay in the scan field as far as ``to_mm``; shape (n, angles)."""
    distance = np.arange(seen.shape[2]) * _STEP_MM
    return np.asarray((seen | (distance > to_mm[:, None])[:, None, :]).all(axis=2))


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What the rays say of each candidate."""

    radii: Floats
    hu: Floats
    base: Floats
    contrast: Floats
    spread: Floats
    """Between the sectors of the inside."""
    ring: Floats
    """Difference of each sector of the ring from the base; shape (n, angles)."""
    ring_noise: Floats
    usable: NDArray[np.bool_]
    """Sectors that lie in the scan field as far as the ring."""

    def good(self, min_contrast_hu: float, slack: float = 1.0) -> NDArray[np.bool_]:
        """Return which are round and even, within ``slack`` times the final tolerances."""
        rounded = 12.0 + 0.10 * np.abs(self.contrast)
        even = self.usable & (np.abs(self.ring) < slack * (rounded[:, None] + 2.0))
        noise = np.sqrt(self.spread**2 / _SECTORS_INSIDE + self.ring_noise**2 / _SECTORS_OF_RING)
        good: NDArray[np.bool_] = (
            (self.contrast > min_contrast_hu / slack)
            & (self.contrast > MIN_SIGNIFICANCE / slack * noise)
            & (self.spread < slack * rounded)
            & (even.sum(axis=1) > 0.5 * np.maximum(self.usable.sum(axis=1), 1))
            & (self.usable.mean(axis=1) >= MIN_SEEN_PART)
            & (self.radii > MIN_RADIUS_MM)
            & (self.radii < MAX_RADIUS_MM)
            & (self.base > -200.0)
            & (self.base < 300.0)
            & (self.hu > -200.0)
        )
        return good


def _measured(rays: Floats, radii: Floats, signs: Floats) -> _Measured:
    distance = np.arange(rays.shape[2]) * _STEP_MM
    seen = rays > UNSEEN_HU
    hu, spread = _mean_and_spread(rays, seen & (distance[None, :] <= 0.65 * radii[:, None])[:, None, :])
    ring = (distance[None, :] >= radii[:, None] + 1.4) & (distance[None, :] <= radii[:, None] + 3.2)
    usable = _usable(seen, radii + 3.2)
    by_angle = (rays * ring[:, None, :]).sum(axis=2) / np.maximum(ring.sum(axis=1), 1)[:, None]
    by_angle = np.where(usable, by_angle, 1e6 * np.arange(1.0, len(_ANGLES) + 1))
    base, noise = _densest_half(by_angle)
    return _Measured(radii, hu, base, (hu - base) * signs, spread, by_angle - base[:, None], noise, usable)


def _densest_half(values: Floats) -> tuple[Floats, Floats]:
    """Mean and spread of the half of each row's values that lie closest together.

    The slab may be little thicker than its rods: above and below, the ring then lies in air.
    """
    ordered = np.sort(values, axis=1)
    half = values.shape[1] // 2
    starts = np.argmin(ordered[:, half:] - ordered[:, :-half], axis=1)
    chosen = np.take_along_axis(ordered, starts[:, None] + np.arange(half + 1), axis=1)
    return chosen.mean(axis=1), 2.5 * chosen.std(axis=1)


def _mean_and_spread(rays: Floats, inner: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Area-weighted mean inside, and the standard deviation of the sectors' means."""
    distance = np.arange(rays.shape[2]) * _STEP_MM
    weight = inner * (distance + 0.25 * _STEP_MM)
    area = weight.sum(axis=2)
    by_angle = (rays * weight).sum(axis=2) / np.maximum(area, 1e-9)
    share = area / np.maximum(area.sum(axis=1), 1e-9)[:, None]
    mean = (by_angle * share).sum(axis=1)
    return mean, np.sqrt((share * (by_angle - mean[:, None]) ** 2).sum(axis=1))


def _merged(centres: Floats, signs: Floats) -> tuple[Floats, Floats]:
    """Drop candidates that have met another one (within half a millimetre)."""
    cell = np.column_stack([np.rint(centres / 0.5), signs])
    _, first = np.unique(cell, axis=0, return_index=True)
    return centres[first], signs[first]


def _distinct(centres: Floats, measured: _Measured, good: NDArray[np.bool_], off_mm: Floats) -> Discs:
    """Keep the good ones, each place once: the best centred and most even."""
    kept: list[int] = []
    order = np.argsort(off_mm + 4.0 * measured.spread / np.maximum(measured.contrast, 1.0))
    for index in order[good[order]]:
        if all(np.hypot(*(centres[index] - centres[other])) > 5.0 for other in kept):
            kept.append(int(index))
    return Discs(centres[kept], measured.radii[kept], measured.hu[kept], measured.base[kept])
