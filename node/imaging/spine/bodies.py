"""Vertebral bodies delineated at the resolution of the scan, from rough seeds.

Each body is the space between two endplate surfaces and a side wall, all found as smooth surfaces of least cost
in the body's own frame, so that thin cortex, neighbouring vessels, pedicles and discs weigh as edges of a known
shape and never as thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from node.domain.spine import SpineMap, Vertebra, VertebraSeed
from node.domain.volume import OUTSIDE_FIELD_HU, Mask, Volume
from node.imaging.spine.alignment import to_midline, waist_outline
from node.imaging.spine.bodyframe import Pose
from node.imaging.spine.bodyshape import BodyShape, read_heights
from node.imaging.spine.endplate_planes import Plane, endplate_planes
from node.imaging.spine.endplates import HeightMap, find_endplates, nearest_plane
from node.imaging.spine.implants import without_implants
from node.imaging.spine.thick import fitted
from node.imaging.spine.vessels import without_vessels
from node.imaging.spine.walls import THETA, ZETA, Wall, find_walls, flared

Floats = NDArray[np.float64]

BEYOND_MM, MOSTLY = 1.0, 0.05
"""A body counts as complete when all of its surface is in the scan, and so is what lies so much beyond it but for this
part: of a body tilted against the slices, a corner may come nearer to the last one."""

CLEAR_ENDPLATE = 0.6
"""Least mean clarity of both endplates of a vertebra that the scan seemed to end in by its rough place: the endplate of
one that is cut shows nowhere (0.2 at most)."""

CANAL_MM = 8.0
"""From the posterior wall to the middle of the canal."""

THICK_FROM_MM = 2.4
"""From this distance of slices on, endplates are fitted to what the slices hold: between them there are no edges."""


def delineate(volume: Volume, spine_map: SpineMap) -> tuple[Vertebra, ...]:
    """Return every seed's vertebra with its body, refined frame and heights, head to foot.

    Heights are ``None`` when the seed is incomplete or the body reaches the border of the scan.
    """
    seeds = spine_map.seeds
    if not seeds:
        return ()
    rough = [Pose.of(s.frame, s.height_mm, s.width_mm, s.depth_mm) for s in seeds]
    clear = without_vessels(volume, _canal(seeds))
    shapes = _shapes(without_implants(clear, rough), rough)
    return tuple(_vertebra(volume, seed, shape) for seed, shape in zip(seeds, shapes, strict=True))


def _canal(seeds: tuple[VertebraSeed, ...]) -> Floats:
    """About the middle of the canal behind every seed, (n, 3) LPS mm."""
    return np.array([s.frame.centre_lps_mm + (0.5 * s.depth_mm + CANAL_MM) * s.frame.posterior for s in seeds])


def _shapes(volume: Volume, seeds: list[Pose]) -> list[BodyShape]:
    poses = [waist_outline(volume, to_midline(volume, pose), rough=True)[0] for pose in seeds]
    for attempt in range(2):
        if attempt:
            poses = _with_expected_heights(poses, seeds)
        planes = endplate_planes(volume, poses)
        levelled = [_levelled(pose, pair) for pose, pair in zip(poses, planes, strict=True)]
        outlined = [waist_outline(volume, to_midline(volume, pose)) for pose, _ in levelled]
        poses = [pose for pose, _ in outlined]
    ends = [
        (
            HeightMap.of_plane(top.seen_from(before, pose), pose),
            HeightMap.of_plane(bottom.seen_from(before, pose), pose),
        )
        for pose, (before, (top, bottom)) in zip(poses, levelled, strict=True)
    ]
    expected = [flared(radii) for _, radii in outlined]
    if volume.spacing_mm[0] >= THICK_FROM_MM:
        poses, ends, expected = _in_thick_slices(volume, poses, ends, expected)
    else:
        ends = find_endplates(volume, poses, ends, _inside_rims(ends, [Wall(radii) for radii in expected]))
    walls = find_walls(volume, poses, ends, expected)
    return [BodyShape(p, top, bottom, wall) for p, (top, bottom), wall in zip(poses, ends, walls, strict=True)]


def _in_thick_slices(
    volume: Volume, poses: list[Pose], ends: list[tuple[HeightMap, HeightMap]], expected: list[Floats]
) -> tuple[list[Pose], list[tuple[HeightMap, HeightMap]], list[Floats]]:
    """Poses, endplates and expected walls where slices are too thick for edges between them."""
    shapes = [BodyShape(p, *pair, Wall(radii)) for p, pair, radii in zip(poses, ends, expected, strict=True)]
    found = fitted(volume, shapes)
    outlined = []
    for number, pose in enumerate(poses):
        planes = [nearest_plane(end) for end in found.seen_from(pose, number)]
        turned, _ = _levelled(pose, (planes[0], planes[1]))
        outlined.append(waist_outline(volume, to_midline(volume, turned)))
    poses = [pose for pose, _ in outlined]
    ends = [found.seen_from(pose, number) for number, pose in enumerate(poses)]
    return poses, ends, [flared(radii) for _, radii in outlined]


def _with_expected_heights(found: list[Pose], seeds: list[Pose]) -> list[Pose]:
    """Expect heights that fit the patient: the seeds' profile at the size found, and a line along the column.

    Medians throughout, so that a collapsed or a mistaken vertebra does not set what is expected of the others.
    """
    heights = np.log([pose.height for pose in found])
    rough = np.log([pose.height for pose in seeds])
    expected = rough + np.median(heights - rough)
    if len(found) >= 4:
        slope, _, _, _ = theilslopes(heights)
        place = np.arange(len(found))
        expected = 0.5 * expected + 0.5 * (slope * place + np.median(heights - slope * place))
    return [pose.sized(float(np.exp(h)), pose.width, pose.depth) for pose, h in zip(found, expected, strict=True)]


def _levelled(pose: Pose, planes: tuple[Plane, Plane]) -> tuple[Pose, tuple[Plane, Plane]]:
    """Turn the pose's superior axis to the mean endplate normal and centre it between the endplates."""
    normal = planes[0].normal + planes[1].normal
    normal /= np.linalg.norm(normal)
    turned = pose.moved(np.array([0.0, 0.0, 0.5 * (planes[0].height + planes[1].height)]))
    axis = np.cross([0.0, 0.0, 1.0], normal)
    turned = turned.turned(axis)
    half = 0.5 * (planes[0].height - planes[1].height)
    slope = 0.5 * np.array([planes[0].slope_x - planes[1].slope_x, planes[0].slope_y - planes[1].slope_y])
    return turned.sized(2.0 * half, turned.width, turned.depth), (
        Plane(half, float(slope[0]), float(slope[1])),
        Plane(-half, float(-slope[0]), float(-slope[1])),
    )


def _inside_rims(ends: list[tuple[HeightMap, HeightMap]], walls: list[Wall]) -> list[Floats]:
    """How far inside the rim each place of the endplate maps lies, mm."""
    inside = []
    for (top, _), wall in zip(ends, walls, strict=True):
        x, y = np.meshgrid(top.x, top.y, indexing="ij")
        inside.append(wall.at(np.arctan2(x, y), np.full_like(x, 0.5)) - np.hypot(x, y))
    return inside


def _vertebra(volume: Volume, seed: VertebraSeed, shape: BodyShape) -> Vertebra:
    body = _voxels(volume, shape)
    believed = _shown(shape) if seed.at_end else seed.complete
    complete = believed and body.voxels.size > 0 and _wholly_scanned(volume, shape)
    heights, contour = read_heights(shape, volume.spacing_mm[0]) if complete else (None, None)
    return Vertebra(seed.level, seed.confidence, complete, _centred(shape).frame(), body, heights, None, contour)


def _centred(shape: BodyShape) -> Pose:
    """The pose about the centroid of the body."""
    x, y = np.meshgrid(shape.superior.x, shape.superior.y, indexing="ij")
    within = np.hypot(x, y) <= shape.wall.at(np.arctan2(x, y), np.zeros_like(x))
    thickness = np.where(within, np.maximum(shape.superior.z - shape.inferior.z, 0.0), 0.0)
    total = float(thickness.sum())
    if total <= 0.0:
        return shape.pose
    middle = 0.5 * (shape.superior.z + shape.inferior.z)
    return shape.pose.moved(np.array([float((thickness * place).sum()) / total for place in (x, y, middle)]))


def _shown(shape: BodyShape) -> bool:
    """Whether both endplates show clearly."""
    x, y = _over(shape)
    return all(
        len(x) > 0 and float(np.mean(end.clarity_at(x, y))) >= CLEAR_ENDPLATE
        for end in (shape.superior, shape.inferior)
    )


def _wholly_scanned(volume: Volume, shape: BodyShape) -> bool:
    """Whether the body and nearly all that lies just beyond its surfaces was reconstructed."""
    on_surface, beyond = (volume.index_kji(shape.pose.to_lps(_surface(shape, by))) for by in (0.0, BEYOND_MM))
    last = np.array(volume.hu.shape) - 1
    if ((on_surface < 0) | (on_surface > last)).any():
        return False
    outside = ((beyond < 0) | (beyond > last)).any(axis=1)
    k, j, i = np.round(beyond[~outside]).astype(int).T
    return bool(outside.mean() <= MOSTLY and np.mean(volume.hu[k, j, i] <= OUTSIDE_FIELD_HU) < 0.01)


def _over(shape: BodyShape) -> tuple[Floats, Floats]:
    """Places (x, y) of the endplates' maps that lie over the body."""
    x, y = np.meshgrid(shape.superior.x, shape.superior.y, indexing="ij")
    over = np.hypot(x, y) < shape.wall.at(np.arctan2(x, y), np.zeros_like(x))
    return x[over], y[over]


def _surface(shape: BodyShape, beyond_mm: float) -> Floats:
    """Local points (n, 3) so far beyond the body's surface: of both endplates and the wall."""
    x, y = _over(shape)
    theta, zeta = np.meshgrid(THETA, ZETA, indexing="ij")
    radius = shape.wall.radius + beyond_mm
    side_x, side_y = radius * np.sin(theta), radius * np.cos(theta)
    top, bottom = shape.superior.at(side_x, side_y), shape.inferior.at(side_x, side_y)
    return np.concatenate(
        [
            np.stack([x, y, shape.superior.at(x, y) + beyond_mm], axis=-1),
            np.stack([x, y, shape.inferior.at(x, y) - beyond_mm], axis=-1),
            np.stack([side_x, side_y, 0.5 * (top + bottom) + 0.5 * zeta * (top - bottom)], axis=-1).reshape(-1, 3),
        ]
    )


def _voxels(volume: Volume, shape: BodyShape) -> Mask:
    """The body on the volume's grid."""
    corner = np.array([0.5 * shape.pose.width, 0.5 * shape.pose.depth, 0.0]) * 1.35
    corner[2] = max(float(np.abs(shape.superior.z).max()), float(np.abs(shape.inferior.z).max())) + 2.0
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
    box = volume.index_kji(shape.pose.to_lps(signs * corner))
    size = np.array(volume.hu.shape)
    low = np.clip(np.floor(box.min(axis=0)).astype(int), 0, size)
    high = np.clip(np.ceil(box.max(axis=0)).astype(int) + 1, 0, size)
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    local = shape.pose.to_local(volume.lps_mm(grid))
    crop = shape.contains(local[..., 0], local[..., 1], local[..., 2])
    trimmed = Mask.of(crop)
    origin = tuple(int(a + b) for a, b in zip(low, trimmed.origin_kji, strict=True))
    return Mask((origin[0], origin[1], origin[2]), trimmed.voxels)
