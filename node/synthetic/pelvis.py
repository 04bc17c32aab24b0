"""Iliac wings, sacral wings, hip joints, ischium and pubis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.synthetic.canvas import Array, Block, Box, Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.physics import CORTICAL_MG_CM3, Physics
from node.synthetic.shapes import FAR, Ellipsoid, Solid, Tube, distances, union
from node.synthetic.spec import TorsoSpec

#  z     back end x, y    front end x, y    half thickness at back, middle, front; from the middle of S1
_WING = (
    (60, 106, -4, 119, -30, 3.0, 3.0, 3.0),
    (50, 88, 18, 124, -48, 4.5, 3.4, 4.2),
    (25, 66, 37, 127, -73, 6.0, 2.6, 4.6),
    (0, 55, 43, 125, -87, 7.5, 2.2, 5.0),
    (-25, 49, 49, 121, -94, 8.5, 2.4, 6.5),
    (-48, 52, 42, 112, -88, 8.5, 3.4, 5.5),
    (-66, 60, 20, 103, -86, 7.0, 5.0, 7.0),
    (-84, 72, -16, 98, -80, 7.0, 8.0, 7.0),
    (-104, 78, -34, 94, -74, 8.0, 11.0, 8.0),
)
JOINT_MM = 2.4


@dataclass(frozen=True, slots=True, eq=False)
class Pelvis:
    """Bones of the pelvis."""

    origin: Vector
    """Middle of S1 in body coordinates."""
    scale: float
    wide: float
    sacrum: list[Solid]
    innominate: tuple[list[Solid], list[Solid]]
    """Ischium and pubis of the left and right side."""
    heads: tuple[Ellipsoid, Ellipsoid]
    femora: list[Solid]
    marrow_mg: float


def build(spec: TorsoSpec, bodies: tuple[Body, ...]) -> Pelvis:
    """Hang the pelvis on the sacrum."""
    by_name = {body.level.name: body for body in bodies}
    s = spec.height_cm / 172.0
    wide = s * (1.05 if spec.sex == "F" else 1.0)
    first = by_name["S1"]
    left, right = _hip_bone(first.centre, s, wide, 1.0), _hip_bone(first.centre, s, wide, -1.0)
    return Pelvis(
        origin=first.centre,
        scale=s,
        wide=wide,
        sacrum=_sacrum(by_name, wide, spec),
        innominate=(left[0], right[0]),
        heads=(left[1], right[1]),
        femora=left[2] + right[2],
        marrow_mg=0.9 * first.rho,
    )


def _sacrum(by_name: dict[str, Body], wide: float, spec: TorsoSpec) -> list[Solid]:
    """Wings and roof of the sacral canal; the wings of a sacralised L5 join them."""
    out: list[Solid] = []
    rows = [("S1", 45, 12), ("S2", 41, 10), ("S3", 27, 6), ("S4", 14, 3)]
    if spec.lumbosacral == "sacralised-L5":
        rows.insert(0, ("L5", 46, 14))
    for name, reach, back in rows:
        body = by_name[name]
        deep, canal = 0.5 * body.level.depth, body.level.canal[1]
        tall = 0.52 * body.level.anterior
        up = body.axes[2]
        for side in (1.0, -1.0):
            start = body.place(np.array([side * 0.3 * body.level.width, 2.0, 0.0]))
            end = body.place(np.array([side * reach * wide, back, -3.0]))
            out.append(Tube(start, end, up, (tall, 0.6 * tall), (tall * 0.95, 0.8 * tall)))
            if name == "L5":
                continue
            mid = body.place(np.array([side * 0.55 * reach, deep + 0.9 * canal, 0.0]))
            crest = body.place(np.array([0.0, deep + canal + 4.0, 0.0]))
            out.append(Tube(end, mid, up, (0.8 * tall, 7.0), (0.7 * tall, 4.0)))
            out.append(Tube(mid, crest, up, (0.7 * tall, 3.0), (0.8 * tall, 3.5)))
    return out


def _hip_bone(origin: Vector, s: float, wide: float, side: float) -> tuple[list[Solid], Ellipsoid, list[Solid]]:
    """Ischium and pubis, the femoral head, and the rest of the femur."""

    def at(x: float, y: float, z: float) -> Vector:
        p: Vector = origin + np.array([side * x * wide, y * s, z * s])
        return p

    def bar(a: Vector, b: Vector, ra: float, rb: float, flat: float = 1.0) -> Tube:
        return Tube(a, b, np.array([0.0, 0.5, 0.8]), (ra * s, ra * s * flat), (rb * s, rb * s * flat))

    bones: list[Solid] = [
        bar(at(84, -34, -122), at(66, -22, -186), 14, 15),
        bar(at(66, -22, -186), at(62, -30, -204), 15, 11),
        bar(at(70, -78, -108), at(38, -102, -134), 11, 7.5, 0.8),
        bar(at(38, -102, -134), at(11, -112, -150), 7.5, 11, 0.7),
        bar(at(11, -112, -150), at(12, -106, -168), 10, 8, 0.7),
        bar(at(12, -106, -168), at(58, -36, -200), 7, 8, 0.6),
    ]
    head = Ellipsoid(at(88, -58, -116), (24.0 * s, 24.0 * s, 24.0 * s), np.eye(3))
    femur: list[Solid] = [
        bar(at(88, -58, -116), at(122, -46, -132), 15, 16),
        bar(at(128, -42, -122), at(124, -44, -150), 15, 19),
        bar(at(124, -44, -150), at(116, -44, -290), 18, 14),
    ]
    return bones, head, femur


def _wing(pelvis: Pelvis, block: Block, side: float) -> Array:
    """Signed distance to one iliac wing."""
    x = (block.x - pelvis.origin[0]) * (side / pelvis.wide)
    y = (block.y - pelvis.origin[1]) / pelvis.scale
    z = (block.z - pelvis.origin[2]) / pelvis.scale
    table = np.array(_WING)[::-1]
    columns = [np.interp(z, table[:, 0], table[:, n]).astype(np.float32) for n in range(1, 8)]
    xa, ya, xb, yb, back, middle, front = columns
    dx, dy = xb - xa, yb - ya
    length = np.sqrt(dx * dx + dy * dy)
    ux, uy = dx / length, dy / length
    along = (x - xa) * ux + (y - ya) * uy
    t = np.clip(along / length, 0.0, 1.0)
    arch = 4.0 * t * (1.0 - t)
    bow = 0.075 * length - 3.0
    off = (x - xa) * uy - (y - ya) * ux
    off = off + bow * arch
    beyond = along - t * length
    thick = middle * arch + (back * (1.0 - t) + front * t) * (1.0 - arch)
    distance = np.sqrt(off * off + beyond * beyond) - thick
    ends = np.maximum(z - np.float32(59.0), np.float32(-118.0) - z)
    out: Array = (np.maximum(distance, ends) * pelvis.scale).astype(np.float32)
    return out


def _socket(head: Ellipsoid, block: Block, side: float, s: float) -> Array:
    """Signed distance to the bony cup around the femoral head, open outward, forward and down."""
    ball = Ellipsoid(head.centre, (33.0 * s, 33.0 * s, 33.0 * s), head.axes).distance(block)
    x, y, z = (c - np.float32(o) for c, o in zip((block.x, block.y, block.z), head.centre, strict=True))
    out: Array = np.maximum(ball, x * np.float32(0.8 * side) - y * 0.35 - z * 0.5 - np.float32(8.0 * s))
    return out


def paint(canvas: Canvas, pelvis: Pelvis, physics: Physics) -> None:
    """Paint sacral wings, hip bones and femora, with their joints."""
    bone, marrow = physics.bone(CORTICAL_MG_CM3), physics.bone(pelvis.marrow_mg)
    gap, edge = physics.tissue("joint"), canvas.edge_mm

    def bony(block: Block, distance: Array, wall: float, core: float = marrow) -> None:
        canvas.shell(block, cover(distance, edge), cover(distance + np.float32(wall), edge), bone, core)

    found = union(canvas, pelvis.sacrum, edge)
    if found is not None:
        bony(*found, 0.7, physics.bone(0.45 * pelvis.marrow_mg))
        canvas.mark(found[0], cover(found[1], edge), 126)
    o, s, w = pelvis.origin, pelvis.scale, pelvis.wide
    for side, solids, head in zip((1.0, -1.0), pelvis.innominate, pelvis.heads, strict=True):
        xs = sorted((o[0], o[0] + side * 140 * w))
        block = canvas.block(Box((xs[0], o[1] - 128 * s, o[2] - 222 * s), (xs[1], o[1] + 62 * s, o[2] + 62 * s)))
        if block is None:
            continue
        distance = np.full(block.shape, FAR, dtype=np.float32)
        np.minimum(_wing(pelvis, block, side), distance, out=distance)
        np.minimum(_socket(head, block, side, s), distance, out=distance)
        distances(canvas, solids, block, distance, edge)
        canvas.fill(block, cover(distance - np.float32(JOINT_MM), edge), gap)
        bony(block, distance, 1.5)
        joint = canvas.block(head.box(6.0))
        if joint is not None:
            ball = head.distance(joint)
            canvas.fill(joint, cover(ball - np.float32(3.0), edge), gap)
            bony(joint, ball, 1.0)
    found = union(canvas, pelvis.femora, edge)
    if found is not None:
        bony(*found, 2.2)
    for head in pelvis.heads:
        joint = canvas.block(head.box(1.0))
        if joint is not None:
            canvas.fill(
                joint, cover(head.distance(joint) + np.float32(1.5), edge), physics.bone(1.8 * pelvis.marrow_mg)
            )
