"""Images bent along the body centres: all vertebrae at once, whatever the curve.

The sagittal one follows the column sideways only and the coronal one forward and back only, so that the other curve
stays as it is. Rows advance by equal lengths along the curve, so that heights are true, and turn with each vertebra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from node.domain.settings import ReformatSettings
from node.domain.spine import CurvedReformat, SpineMap, Vertebra, VertebraSeed
from node.domain.volume import Volume
from node.imaging.reformat.sampling import slab

Floats = NDArray[np.float64]

ANTERIOR_MM, POSTERIOR_MM = 50.0, 80.0
SIDE_MM = 85.0
"""Shown before and behind the body centres, and at either side of them."""
STRAIGHT_ON_MM = 25.0
"""Beyond the last vertebra the curve goes on this far in its direction, then straight up or down."""
FINE_MM = 0.25


def curved(
    volume: Volume,
    spine: SpineMap | Sequence[Vertebra],
    shape: ReformatSettings | None = None,
    slice_thickness_mm: float | None = None,
) -> tuple[CurvedReformat, ...]:
    """Return the curved sagittal and coronal images, each a few slabs about the body centres.

    Rows run from head to foot over the whole scan. Columns run from front to back, or from right to left.
    """
    seeds = spine.seeds if isinstance(spine, SpineMap) else spine
    if not seeds:
        raise ValueError("no vertebra to follow")
    shape = shape or ReformatSettings()
    line = _Line(volume, seeds)
    slice_mm = max(slice_thickness_mm or 0.0, volume.spacing_mm[0])
    return (
        _bent(volume, line, "curved-sagittal", shape, slice_mm),
        _bent(volume, line, "curved-coronal", shape, slice_mm),
    )


class _Line:
    """The smooth curve through the body centres, and how far each vertebra is turned, by height in the scan."""

    def __init__(self, volume: Volume, seeds: Sequence[VertebraSeed | Vertebra]) -> None:
        centres = np.array([seed.frame.centre_lps_mm for seed in seeds])
        turns = np.array([np.arctan2(-seed.frame.posterior[0], seed.frame.posterior[1]) for seed in seeds])
        order = np.argsort(centres[:, 2])
        centres, turns = centres[order], np.unwrap(turns[order])
        apart = np.concatenate([[True], np.diff(centres[:, 2]) > 1.0])
        centres, turns = centres[apart], turns[apart]
        ends = volume.lps_mm(np.array([[0, 0, 0], [volume.hu.shape[0] - 1, 0, 0]], dtype=float))[:, 2]
        self.bottom_mm, self.top_mm = float(ends.min()), float(ends.max())
        z, x, y, turn = _lengthened(centres, turns, self.bottom_mm, self.top_mm)
        self._x, self._y, self._turn = (PchipInterpolator(z, values) for values in (x, y, turn))

    def at(self, z: Floats) -> tuple[Floats, Floats]:
        """Points (n, 3) at heights, and turns (n,) in radians about the long axis, toward the patient's right."""
        return np.stack([self._x(z), self._y(z), z], axis=-1), np.asarray(self._turn(z))


def _lengthened(
    centres: Floats, turns: Floats, bottom_mm: float, top_mm: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Knots of the curve: beyond the last vertebrae it goes on a little, then straight."""
    x, y, z = centres.T
    knots = [(float(z[n]), float(x[n]), float(y[n]), float(turns[n])) for n in range(len(z))]
    for end, inner, limit in ((0, 1, bottom_mm), (-1, -2, top_mm)):
        sign = -1.0 if end == 0 else 1.0
        if sign * (limit - z[end]) < 2.0:
            continue
        on = min(STRAIGHT_ON_MM, sign * (limit - z[end]) / 2)
        slope = (centres[end] - centres[inner]) / (z[end] - z[inner]) if len(z) > 1 else np.zeros(3)
        place = centres[end] + np.clip(slope, -0.6, 0.6) * sign * on
        more = [
            (float(z[end] + sign * on), float(place[0]), float(place[1]), float(turns[end])),
            (limit + sign, float(place[0]), float(place[1]), float(turns[end])),
        ]
        knots = more[::-1] + knots if end == 0 else knots + more
    if len(knots) == 1:
        knots = [(knots[0][0] - 1.0, *knots[0][1:]), (knots[0][0] + 1.0, *knots[0][1:])]
    columns = np.array(knots).T
    return columns[0], columns[1], columns[2], columns[3]


def _bent(
    volume: Volume,
    line: _Line,
    name: Literal["curved-sagittal", "curved-coronal"],
    shape: ReformatSettings,
    slice_mm: float,
) -> CurvedReformat:
    sagittal = name == "curved-sagittal"
    centres, down, turn = _rows(line, followed=0 if sagittal else 1, pixel_mm=shape.pixel_mm)
    left, posterior = _axes(down, turn)
    along, across = (posterior, left) if sagittal else (left, posterior)
    place = centres[:, 1 if sagittal else 0]
    low, high = (ANTERIOR_MM, POSTERIOR_MM) if sagittal else (SIDE_MM, SIDE_MM)
    # The curve itself is moved into one line so that the other curve of the column keeps its shape.
    middle = 0.5 * float(place.min() + place.max())
    spare = 0.5 * float(np.ptp(place))
    first = -(low + spare)
    origin = centres + (middle - place)[:, None] * along
    columns = int((low + high + 2 * spare) / shape.pixel_mm) + 1
    offsets = first + np.arange(columns) * shape.pixel_mm
    points = origin[:, None, :] + offsets[None, :, None] * along[:, None, :]
    half = shape.curved_images // 2
    images = [
        slab(volume, points + n * shape.thickness_mm * across[:, None, :], across[:, None, :], shape.thickness_mm)
        for n in range(-half, half + 1)
    ]
    hu = np.stack(images)
    for array in (hu, origin, along, across):
        array.flags.writeable = False
    return CurvedReformat(name, hu, shape.pixel_mm, shape.thickness_mm, origin, along, across, first, slice_mm)


def _rows(line: _Line, followed: int, pixel_mm: float) -> tuple[Floats, Floats, Floats]:
    """Points of the curve at equal lengths, head to foot, unit vectors down it, and turns.

    Length counts along z and the axis that is followed (0: sideways, 1: forward and back).
    """
    z = np.arange(line.top_mm, line.bottom_mm, -FINE_MM)
    fine, _ = line.at(z)
    step = np.hypot(np.diff(fine[:, followed]), np.diff(z))
    length = np.concatenate([[0.0], np.cumsum(step)])
    wanted = np.arange(0.0, length[-1], pixel_mm)
    centres, turn = line.at(np.interp(wanted, length, z))
    flat = np.zeros_like(centres)
    flat[:, [followed, 2]] = centres[:, [followed, 2]]
    down = np.gradient(flat, axis=0) if len(flat) > 1 else np.array([[0.0, 0.0, -1.0]])
    return centres, down / np.linalg.norm(down, axis=1, keepdims=True), turn


def _axes(down: Floats, turn: Floats) -> tuple[Floats, Floats]:
    """Unit vectors to the left and to the back, at right angles to the curve."""
    posterior = np.stack([-np.sin(turn), np.cos(turn), np.zeros_like(turn)], axis=-1)
    posterior -= np.einsum("ra,ra->r", posterior, down)[:, None] * down
    posterior /= np.linalg.norm(posterior, axis=1, keepdims=True)
    return np.cross(down, posterior), posterior
