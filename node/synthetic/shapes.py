"""Signed distances (mm, negative inside) of the few solids that the anatomy is built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from node.synthetic.canvas import Array, Block, Box, Canvas, Vector, cover

FAR = np.float32(1e3)


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A straight rounded bar of elliptical section from ``a`` to ``b``, tapering from ``radii_a`` to ``radii_b``.

    ``up`` is the direction of the first radius of each pair; the second lies across it and the bar.
    """

    a: Vector
    b: Vector
    up: Vector
    radii_a: tuple[float, float]
    radii_b: tuple[float, float]

    def box(self, margin: float) -> Box:
        """Its bounding box."""
        return Box.around(np.stack([self.a, self.b]), margin + max(*self.radii_a, *self.radii_b))

    def distance(self, block: Block) -> Array:
        """Signed distance at the voxels of a block."""
        along = self.b - self.a
        length = float(np.linalg.norm(along)) or 1e-6
        along = along / length
        up = self.up - along * float(self.up @ along)
        up = up / (float(np.linalg.norm(up)) or 1.0)
        across = np.cross(along, up)
        x, y, z = (c - np.float32(o) for c, o in zip((block.x, block.y, block.z), self.a, strict=True))

        def dot(v: Vector) -> Array:
            out: Array = x * np.float32(v[0]) + y * np.float32(v[1]) + z * np.float32(v[2])
            return out

        s = dot(along)
        t = np.clip(s * np.float32(1.0 / length), 0.0, 1.0)
        beyond = s - t * np.float32(length)
        (ua, na), (ub, nb) = self.radii_a, self.radii_b
        inverse_up = 1.0 / (np.float32(ua) + t * np.float32(ub - ua))
        inverse_across = 1.0 / (np.float32(na) + t * np.float32(nb - na))
        inverse_end = np.maximum(inverse_up, inverse_across)
        p, q, r = dot(up) * inverse_up, dot(across) * inverse_across, beyond * inverse_end
        level = np.sqrt(p * p + q * q + r * r) + np.float32(1e-6)
        p, q, r = p * inverse_up, q * inverse_across, r * inverse_end
        slope = np.sqrt(p * p + q * q + r * r) + np.float32(1e-6)
        out: Array = (level - 1.0) * level / slope
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """An ellipsoid with semi-axes along the rows of ``axes`` (3, 3)."""

    centre: Vector
    radii: tuple[float, float, float]
    axes: Vector

    def box(self, margin: float) -> Box:
        """Its bounding box."""
        reach = np.sqrt((np.asarray(self.radii)[:, None] ** 2 * self.axes**2).sum(axis=0))
        return Box.around(np.stack([self.centre - reach, self.centre + reach]), margin)

    def distance(self, block: Block) -> Array:
        """Approximate signed distance (exact at the surface)."""
        x, y, z = (c - np.float32(o) for c, o in zip((block.x, block.y, block.z), self.centre, strict=True))
        level: Array = np.zeros((1, 1, 1), dtype=np.float32)
        slope: Array = np.zeros((1, 1, 1), dtype=np.float32)
        for v, radius in zip(self.axes, self.radii, strict=True):
            if abs(v[0]) + abs(v[1]) < 1e-9:
                p = z * np.float32(v[2] / radius)
            else:
                p = x * np.float32(v[0] / radius) + y * np.float32(v[1] / radius) + z * np.float32(v[2] / radius)
            p = p * p
            level = level + p
            slope = slope + p * np.float32(1.0 / radius**2)
        level = np.sqrt(level) + np.float32(1e-6)
        out: Array = (level - 1.0) * level / (np.sqrt(slope) + np.float32(1e-6))
        return out


def ellipsoid(
    centre: tuple[float, float, float], radii: tuple[float, float, float], tilt_deg: float = 0.0
) -> Ellipsoid:
    """An ellipsoid turned about the y axis (in the coronal plane) by ``tilt_deg``."""
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    return Ellipsoid(np.asarray(centre, dtype=np.float64), radii, np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))


Solid = Tube | Ellipsoid


def distances(canvas: Canvas, solids: list[Solid], whole: Block, out: Array, margin: float) -> None:
    """Lower ``out`` (the distances over the block ``whole``) to those of the solids, each near itself only."""
    for solid in solids:
        block = canvas.block(solid.box(margin))
        if block is None:
            continue
        low = [max(a.start, b.start) for a, b in zip(block.index, whole.index, strict=True)]
        high = [min(a.stop, b.stop) for a, b in zip(block.index, whole.index, strict=True)]
        if any(b <= a for a, b in zip(low, high, strict=True)):
            continue
        near = canvas.at(low, high)
        index = tuple(slice(a - w.start, b - w.start) for a, b, w in zip(low, high, whole.index, strict=True))
        part = out[index]
        np.minimum(part, solid.distance(near), out=part)


def union(canvas: Canvas, solids: list[Solid], margin: float = 3.0) -> tuple[Block, Array] | None:
    """Signed distance of several solids together, over the part of the canvas that they touch."""
    near = [(solid, box) for solid in solids if canvas.block(box := solid.box(margin)) is not None]
    if not near:
        return None
    corners = np.concatenate([np.array([box.low, box.high]) for _, box in near])
    whole = canvas.block(Box.around(corners, 0.0))
    if whole is None:
        return None
    out = np.full(whole.shape, FAR, dtype=np.float32)
    distances(canvas, [solid for solid, _ in near], whole, out, margin)
    return whole, out


def paint(canvas: Canvas, solid: Solid, hu: float) -> None:
    """Fill one solid."""
    block = canvas.block(solid.box(canvas.edge_mm))
    if block is not None:
        canvas.fill(block, cover(solid.distance(block), canvas.edge_mm), hu)


def paint_all(canvas: Canvas, solids: list[Solid], hu: float) -> None:
    """Fill several solids as one."""
    found = union(canvas, solids, canvas.edge_mm)
    if found is not None:
        canvas.fill(found[0], cover(found[1], canvas.edge_mm), hu)


def polyline(points: Vector, ups: Vector, radii: Vector) -> list[Solid]:
    """A bent bar through points (n, 3) with section radii (n, 2)."""
    return [
        Tube(points[n], points[n + 1], ups[n], (radii[n, 0], radii[n, 1]), (radii[n + 1, 0], radii[n + 1, 1]))
        for n in range(len(points) - 1)
    ]


def chain(points: Sequence[Vector], radii: Sequence[tuple[float, float]], up: Vector | None = None) -> list[Solid]:
    """A bent bar through points; the first radius of each pair lies along ``up`` (default: left-right)."""
    ups = np.tile(np.array([1.0, 0.0, 0.0]) if up is None else up, (len(points), 1))
    return polyline(np.array(points), ups, np.array(radii))


def axes_along(first: Sequence[float] | Vector) -> Vector:
    """Right-handed unit axes (rows) whose first points along ``first``."""
    a = np.asarray(first, dtype=np.float64) / np.linalg.norm(first)
    other = (0.0, 0.0, 1.0) if abs(a[2]) < 0.99 else (1.0, 0.0, 0.0)
    b = np.cross(other, a)
    b /= np.linalg.norm(b)
    return np.stack([a, b, np.cross(a, b)])
