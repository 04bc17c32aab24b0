"""From a rough seed to a pose: midline and turn by symmetry, cross-section at the waist, endplates along the column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose, clipped, outline, sample
from node.imaging.spine.surfaces import least_cost_surface, outward_fall, passed_edges

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

MAX_TURN_DEG = 14.0
MAX_MIDLINE_SHIFT_MM = 6.0
MAX_DEPTH_SHIFT_MM = 10.0
ROUGH_BAND, WAIST_BAND = (-0.32, 0.02), (-0.36, -0.12)
"""Parts of the height in which the cross-section is taken; pedicles and rib heads join above the middle."""
RINGS_MM = np.array([-15.0, -12.5, -10.0, -7.5, -5.0, -1.5, -0.5, 1.5, 2.5])
"""Distances from the expected outline: it should be crossed by the first fall, not by that behind the canal."""
RADIAL_STEP_MM = 0.5
AXIAL_STEP_MM = 0.5


def to_midline(volume: Volume, pose: Pose) -> Pose:
    """Turn about the long axis and shift sideways to where body, canal and arch mirror themselves best."""
    x = np.arange(-40.0, 41.0)
    y = np.arange(-0.6 * pose.depth, 0.5 * pose.depth + 32.0)
    z = np.linspace(-0.35, 0.25, 5) * pose.height
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    image = gaussian_filter(clipped(sample(volume, pose, grid)).mean(axis=2), 1.5)
    u, v = np.meshgrid(x, y, indexing="ij")
    best, turn, shift = -np.inf, 0.0, 0.0
    for degrees in np.arange(-MAX_TURN_DEG, MAX_TURN_DEG + 0.1, 1.0):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turned = map_coordinates(image, [c * u - s * v - x[0], s * u + c * v - y[0]], order=1, mode="nearest")
        shifts, scores = _mirror_scores(turned - turned.mean(), x)
        scores = scores - 0.02 * (degrees / 8.0) ** 2 - 0.02 * (shifts / 4.0) ** 2
        top = int(np.argmax(scores))
        if scores[top] > best:
            best, turn, shift = float(scores[top]), float(degrees), float(shifts[top])
    return pose.turned(np.array([0.0, 0.0, np.deg2rad(turn)])).moved(np.array([shift, 0.0, 0.0]))


def _mirror_scores(image: Floats32, x: Floats) -> tuple[Floats, Floats]:
    """Correlation of an image (x, y) with its mirror image in the plane x = shift, for each shift.

    Mirroring about half the index n is the n-th element of the image's convolution with itself.
    """
    size = 2 * len(x)
    spectrum = np.fft.rfft(image, size, axis=0)
    twice = np.fft.irfft((spectrum**2).sum(axis=1), size)
    shifts = np.arange(-MAX_MIDLINE_SHIFT_MM, MAX_MIDLINE_SHIFT_MM + 0.1, 0.5)
    index = np.round(2.0 * (shifts - x[0])).astype(int)
    return shifts, twice[index] / max(float((image**2).sum()), 1e-6)


def waist_outline(volume: Volume, pose: Pose, *, rough: bool = False) -> tuple[Pose, Floats]:
    """Find the cross-section below the pedicles; return the pose recentred on it and its radii.

    The radii are at 72 angles from the back, positive to the left. Slightly below the middle the side wall
    is bare on all sides: pedicles and ribs attach above. ``rough``: the centre may be several mm off.
    """
    theta = np.deg2rad(np.arange(0.0, 360.0, 5.0))
    if rough:
        pose = _template_fit(volume, pose, theta)
    band = ROUGH_BAND if rough else WAIST_BAND
    for spread in (6.0, 4.5):
        radius = _waist_radius(volume, pose, theta, outline(theta, pose.width, pose.depth), spread, band)
        x, y = radius * np.sin(theta), radius * np.cos(theta)
        front, back = float(y.min()), _back(theta, y)
        shift = np.array([0.25 * float(x.max() + x.min()), 0.44 * front + 0.56 * back, 0.0])
        pose = pose.moved(shift).sized(pose.height, float(np.ptp(x)), back - front)
    return pose, _waist_radius(volume, pose, theta, outline(theta, pose.width, pose.depth), 4.0, band)


def _template_fit(volume: Volume, pose: Pose, theta: Floats) -> Pose:
    """Slide and scale the expected outline to where attenuation falls across it most evenly.

    The fall is limited at each place, so that the whole outline counts and not its brightest part.
    """
    side = np.arange(-48.0, 48.1)
    z = np.linspace(*ROUGH_BAND, 6) * pose.height
    grid = np.stack(np.meshgrid(side, side, z, indexing="ij"), axis=-1)
    image = gaussian_filter(clipped(sample(volume, pose, grid)).mean(axis=2), 0.7)
    shifts = np.arange(-MAX_DEPTH_SHIFT_MM, MAX_DEPTH_SHIFT_MM + 0.1, 1.0)
    best, found = -np.inf, (0.0, 1.0, 1.0)
    for across in np.arange(0.75, 1.4, 0.08):
        for along in np.arange(0.75, 1.4, 0.08):
            radius = outline(theta, across * pose.width, along * pose.depth)[::2, None] + RINGS_MM
            i = np.round(radius * np.sin(theta)[::2, None] - side[0]).astype(int)
            j = np.round(radius * np.cos(theta)[::2, None] - side[0]).astype(int) + shifts.astype(int)[:, None, None]
            hu = image[np.clip(i, 0, len(side) - 1), np.clip(j, 0, len(side) - 1)]
            fall = np.clip(hu[..., -4:-2].mean(axis=-1) - hu[..., -2:].mean(axis=-1), -60.0, 120.0)
            passed = np.clip(hu[..., :-4] - hu[..., 1:-3], 0.0, 120.0).max(axis=-1)
            dear = (shifts / 5.0) ** 2 + ((across - 1) / 0.15) ** 2 + ((along - 1) / 0.15) ** 2
            score = (fall - 0.5 * passed).mean(axis=-1) - 2.5 * dear
            top = int(np.argmax(score))
            if score[top] > best:
                best, found = float(score[top]), (float(shifts[top]), float(across), float(along))
    shift, across, along = found
    moved = pose.moved(np.array([0.0, shift, 0.0]))
    return moved.sized(pose.height, across * pose.width, along * pose.depth)


def _back(theta: Floats, y: Floats) -> float:
    """Position of the posterior wall: median over the canal's width."""
    return float(np.median(y[np.cos(theta) > np.cos(np.deg2rad(26.0))]))


def _waist_radius(
    volume: Volume, pose: Pose, theta: Floats, expected: Floats, spread: float, band: tuple[float, float]
) -> Floats:
    offsets = np.arange(-spread, spread + 0.01, RADIAL_STEP_MM)
    radii = np.maximum(expected[:, None] + offsets, 1.0)
    z = np.linspace(*band, 6) * pose.height
    points = np.stack(
        np.broadcast_arrays(
            (radii * np.sin(theta)[:, None])[None], (radii * np.cos(theta)[:, None])[None], z[:, None, None]
        ),
        axis=-1,
    )
    profiles = clipped(sample(volume, pose, points)).mean(axis=0)
    fall = outward_fall(profiles, 1.2 / RADIAL_STEP_MM)
    reference = max(float(np.percentile(fall.max(axis=1), 70)), 5.0)
    score = np.clip(fall / reference, -0.3, 1.0)
    cost = -score + 0.5 * passed_edges(score, round(3.0 / RADIAL_STEP_MM)) + 0.25 * (offsets / spread) ** 2
    jumps = 0.06 * np.arange(5, dtype=np.float64) ** 1.5
    place = least_cost_surface(cost[None, :, None, :].astype(np.float32), jumps, closed_rows=True)[0, :, 0]
    return np.asarray(np.maximum(expected + offsets[0] + place * RADIAL_STEP_MM, 3.0), dtype=np.float64)
