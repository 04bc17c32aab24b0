"""The outer surfaces of the two endplates as height maps over the body's footprint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose, clipped, sample
from node.imaging.spine.endplate_planes import Plane
from node.imaging.spine.shell import aligned
from node.imaging.spine.sliced import Sliced, face_shifts
from node.imaging.spine.surfaces import least_cost_surface, outward_fall, passed_edges

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

STEP_MM = 0.5
OFFSETS_MM = np.arange(-10.0, 10.1, STEP_MM)
"""From the mean plane: a broken endplate may be pressed far in, and its rims stand out."""
COLUMNS, ROWS = 33, 27
MARGIN = 1.2
"""The maps reach this much beyond the body's half width and half depth."""
RIM = 0.8
"""Of the half width and half depth of a map."""
EDGE_SIGMA_MM = 0.8
MAX_DISC_MM = 20.0
"""Two endplates farther apart do not face each other: a vertebra between them was not found."""
TREND_SPREAD_MM, TREND_WEIGHT = 2.0, 0.12
"""What it costs, as a part of a clear edge's merit, to leave the quadratic trend by so much (squared)."""


@dataclass(frozen=True, slots=True, eq=False)
class HeightMap:
    """z of a surface over a regular (x, y) grid in local mm; constant beyond its border."""

    x: Floats
    y: Floats
    z: Floats
    """(len(x), len(y))."""
    clarity: Floats | None = None
    """(len(x), len(y)), 0 to 1: how clearly the surface shows at each place; ``None`` where nobody has looked."""
    error_mm: Floats | None = None
    """(len(x), len(y)): standard error of z, where it is known itself."""

    @classmethod
    def of_plane(cls, plane: Plane, pose: Pose) -> HeightMap:
        """A plane over a pose's footprint."""
        x, y = map_axes(pose)
        return cls(x, y, plane.at(x[:, None], y[None, :]))

    def at(self, x: Floats, y: Floats) -> Floats:
        """Height at (x, y), linear between the grid's points."""
        return self._read(self.z, x, y)

    def clarity_at(self, x: Floats, y: Floats) -> Floats:
        """Clarity at (x, y), linear between the grid's points."""
        return self._read(np.zeros_like(self.z) if self.clarity is None else self.clarity, x, y)

    def error_at(self, x: Floats, y: Floats) -> Floats:
        """Standard error at (x, y) in mm, linear between the grid's points; NaN where it is not known."""
        return self._read(np.full_like(self.z, np.nan) if self.error_mm is None else self.error_mm, x, y)

    def _read(self, values: Floats, x: Floats, y: Floats) -> Floats:
        u = (x - self.x[0]) / (self.x[1] - self.x[0])
        v = (y - self.y[0]) / (self.y[1] - self.y[0])
        out: Floats = map_coordinates(values, [u, v], order=1, mode="nearest")
        return out


def map_axes(pose: Pose) -> tuple[Floats, Floats]:
    """Grid of a height map over the footprint."""
    return (
        np.linspace(-0.5, 0.5, COLUMNS) * MARGIN * pose.width,
        np.linspace(-0.5, 0.5, ROWS) * MARGIN * pose.depth,
    )


def nearest_plane(end: HeightMap) -> Plane:
    """The plane through an endplate within its rim, by least squares."""
    x, y = np.meshgrid(end.x, end.y, indexing="ij")
    within = np.hypot(x / end.x[-1], y / end.y[-1]) < RIM
    terms = np.stack([np.ones_like(x), x, y], axis=-1)[within]
    height, slope_x, slope_y = np.linalg.lstsq(terms, end.z[within], rcond=None)[0]
    return Plane(float(height), float(slope_x), float(slope_y))


def find_endplates(
    volume: Volume, poses: list[Pose], starts: list[tuple[HeightMap, HeightMap]], inside_rim_mm: list[Floats]
) -> list[tuple[HeightMap, HeightMap]]:
    """Return (superior, inferior) outer surfaces near ``starts``, vertebrae from head to foot.

    ``inside_rim_mm``: for each pose how far inside the rim each place (columns, rows) of the maps lies; negative
    beyond it.

    The surfaces are found twice. The second time places of little evidence (a bridged disc, a rim hidden by an
    osteophyte) are held near a quadratic surface through those of much, and no surface passes the middle of its disc.
    """
    plates = [
        _Plate(pose, start, outward, inside)
        for pose, pair, inside in zip(poses, starts, inside_rim_mm, strict=True)
        for start, outward in zip(pair, (1.0, -1.0), strict=True)
    ]
    profiles = [_profiles(volume, plate) for plate in plates]
    spread = _spread(volume)
    merits = _merits(profiles, plates, spread)
    place_cost = 0.15 * (OFFSETS_MM / 5.0) ** 2
    costs = [plate.weight[..., None] * (place_cost - merit) for plate, merit in zip(plates, merits, strict=True)]
    offsets = _surfaces(costs)
    evidence = [_evidence_at(merit, offset) for merit, offset in zip(merits, offsets, strict=True)]
    for n, plate in enumerate(plates):
        trend = _quadratic(offsets[n], plate.weight * evidence[n])
        astray = np.minimum(((OFFSETS_MM - trend[..., None]) / TREND_SPREAD_MM) ** 2, 12.0)
        costs[n] = costs[n] + (0.03 + TREND_WEIGHT * plate.weight[..., None]) * astray
        other = n + 1 if n % 2 else n - 1
        if 0 <= other < len(plates):
            limit = _disc_middle(plate, offsets[n], evidence[n], plates[other], offsets[other], evidence[other])
            costs[n] = costs[n] + np.clip(OFFSETS_MM - limit[..., None], 0.0, 4.0)
    offsets = [gaussian_filter(offset, 0.7) for offset in _surfaces(costs)]
    shifts = _outer_faces(volume, plates, profiles, offsets)
    found = [
        plate.at_offset(offset + shift, _evidence_at(merit, offset))
        for plate, offset, shift, merit in zip(plates, offsets, shifts, merits, strict=True)
    ]
    return list(zip(found[::2], found[1::2], strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Plate:
    """One endplate: where it is looked for."""

    pose: Pose
    start: HeightMap
    outward: float
    """1 for a superior, -1 for an inferior endplate."""
    inside_rim_mm: Floats

    @property
    def weight(self) -> Floats:
        """With which a place counts: 1 inside the rim, fading to 0 just beyond it."""
        return np.clip((self.inside_rim_mm + 0.5) / 1.5, 0.0, 1.0)

    @property
    def below_rim(self) -> Floats:
        """What a fall deep under each place counts for: nothing near the rim, where it is the side wall's."""
        return np.clip((self.inside_rim_mm - 2.0) / 2.0, 0.0, 1.0)

    def at_offset(self, offset: Floats, clarity: Floats | None = None) -> HeightMap:
        return HeightMap(self.start.x, self.start.y, self.start.z + self.outward * offset, clarity)


def _surfaces(costs: list[Floats]) -> list[Floats]:
    """Least-cost surfaces as offsets in mm."""
    jumps = 0.12 * np.arange(5, dtype=np.float64) ** 1.5
    places = least_cost_surface(np.stack(costs).astype(np.float32), jumps)
    return [OFFSETS_MM[0] + STEP_MM * place.astype(np.float64) for place in places]


def _evidence_at(merit: Floats32, offset: Floats) -> Floats:
    """Merit of the surface chosen, 0.03 to 1, averaged with its neighbours'."""
    nearest = np.clip(np.round((offset - OFFSETS_MM[0]) / STEP_MM), 0, len(OFFSETS_MM) - 1).astype(int)
    chosen = np.take_along_axis(merit, nearest[..., None], axis=-1)[..., 0].astype(np.float64)
    return np.asarray(np.clip(gaussian_filter(chosen, 1.0), 0.03, 1.0), dtype=np.float64)


def _disc_middle(
    plate: _Plate, offset: Floats, evidence: Floats, other: _Plate, other_offset: Floats, other_evidence: Floats
) -> Floats:
    """How far out ``plate`` may lie: to the middle of the disc that it shares with ``other``.

    Where the two surfaces cross, that with less evidence gives way.
    """
    height = plate.at_offset(offset)
    x, y = np.meshgrid(height.x, height.y, indexing="ij")
    beyond = other.pose.to_local(plate.pose.to_lps(np.stack([x, y, height.z], axis=-1)))
    facing = other.at_offset(other_offset).at(beyond[..., 0], beyond[..., 1])
    gap = other.outward * (beyond[..., 2] - facing)
    if float(np.median(gap)) > MAX_DISC_MM:
        return np.full_like(gap, np.inf)
    seen = HeightMap(other.start.x, other.start.y, other_evidence).at(beyond[..., 0], beyond[..., 1])
    return np.asarray(offset + gap * evidence / (evidence + seen) - 0.5)


def _outer_faces(volume: Volume, plates: list[_Plate], profiles: list[Floats32], offsets: list[Floats]) -> list[Floats]:
    """Shift from the steepest fall to the outer face of the endplate, smooth over the footprint."""
    return face_shifts(
        [
            _sliced(volume, plate.at_offset(offset), plate, aligned(profile, OFFSETS_MM, offset))
            for plate, profile, offset in zip(plates, profiles, offsets, strict=True)
        ]
    )


def _sliced(volume: Volume, surface: HeightMap, plate: _Plate, hu: Floats32) -> Sliced:
    """Profiles aligned on a surface, with how they cross the slices."""
    x, y = np.meshgrid(surface.x, surface.y, indexing="ij")
    direction = plate.outward * plate.pose.axes[2]
    place = plate.pose.to_lps(np.stack([x, y, surface.z], axis=-1))
    slices = volume.index_kji(place)[..., 0]
    ahead = volume.index_kji(place[0, 0] + direction)[0] - slices[0, 0]
    across = float(volume.affine_lps_mm[:3, 0] @ direction)
    return Sliced(hu, slices - np.floor(slices), float(ahead), across, plate.weight)


def _profiles(volume: Volume, plate: _Plate) -> Floats32:
    """(columns, rows, offsets), from inside to outside."""
    start, pose = plate.start, plate.pose
    z = start.z[..., None] + plate.outward * OFFSETS_MM
    x, y, z = np.broadcast_arrays(start.x[:, None, None], start.y[None, :, None], z)
    return clipped(sample(volume, pose, np.stack([x, y, z], axis=-1)))


def _spread(volume: Volume) -> float:
    """How much farther than usual neighbours are averaged: an oblique endplate in thick slices shows as stairs."""
    return float(np.clip(volume.spacing_mm[0] / 1.5, 1.0, 2.0))


def _merits(profiles: list[Floats32], plates: list[_Plate], spread: float) -> list[Floats32]:
    """Merit of each position as an edge; where a whole endplate is faint, its edges weigh less."""
    falls = [
        outward_fall(gaussian_filter(p, (0.8 * spread, 0.8 * spread, 0.0)), EDGE_SIGMA_MM / STEP_MM) for p in profiles
    ]
    own = np.array(
        [
            np.percentile(fall[plate.weight > 0.5].max(axis=-1), 60) if (plate.weight > 0.5).any() else 0.0
            for fall, plate in zip(falls, plates, strict=True)
        ]
    )
    references = np.maximum(own, max(0.7 * float(np.median(own)), 8.0))
    deep = np.clip((-OFFSETS_MM - 1.5) / 1.5, 0.0, 1.0)
    merits = []
    for fall, reference, plate in zip(falls, references, plates, strict=True):
        score = np.clip(fall / reference, -0.5, 1.2)
        score = score * (1.0 - deep * (1.0 - plate.below_rim[..., None]))
        merits.append(np.asarray(score - 0.4 * passed_edges(score, round(3.0 / STEP_MM)), dtype=np.float32))
    return merits


def _quadratic(offset: Floats, weight: Floats) -> Floats:
    """Robust quadratic surface through ``offset`` (Tukey's biweight, five rounds)."""
    u, v = np.meshgrid(np.linspace(-1, 1, offset.shape[0]), np.linspace(-1, 1, offset.shape[1]), indexing="ij")
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1).reshape(-1, 6)
    target, given = offset.ravel(), weight.ravel() + 1e-6
    trust = given
    surface = target
    for _ in range(5):
        weighted = terms * trust[:, None]
        surface = terms @ np.linalg.lstsq(weighted.T @ terms, weighted.T @ target, rcond=None)[0]
        apart = np.abs(target - surface)
        scale = max(4.0 * float(np.sqrt(np.average(np.minimum(apart, 3.0) ** 2, weights=given))), 1.0)
        trust = given * np.clip(1.0 - (apart / scale) ** 2, 0.0, 1.0) ** 2
    return np.asarray(surface.reshape(offset.shape), dtype=np.float64)
