"""A made-up column: elliptic bodies with a shell and cupped endplates, discs, canal and pedicles, in muscle and fat.

Known exactly, rendered with partial volume in a few tenths of a second; it owes nothing to the synthetic torso.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import Frame, LevelAssignment, SpineMap, VertebraSeed
from node.domain.volume import SourceImage, Volume

WIDTH, DEPTH, HEIGHT, DISC = 42.0, 31.0, 25.0, 8.0
SHELL_MM = 0.9
CUP_MM = 1.6
"""Each endplate is this much lower in the middle than at the rim."""
BACK = 0.42
"""The posterior wall is flat, at this part of the depth behind the centre."""


@dataclass(frozen=True)
class Column:
    """The rendered volume, its bodies and its seeds."""

    volume: Volume
    inside: NDArray[np.int8]
    """0, or 1 + the number of the body."""
    spine: SpineMap
    losses: tuple[float, ...]


def column(
    levels: tuple[str, ...] = ("T12", "L1", "L2"),
    *,
    spongiosa_hu: float = 150.0,
    noise_hu: float = 0.0,
    spacing_mm: tuple[float, float, float] = (1.5, 0.9, 0.9),
    anterior_loss: dict[str, float] | None = None,
    seed: int = 1,
    shift_mm: float = 0.0,
    turn_deg: float = 0.0,
) -> Column:
    """Render bodies head to foot about x = y = 0, the uppermost at z = 0; seeds shifted and turned on request."""
    losses = tuple((anterior_loss or {}).get(level, 0.0) for level in levels)
    pitch = HEIGHT + DISC
    low = -(len(levels) - 1) * pitch - 32.0
    axes = [
        np.arange(a, b, step)
        for (a, b), step in zip(((low, 32.0), (-48.0, 56.0), (-46.0, 46.0)), spacing_mm, strict=True)
    ]
    hu, inside = _render(axes, spacing_mm, spongiosa_hu, losses)
    rng = np.random.default_rng(seed)
    hu = hu + noise_hu * rng.standard_normal(hu.shape)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing_mm, 1.0
    affine[:3, 3] = axes[2][0], axes[1][0], axes[0][0]
    sources = tuple(SourceImage("1.2.840.10008.5.1.4.1.1.2", f"2.25.{n + 1}") for n in range(len(axes[0])))
    volume = Volume(np.round(hu).astype(np.int16), affine, "2.25.1", sources)
    seeds = tuple(_seed(level, -n * pitch, rng, shift_mm, turn_deg) for n, level in enumerate(levels))
    return Column(volume, inside, SpineMap(seeds, LevelAssignment((), "none", 0, 1.0), np.zeros((0, 3))), losses)


def seed_at(level: str, z_mm: float, **changes: object) -> VertebraSeed:
    """An exact seed."""
    values: dict[str, object] = {"level": level, "confidence": 0.9, "frame": frame(z_mm), "complete": True}
    values |= {"height_mm": HEIGHT, "width_mm": WIDTH, "depth_mm": DEPTH}
    return VertebraSeed(**(values | changes))  # type: ignore[arg-type]


def frame(z_mm: float) -> Frame:
    """Upright axes about the middle of a body."""
    return Frame(np.array([0.0, 0.0, z_mm]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]))


def _seed(level: str, z_mm: float, rng: np.random.Generator, shift_mm: float, turn_deg: float) -> VertebraSeed:
    direction = rng.standard_normal(3)
    centre = np.array([0.0, 0.0, z_mm]) + shift_mm * direction / np.linalg.norm(direction)
    axis = rng.standard_normal(3)
    axis *= np.deg2rad(turn_deg) / np.linalg.norm(axis)
    superior = np.array([0.0, 0.0, 1.0]) + np.cross(axis, [0.0, 0.0, 1.0])
    superior /= np.linalg.norm(superior)
    posterior = np.array([0.0, 1.0, 0.0]) + np.cross(axis, [0.0, 1.0, 0.0])
    posterior -= superior * (posterior @ superior)
    posterior /= np.linalg.norm(posterior)
    return seed_at(level, z_mm, frame=Frame(centre, np.cross(posterior, superior), posterior, superior))


def half_height(x: NDArray[np.float64], y: NDArray[np.float64], loss: float) -> NDArray[np.float64]:
    """Height of an endplate above the body's middle: cupped, and lower toward the front in a wedge."""
    radius = np.minimum((x / (0.5 * WIDTH)) ** 2 + (y / (0.5 * DEPTH)) ** 2, 1.0)
    forward = np.clip(0.5 - y / DEPTH, 0.0, 1.0)
    return np.asarray(0.5 * HEIGHT * (1.0 - loss * forward) - CUP_MM * (1.0 - radius))


def _render(
    axes: list[NDArray[np.float64]], spacing: tuple[float, float, float], spongiosa: float, losses: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    z, y, x = (axis.reshape([-1 if n == k else 1 for n in range(3)]) for k, axis in enumerate(axes))
    hu = np.where(np.hypot(x, y) < 40.0, 55.0, -100.0) + 0.0 * z
    hu = np.where(np.hypot(x / 11.0, (y - 23.0) / 8.0) < 1.0, 25.0, hu)
    side = np.hypot(x / (0.5 * WIDTH), y / (0.5 * DEPTH))
    column_out = np.maximum((side - 1.0) * 0.5 * DEPTH, y - BACK * DEPTH)
    hu = np.where(column_out < 0.0, 90.0, hu)
    inside = np.zeros(np.broadcast_shapes(hu.shape), dtype=np.int8)
    for n, loss in enumerate(losses):
        middle = -n * (HEIGHT + DISC)
        pedicle = np.maximum(
            np.hypot((np.abs(x) - 15.0) / 4.0, (z - middle - 4.0) / 6.0) - 1.0, np.abs(y - 18.0) / 14.0 - 1.0
        )
        hu = np.where(pedicle < 0.0, 350.0, hu)
        out = np.maximum(column_out, np.abs(z - middle) - half_height(x, y, loss))
        bone = np.clip(0.5 - out / min(spacing), 0.0, 1.0)
        marrow = np.clip(0.5 - (out + SHELL_MM) / min(spacing), 0.0, 1.0)
        hu = hu + bone * (700.0 - hu) + marrow * (spongiosa - 700.0)
        inside[out <= 0.0] = n + 1
    return hu, inside
