"""What fills the trunk: muscles beside the spine, great vessels, heart, liver, spleen, kidneys, bowel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.synthetic import trunk as outlines
from node.synthetic.canvas import Block, Box, Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.physics import Physics
from node.synthetic.shapes import Ellipsoid, Solid, Tube, ellipsoid, polyline
from node.synthetic.spec import TorsoSpec
from node.synthetic.trunk import Trunk

Part = tuple[Solid, str]


@dataclass(frozen=True, slots=True, eq=False)
class Organs:
    """Solids with the tissue they hold, in the order in which they are painted."""

    muscles: list[Part]
    """Outside the cavity or against its back wall."""
    chest: list[Part]
    belly: list[Part]
    """Painted only inside the cavity, below the diaphragm."""
    gas: list[tuple[Solid, tuple[float, float]]]
    """Gas above a level: the solid, and the (y, LPS front negative) band it fills."""
    vessels: list[Part]
    scale: float


def build(spec: TorsoSpec, trunk: Trunk, bodies: tuple[Body, ...], rng: np.random.Generator) -> Organs:
    """Lay out the organs of one patient."""
    by_name = {body.level.name: body for body in bodies}
    s = trunk.scale
    belly, gas = _belly(spec, trunk, rng, s)
    return Organs(
        muscles=_muscles(by_name, s),
        chest=_chest(by_name, rng, s),
        belly=belly,
        gas=gas,
        vessels=_vessels(by_name, s),
        scale=s,
    )


def _chain(points: list[Vector], radii: list[tuple[float, float]], up: Vector | None = None) -> list[Solid]:
    line = np.array(points)
    ups = np.tile(np.array([1.0, 0.0, 0.0]) if up is None else up, (len(points), 1))
    return polyline(line, ups, np.array(radii))


def _muscles(by_name: dict[str, Body], s: float) -> list[Part]:
    """Erector spinae in their fat sheath, quadratus lumborum and psoas."""
    out: list[Part] = []
    spinal = [n for n in ("C7", "T2", "T4", "T6", "T8", "T10", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S3")]
    wide = dict(zip(spinal, (13, 14, 15, 16, 17, 18, 22, 24, 26, 27, 26, 22, 16, 9), strict=True))
    for side in (1.0, -1.0):
        centres, radii = [], []
        for name in spinal:
            body = by_name[name]
            r = wide[name] * s
            centres.append(
                body.place(np.array([side * (r + 4.0), body.half_depth + body.level.canal[1] + 0.62 * r, 0.0]))
            )
            radii.append((r + 1.6, 0.72 * r + 1.6))
        out += [(solid, "fat") for solid in _chain(centres, radii)]
        out += [(solid, "muscle") for solid in _chain(centres, [(a - 1.6, b - 1.6) for a, b in radii])]
        ql = [
            np.array([side * 62 * s, 30 * s, 10 * s]),
            np.array([side * 68 * s, 28 * s, -50 * s]),
            np.array([side * 78 * s, 26 * s, -110 * s]),
        ]
        out += [(solid, "fat") for solid in _chain(ql, [(14, 8), (21, 11), (20, 10)])]
        out += [(solid, "muscle") for solid in _chain(ql, [(12, 6.5), (19, 9.5), (18, 8)])]
        centres, radii = [], []
        for name, r in (("L1", 7.0), ("L2", 14.0), ("L3", 19.0), ("L4", 23.0), ("L5", 23.0)):
            body = by_name[name]
            centres.append(body.place(np.array([side * (0.5 * body.level.width + 0.72 * r * s), 3.0, 0.0])))
            radii.append((r * s, r * s * 0.95))
        last = centres[-1]
        for out_mm, front, down, r in ((14, -22, -45, 20), (26, -42, -95, 18), (36, -48, -140, 18)):
            centres.append(last + np.array([side * out_mm, front, down]) * s)
            radii.append((r * s, r * s))
        out += [(solid, "muscle") for solid in _chain(centres, radii)]
    return out


def _vessels(by_name: dict[str, Body], s: float) -> list[Part]:
    """Aorta, vena cava and the common iliac vessels."""

    def before(name: str, side: float, gap: float) -> Vector:
        body = by_name[name]
        return body.place(np.array([side, -body.half_depth - gap, 0.0]))

    aorta = [
        before(n, x, g)
        for n, x, g in (
            ("T4", 16, 2),
            ("T6", 17, 4),
            ("T8", 15, 7),
            ("T10", 11, 10),
            ("T12", 7, 12),
            ("L2", 9, 12),
            ("L4", 8, 12),
        )
    ]
    radii = [(r * s, r * s) for r in (12.5, 12.5, 12, 11.5, 10.5, 9.5, 8.5)]
    cava = [
        before(n, x, g)
        for n, x, g in (("T9", -22, 26), ("T11", -20, 17), ("L1", -19, 11), ("L3", -16, 11), ("L5", -10, 10))
    ]
    out: list[Part] = [
        (solid, "vein") for solid in _chain(cava, [(r * s, 0.75 * r * s) for r in (13, 13, 13, 12.5, 11)])
    ]
    out += [(solid, "blood") for solid in _chain(aorta, radii)]
    for side in (1.0, -1.0):
        fork = [
            aorta[-1],
            before("L5", side * 24, 8),
            before("S1", side * 48, 20),
            before("S1", side * 62, 55) + np.array([0, 0, -60.0]),
        ]
        out += [(solid, "blood") for solid in _chain(fork, [(6.5, 6.5), (5.8, 5.8), (5, 5), (4.5, 4.5)])]
        fork = [
            cava[-1],
            before("L5", side * 26, 0),
            before("S1", side * 46, 8),
            before("S1", side * 56, 45) + np.array([0, 0, -60.0]),
        ]
        out += [(solid, "vein") for solid in _chain(fork, [(8, 7), (7.5, 6.5), (6.5, 6), (6, 6)])]
    return out


def _chest(by_name: dict[str, Body], rng: np.random.Generator, s: float) -> list[Part]:
    """Mediastinum, heart, airways and lung vessels."""
    out: list[Part] = []
    middle = [
        np.array([0, -12, 330.0]),
        np.array([4, -22, 285.0]),
        np.array([6, -34, 235.0]),
        np.array([10, -44, 185.0]),
        np.array([16, -48, 130.0]),
        np.array([14, -48, 90.0]),
    ]
    out += [
        (solid, "fat")
        for solid in _chain([p * s for p in middle], [(22, 34), (26, 50), (30, 66), (36, 74), (48, 74), (46, 70)])
    ]
    out.append(
        (Ellipsoid(np.array([22, -62, 152.0]) * s, (52 * s, 44 * s, 60 * s), _axes((0.65, -0.45, -0.6))), "heart")
    )
    for points, radii in (
        ([(-14, -58, 190), (-16, -62, 225), (-4, -48, 252), (14, -16, 250), (17, 2, 235)], (15, 15, 14.5, 13.5, 13)),
        ([(6, -66, 190), (8, -58, 212), (14, -40, 222)], (13, 13, 11)),
        ([(-26, -48, 185), (-27, -44, 260), (-14, -38, 300)], (10, 9, 8)),
    ):
        out += [
            (solid, "blood") for solid in _chain([np.array(p) * s for p in points], [(r * s, r * s) for r in radii])
        ]
    for points, radii in (
        ([(0, -22, 400), (0, -16, 300), (-2, -14, 226)], (8.5, 8.5, 8.5)),
        ([(-2, -14, 226), (-24, -16, 205), (-42, -18, 190)], (7, 6.5, 4.5)),
        ([(-2, -14, 226), (24, -16, 202), (42, -16, 186)], (6.5, 6, 4.5)),
    ):
        line = [np.array(p, dtype=np.float64) * s for p in points]
        out += [(solid, "muscle") for solid in _chain(line, [((r + 1.4) * s, (r + 1.4) * s) for r in radii])]
        out += [(solid, "gas") for solid in _chain(line, [(r * s, r * s) for r in radii])]
    out += _lung_vessels(rng, s)
    return out


def _axes(first: tuple[float, float, float]) -> Vector:
    """Right-handed axes whose first row points along ``first``."""
    a = np.asarray(first) / np.linalg.norm(first)
    b = np.cross((0.0, 0.0, 1.0), a)
    b /= np.linalg.norm(b)
    return np.stack([a, b, np.cross(a, b)])


def _lung_vessels(rng: np.random.Generator, s: float) -> list[Part]:
    """A small tree of vessels from each hilum."""
    out: list[Part] = []
    for side in (1.0, -1.0):
        hilum = np.array([side * 46.0, -16.0, 188.0]) * s
        for _ in range(13):
            direction = rng.normal(size=3) * np.array([0.7, 0.9, 1.1]) + np.array([side * 0.7, 0.1, -0.1])
            direction /= np.linalg.norm(direction)
            start, radius = hilum, float(rng.uniform(2.6, 4.2))
            for _ in range(4):
                direction = direction + rng.normal(size=3) * 0.25
                direction /= np.linalg.norm(direction)
                end = start + direction * rng.uniform(14, 24) * s
                if abs(end[0]) < 30.0 * s:
                    break
                out.append(
                    (
                        Tube(start, end, np.array([0.0, 1.0, 0.1]), (radius, radius), (0.72 * radius, 0.72 * radius)),
                        "lung-vessel",
                    )
                )
                start, radius = end, 0.68 * radius
    return out


def _belly(
    spec: TorsoSpec, trunk: Trunk, rng: np.random.Generator, s: float
) -> tuple[list[Part], list[tuple[Solid, tuple[float, float]]]]:
    """Spleen, stomach, pancreas, kidneys, bowel and bladder."""
    out: list[Part] = []
    gas: list[tuple[Solid, tuple[float, float]]] = []
    half, front, _ = trunk.cavity.at(60.0 * s)
    out.append((ellipsoid((half - 26 * s, 8 * s, 66 * s), (27 * s, 44 * s, 50 * s), -12), "spleen"))
    for side, z in ((1.0, -8.0), (-1.0, -22.0)):
        z = z + float(rng.uniform(-8, 8))
        x = side * 60 * s
        out.append((ellipsoid((x, 10 * s, z * s), (44 * s, 34 * s, 68 * s), side * -10), "visceral-fat"))
        out.append((ellipsoid((x, 8 * s, z * s), (29 * s, 25 * s, 54 * s), side * -10), "kidney"))
        out.append((ellipsoid((x - side * 16 * s, 4 * s, z * s), (15 * s, 9 * s, 24 * s), side * -10), "visceral-fat"))
        out.append((ellipsoid((x - side * 8 * s, 5 * s, z * s), (6 * s, 4 * s, 14 * s), side * -10), "water"))
        out.append((ellipsoid((x - side * 12 * s, -2 * s, (z + 58) * s), (14 * s, 4 * s, 9 * s)), "gland"))
    bag = ellipsoid((52 * s, front + 52 * s, 62 * s), (46 * s, 34 * s, 54 * s), 25)
    out += [(bag, "bowel"), (ellipsoid((52 * s, front + 52 * s, 62 * s), (42 * s, 30 * s, 50 * s), 25), "stomach")]
    gas.append((ellipsoid((52 * s, front + 52 * s, 62 * s), (42 * s, 30 * s, 50 * s), 25), (-1e3, front + 40 * s)))
    out += [
        (solid, "pancreas")
        for solid in _chain(
            [np.array([-38, -52, 2.0]) * s, np.array([-5, -50, 14.0]) * s, np.array([45, -28, 34.0]) * s],
            [(13, 12), (9, 9), (11, 9)],
        )
    ]
    _bowel(spec, trunk, rng, s, out, gas)
    out.append((ellipsoid((0, -48 * s, -250 * s), (36 * s, 28 * s, 30 * s)), "bladder"))
    return out, gas


def _bowel(
    spec: TorsoSpec,
    trunk: Trunk,
    rng: np.random.Generator,
    s: float,
    out: list[Part],
    gas: list[tuple[Solid, tuple[float, float]]],
) -> None:
    """Small bowel loops, then the colon with stool and gas."""
    for _ in range(46):
        z = float(rng.uniform(-205, -15)) * s
        half, front, _ = trunk.cavity.at(z)
        x = float(rng.uniform(-0.62, 0.62)) * half
        y = float(rng.uniform(front + 22 * s, -42 * s))
        turn = rng.normal(size=3)
        loop = Ellipsoid(np.array([x, y, z]), (26 * s, 11.5 * s, 11.5 * s), _axes((turn[0], turn[1], turn[2] + 1e-3)))
        out.append((loop, "bowel"))
        if rng.random() < 0.12 * spec.bowel_gas:
            gas.append((Ellipsoid(loop.centre, (20 * s, 8.5 * s, 8.5 * s), loop.axes), (-1e3, y - 2.0 * s)))
    half, front, _ = trunk.cavity.at(-60.0 * s)
    right, left = -(half - 27 * s), half - 24 * s
    course = [(right, -20, -150), (right, -8, -100), (right, -14, -45), (right + 14, -40, -15), (right + 50, front / s + 36, -30),
              (0, front / s + 26, -48), (left - 50, front / s + 36, -20), (left - 14, -35, 22), (left + 2, 2, 10), (left, 12, -60),
              (left - 4, 8, -120), (left - 22, -22, -165), (30, -30, -190), (6, 12, -205), (0, 30, -240), (0, 40, -285)]  # fmt: skip
    line = [np.array([x, y * s, z * s]) for x, y, z in course]
    wide = [25, 26, 24, 21, 20, 20, 20, 19, 18, 17, 17, 16, 16, 17, 19, 16]
    radii = [(r * s, r * s) for r in wide]
    out += [(solid, "bowel") for solid in _chain(line, radii, np.array([0.3, 0.2, 0.93]))]
    out += [
        (solid, "stool") for solid in _chain(line, [(a - 2.2, b - 2.2) for a, b in radii], np.array([0.3, 0.2, 0.93]))
    ]
    for n in range(len(line) - 1):
        for _ in range(int(rng.integers(1, 4))):
            t = float(rng.random())
            centre = line[n] * (1 - t) + line[n + 1] * t + np.array([0.0, -6.0 * s, 0.0])
            if rng.random() < 0.55 * spec.bowel_gas:
                r = float(rng.uniform(0.35, 0.62)) * wide[n] * s
                gas.append((ellipsoid(point3(centre), (r, 0.8 * r, 1.2 * r)), (-1e3, 1e3)))


def point3(p: Vector) -> tuple[float, float, float]:
    """Plain floats."""
    return float(p[0]), float(p[1]), float(p[2])


def paint(canvas: Canvas, organs: Organs, trunk: Trunk, physics: Physics) -> None:
    """Paint them all."""
    for solid, name in organs.muscles:
        _fill(canvas, solid, physics.tissue(name))
    _liver(canvas, trunk, physics)
    for solid, name in organs.belly:
        _fill_below(canvas, solid, physics.tissue(name), trunk)
    for solid, band in organs.gas:
        _fill_below(canvas, solid, physics.tissue("gas"), trunk, band)
    for solid, name in organs.chest:
        _fill(canvas, solid, physics.tissue(name))
    for solid, name in organs.vessels:
        _fill(canvas, solid, physics.tissue(name))


def _fill(canvas: Canvas, solid: Solid, hu: float) -> None:
    block = canvas.block(solid.box(canvas.edge_mm))
    if block is not None:
        canvas.fill(block, cover(solid.distance(block), canvas.edge_mm), hu)


def _inside(canvas: Canvas, trunk: Trunk, block: Block, inset: float) -> Vector:
    """Cover of the belly's cavity, ``inset`` mm within its wall and below the diaphragm."""
    wall = trunk.cavity.distance(block, outlines.rows_of(block.z)) + np.float32(inset)
    below = block.z - outlines.diaphragm_height(trunk, block) + np.float32(inset)
    return cover(wall, canvas.edge_xy_mm) * cover(below.astype(np.float32), canvas.edge_z_mm + canvas.edge_xy_mm)


def _fill_below(canvas: Canvas, solid: Solid, hu: float, trunk: Trunk, band: tuple[float, float] | None = None) -> None:
    block = canvas.block(solid.box(canvas.edge_mm))
    if block is None:
        return
    part = cover(solid.distance(block), canvas.edge_mm) * _inside(canvas, trunk, block, 3.0)
    if band is not None and band[1] < 500:
        part = part * cover((block.y - np.float32(band[1])).astype(np.float32), canvas.edge_xy_mm)
    canvas.fill(block, part, hu)


def _liver(canvas: Canvas, trunk: Trunk, physics: Physics) -> None:
    """The liver: right upper belly under the diaphragm, its lower face rising to the left."""
    s = np.float32(trunk.scale)
    half, front, _ = trunk.cavity.at(40.0 * float(s))
    block = canvas.block(
        Box((-half - 5, front - 8, -75.0 * float(s)), (58.0 * float(s), 45.0 * float(s), trunk.diaphragm_mm + 5))
    )
    if block is None:
        return
    lower = (
        np.float32(-58.0) * s + (block.x + np.float32(half)) * np.float32(0.78) - (block.y + 30 * s) * np.float32(0.18)
    ).astype(np.float32)
    back = (block.y - (26 * s) + np.maximum(block.x + 70 * s, 0.0) * np.float32(0.75)).astype(np.float32)
    side = (block.x - 45 * s).astype(np.float32)
    smooth = 12.0
    part = (
        cover((lower - block.z).astype(np.float32), smooth * 0.3 + canvas.edge_z_mm)
        * cover(back, canvas.edge_xy_mm)
        * cover(side, smooth)
    )
    canvas.fill(block, (part * _inside(canvas, trunk, block, 4.0)).astype(np.float32), physics.tissue("liver"))
