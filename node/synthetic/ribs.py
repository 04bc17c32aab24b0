"""Ribs, costal cartilage and breastbone."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from node.synthetic.anatomy import LUMBAR_RIB, LUMBAR_RIB_MM, RIBS, Rib
from node.synthetic.canvas import Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.physics import CORTICAL_MG_CM3, Physics
from node.synthetic.shapes import Solid, polyline, union
from node.synthetic.spec import TorsoSpec
from node.synthetic.trunk import Trunk


def bearing(spec: TorsoSpec) -> list[tuple[str, Rib]]:
    """Which vertebra bears which rib in this patient."""
    pairs = [(f"T{n + 1}", rib) for n, rib in enumerate(RIBS)][: min(spec.rib_pairs, 12)]
    if spec.rib_pairs > 12:
        pairs.append(("L1", LUMBAR_RIB))
    return pairs


def course(body: Body, rib: Rib, side: float, trunk: Trunk, length_mm: float | None) -> tuple[Vector, Vector]:
    """Centre line (n, 3) of one rib from head to tip, and the direction of its height at each point."""
    level = body.level
    high = 0.25 * (level.anterior + level.posterior)
    free = body.level.label >= 17 or body.level.label == 8
    b, wide = body.half_depth, level.width / 2.0
    head = body.place(np.array([side * (0.86 * wide + 3.0), 0.72 * b, (0.25 if free else 0.85) * high]))
    neck = body.place(np.array([side * (0.7 * wide + 11.0), b + 5.5, (0.3 if free else 0.8) * high]))
    tubercle = body.place(np.array([side * (level.transverse + 3.0), b + level.canal[1] + 5.0, 0.2 * high + 3.0]))
    start = 24.0 if level.label > 9 else 40.0
    turn = np.linspace(start + 8.0, max(rib.reach, start + 14.0), 14)
    part = (turn - start) / max(rib.reach - start, 1.0)
    drop = rib.drop * trunk.scale
    heights = tubercle[2] - drop * (0.16 * part + 0.84 * part**1.15)
    ring = np.array([trunk.cage.around(float(z), float(t)) for z, t in zip(heights, turn, strict=True)])
    line = np.column_stack([side * ring[:, 0], ring[:, 1], heights])
    knots = np.vstack([head, neck, tubercle, line])
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    keep = np.concatenate([[True], np.diff(steps) > 2.0])
    spline = CubicSpline(steps[keep], knots[keep])
    end = steps[-1] if length_mm is None else min(length_mm, steps[-1] * 1.2)
    points = spline(np.linspace(0.0, end, max(int(end / 7.0), 4)))
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    outward = points - np.column_stack([0.3 * points[:, 0], np.full(len(points), -30.0), points[:, 2]])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    up = np.cross(along, outward)
    return points, up / np.linalg.norm(up, axis=1, keepdims=True)


def build(bodies: tuple[Body, ...], spec: TorsoSpec, trunk: Trunk) -> list[list[Solid]]:
    """Each rib as a chain of bars."""
    by_name = {body.level.name: body for body in bodies}
    pairs = bearing(spec)
    out: list[list[Solid]] = []
    for name, rib in pairs:
        length = LUMBAR_RIB_MM if name == "L1" else None
        if name == pairs[-1][0] and spec.last_rib_length_mm is not None:
            length = spec.last_rib_length_mm
        for side in (1.0, -1.0):
            points, up = course(by_name[name], rib, side, trunk, length)
            part = np.linspace(0.0, 1.0, len(points))
            swell = np.interp(part, [0, 0.06, 0.15, 0.9, 1.0], [0.9, 0.72, 0.95, 1.0, 0.85])
            thick = np.interp(part, [0, 0.06, 0.15, 0.9, 1.0], [1.25, 0.95, 1.1, 0.95, 0.8])
            radii = np.column_stack([rib.radii[0] * swell * trunk.scale, rib.radii[1] * thick * trunk.scale])
            out.append(polyline(points, up, radii))
    return out


def paint(canvas: Canvas, ribs: list[list[Solid]], physics: Physics, marrow_mg: float = 130.0) -> None:
    """Paint every rib with a cortex of 0.9 mm."""
    for rib in ribs:
        found = union(canvas, rib, canvas.edge_mm)
        if found is None:
            continue
        block, distance = found
        inner = cover(distance + np.float32(0.9), canvas.edge_mm)
        canvas.shell(
            block, cover(distance, canvas.edge_mm), inner, physics.bone(CORTICAL_MG_CM3), physics.bone(marrow_mg)
        )
