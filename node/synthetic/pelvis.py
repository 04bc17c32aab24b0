"""Iliac wings, sacral wings, hip joints and pubis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.synthetic.canvas import Array, Block, Box, Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.physics import CORTICAL_MG_CM3, Physics
from node.synthetic.shapes import Ellipsoid, Solid, Tube, ellipsoid, union
from node.synthetic.spec import TorsoSpec


@dataclass(frozen=True, slots=True, eq=False)
class Pelvis:
    """Bones of the pelvis; wings are sheets, the rest solids."""

    origin: Vector
    """Middle of S1 in body coordinates."""
    scale: float
    wide: float
    sacrum: list[Solid]
    hips: list[Solid]
    marrow_mg: float


def build(spec: TorsoSpec, bodies: tuple[Body, ...]) -> Pelvis:
    """Hang the pelvis on the sacrum."""
    by_name = {body.level.name: body for body in bodies}
    s = spec.height_cm / 172.0
    wide = s * (1.06 if spec.sex == "F" else 1.0)
    first = by_name["S1"]
    sacrum: list[Solid] = []
    for name, reach, back in (("S1", 56, 14), ("S2", 50, 12), ("S3", 38, 8)):
        body = by_name[name]
        for side in (1.0, -1.0):
            start = body.place(np.array([side * 12.0, 3.0, 0.0]))
            end = body.place(np.array([side * reach * wide, back, -2.0]))
            tall = 0.5 * body.level.anterior
            sacrum.append(Tube(start, end, body.axes[2], (tall, 0.62 * tall), (tall * 1.05, 0.8 * tall)))
            mid = body.place(np.array([side * 24.0, 0.5 * body.level.depth + 0.8 * body.level.canal[1], 0.0]))
            sacrum.append(Tube(end, mid, body.axes[2], (tall, 7.0), (tall, 5.0)))
            crest = body.place(np.array([0.0, 0.5 * body.level.depth + body.level.canal[1] + 5.0, 0.0]))
            sacrum.append(Tube(mid, crest, body.axes[2], (tall, 4.5), (tall, 4.0)))
    hips = _hips(first.centre, s, wide)
    return Pelvis(first.centre, s, wide, sacrum, hips, 0.9 * first.rho)


def _hips(origin: Vector, s: float, wide: float) -> list[Solid]:
    out: list[Solid] = []
    for side in (1.0, -1.0):

        def at(x: float, y: float, z: float, side: float = side) -> Vector:
            p: Vector = origin + np.array([side * x * wide, y * s, z * s])
            return p

        head = at(88, -18, -118)
        out.append(Ellipsoid(head, (24 * s, 24 * s, 24 * s), np.eye(3)))
        out.append(Tube(head, at(124, -8, -134), np.array([0.0, 0.0, 1.0]), (16 * s, 14 * s), (17 * s, 14 * s)))
        out.append(
            Tube(at(128, -4, -128), at(126, -6, -230), np.array([1.0, 0.0, 0.0]), (19 * s, 19 * s), (15 * s, 15 * s))
        )
    return out


def _wing(pelvis: Pelvis, block: Block, side: float) -> tuple[Array, Array]:
    """Signed distance to the iliac sheet's faces and to its border."""
    x = (block.x - np.float32(pelvis.origin[0])) * np.float32(side / pelvis.wide)
    y = (block.y - np.float32(pelvis.origin[1])) * np.float32(1.0 / pelvis.scale)
    z = (block.z - np.float32(pelvis.origin[2])) * np.float32(1.0 / pelvis.scale)
    # Going down, the sheet's ends draw together from the crest to the hip socket.
    t = np.clip((z + 92.0) / 130.0, 0.0, 1.0)
    xa, ya = 62.0 + 0.0 * t, 18.0 + 34.0 * t
    xb, yb = 92.0 + 38.0 * t, -30.0 - 22.0 * t
    dx, dy = xb - xa, yb - ya
    length = np.sqrt(dx * dx + dy * dy)
    along = ((x - xa) * dx + (y - ya) * dy) / length
    off = ((x - xa) * dy - (y - ya) * dx) / length
    u = np.clip(along / length, 0.0, 1.0)
    off = off + np.float32(16.0) * t * u * (1.0 - u) * 1.6
    thick = 4.0 + 5.5 * np.abs(u - 0.45) ** 1.5 * 3.0 + 7.0 * (1.0 - t) ** 2
    crest = 22.0 + 62.0 * np.sin(np.pi * np.clip(0.12 + 0.80 * u, 0.0, 1.0)) - 34.0 - 8.0 * u
    thick = thick + np.float32(3.0) * np.clip(1.0 - (crest - z) / 10.0, 0.0, 1.0)
    border = np.maximum(np.maximum(-along, along - length), np.maximum(z - crest, -98.0 - z))
    scale = np.float32(pelvis.scale)
    faces: Array = ((np.abs(off) - thick) * scale).astype(np.float32)
    edges: Array = (border * scale).astype(np.float32)
    return faces, edges


def paint(canvas: Canvas, pelvis: Pelvis, physics: Physics) -> None:
    """Paint wings, sacral wings and hips."""
    bone, marrow = physics.bone(CORTICAL_MG_CM3), physics.bone(pelvis.marrow_mg)
    o, s, w = pelvis.origin, pelvis.scale, pelvis.wide
    for side in (1.0, -1.0):
        xs = sorted((o[0] + side * 45 * w, o[0] + side * 150 * w))
        block = canvas.block(Box((xs[0], o[1] - 75 * s, o[2] - 105 * s), (xs[1], o[1] + 68 * s, o[2] + 60 * s)))
        if block is None:
            continue
        faces, edges = _wing(pelvis, block, side)
        distance = np.maximum(faces, edges)
        inner = cover(distance + np.float32(1.4), canvas.edge_mm)
        canvas.shell(block, cover(distance, canvas.edge_mm), inner, bone, marrow)
    for solids, wall in ((pelvis.hips, 1.6), (pelvis.sacrum, 0.9)):
        found = union(canvas, solids, canvas.edge_mm)
        if found is None:
            continue
        where, distance = found
        inner = cover(distance + np.float32(wall), canvas.edge_mm)
        canvas.shell(where, cover(distance, canvas.edge_mm), inner, bone, marrow)
        if solids is pelvis.sacrum:
            canvas.mark(where, cover(distance, canvas.edge_mm), 126)


def hip_centres(pelvis: Pelvis) -> tuple[Solid, ...]:
    """Balls of the hip joints."""
    return tuple(solid for solid in pelvis.hips if isinstance(solid, Ellipsoid))


_ = ellipsoid
