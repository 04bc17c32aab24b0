"""What fills chest and belly: heart, great vessels, airways, liver, spleen, kidneys, stomach and bowel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from node.synthetic import trunk as outlines
from node.synthetic.canvas import Array, Block, Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.muscles import Part
from node.synthetic.physics import Physics
from node.synthetic.shapes import FAR, Ellipsoid, Solid, Tube, axes_along, chain, distances, ellipsoid
from node.synthetic.spec import TorsoSpec
from node.synthetic.trunk import Trunk

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Gas:
    """Gas in a hollow organ: all of a solid, or what of it lies above ``level`` (y, toward the front when supine)."""

    solid: Solid
    level: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Organs:
    """Solids with the tissue they hold, in the order in which they are painted."""

    chest: list[Part]
    liver: list[Solid]
    belly: list[Part]
    """Painted only inside the cavity, below the diaphragm."""
    gas: list[Gas]
    vessels: list[Part]
    plaques: list[Solid]
    prone: bool


def build(spec: TorsoSpec, trunk: Trunk, by_name: dict[str, Body], rng: np.random.Generator) -> Organs:
    """Lay out the organs of one patient."""
    s = trunk.scale
    prone = spec.patient_position in ("HFP", "FFP")
    belly, gas = _upper_belly(trunk, rng, s, prone)
    _bowel(spec, trunk, rng, belly, gas)
    vessels, aorta = _vessels(by_name, s)
    plaques: list[Solid] = []
    for tube in aorta:
        if rng.random() < (spec.age_years - 45) / 50.0:
            t, angle = rng.random(), rng.uniform(0, 2 * np.pi)
            rim = (
                tube.a * (1 - t) + tube.b * t + np.array([np.cos(angle), np.sin(angle), 0.0]) * (tube.radii_a[0] - 1.0)
            )
            plaques.append(Ellipsoid(rim, (2.2, 2.2, 5.0), np.eye(3)))
    return Organs(_chest(rng, s), _liver(trunk, s), belly, gas, vessels, plaques, prone)


def _scaled(points: Sequence[Triple], s: float) -> list[Vector]:
    return [np.array(p, dtype=np.float64) * s for p in points]


def _round(radii: Sequence[float], s: float) -> list[tuple[float, float]]:
    return [(r * s, r * s) for r in radii]


def _vessels(by_name: dict[str, Body], s: float) -> tuple[list[Part], list[Tube]]:
    """Descending aorta, vena cava and the iliac vessels; also the aorta's tubes by themselves."""

    def before(name: str, side: float, gap: float) -> Vector:
        body = by_name[name]
        return body.place(np.array([side, -body.half_depth - gap * s, 0.0]))

    course: tuple[tuple[str, float, float], ...] = (
        ("T4", 16, 2),
        ("T6", 17, 4),
        ("T8", 15, 7),
        ("T10", 11, 10),
        ("T12", 7, 13),
        ("L2", 9, 13),
        ("L4", 8, 12),
    )
    line = [before(*row) for row in course]
    aorta = [t for t in chain(line, _round((12.5, 12.5, 12, 11.5, 10.5, 9.5, 8.5), s)) if isinstance(t, Tube)]
    course = (("T9", -22, 28), ("T11", -20, 18), ("L1", -19, 12), ("L3", -16, 11), ("L5", -10, 10))
    cava = [before(*row) for row in course]
    wide = [(r * s, 0.75 * r * s) for r in (13, 13, 13, 12.5, 11)]
    out: list[Part] = [(solid, "vein") for solid in chain(cava, wide)]
    out += [(solid, "blood") for solid in aorta]
    down = np.array([0, 0, -60.0 * s])
    for side in (1.0, -1.0):
        fork = [line[-1], before("L5", side * 24, 8), before("S1", side * 44, 26), before("S1", side * 60, 62) + down]
        out += [(solid, "blood") for solid in chain(fork, _round((6.5, 5.8, 5, 4.5), s))]
        fork = [cava[-1], before("L5", side * 26, 0), before("S1", side * 42, 14), before("S1", side * 52, 50) + down]
        out += [(solid, "vein") for solid in chain(fork, _round((7.5, 7, 6.3, 6), s))]
    for side, level in ((1.0, "L1"), (-1.0, "L1")):
        renal = [before(level, side * 12, 10), before(level, side * 34, 2)]
        out += [(solid, "vein") for solid in chain(renal, _round((4.5, 4.0), s))]
    return out, aorta


def _chest(rng: np.random.Generator, s: float) -> list[Part]:
    """Mediastinal fat, heart, great vessels, airways, gullet and lung vessels."""
    fat = ((0, -12, 330), (4, -22, 285), (6, -34, 235), (10, -46, 185), (16, -54, 130), (14, -54, 90))
    size = ((20, 32), (24, 48), (27, 60), (30, 64), (38, 62), (36, 58))
    out: list[Part] = [(solid, "fat") for solid in chain(_scaled(fat, s), [(a * s, b * s) for a, b in size])]
    heart = axes_along((0.65, -0.45, -0.6))
    centre = np.array([24, -64, 152.0]) * s
    out.append((Ellipsoid(centre, (56 * s, 45 * s, 60 * s), heart), "fat"))
    out.append((Ellipsoid(centre, (51 * s, 40 * s, 55 * s), heart), "muscle"))
    out.append((Ellipsoid(centre + np.array([4, 4, 0]) * s, (36 * s, 22 * s, 28 * s), heart), "heart"))
    out.append((Ellipsoid(centre + np.array([-20, -4, 10]) * s, (30 * s, 24 * s, 34 * s), heart), "heart"))
    pipes: tuple[tuple[tuple[Triple, ...], tuple[float, ...], str], ...] = (
        (
            ((-10, -58, 190), (-14, -62, 225), (-4, -48, 252), (14, -16, 250), (17, 2, 228)),
            (15, 15, 14.5, 13.5, 13),
            "blood",
        ),
        (((6, -66, 190), (8, -58, 212), (14, -40, 222)), (13, 13, 11), "vein"),
        (((8, -48, 214), (-22, -34, 208), (-40, -24, 200)), (9, 8, 6), "vein"),
        (((12, -44, 218), (36, -26, 208)), (9, 7), "vein"),
        (((-24, -50, 180), (-27, -46, 260), (-14, -38, 300)), (9.5, 9, 8), "vein"),
        (((8, -4, 330), (8, 0, 200), (10, -18, 110)), (5, 5, 6), "muscle"),
    )
    for points, radii, tissue in pipes:
        out += [(solid, tissue) for solid in chain(_scaled(points, s), _round(radii, s))]
    tubes: tuple[tuple[tuple[Triple, ...], tuple[float, ...]], ...] = (
        (((0, -22, 400), (0, -18, 300), (-2, -18, 226)), (8.5, 8.5, 8.5)),
        (((-2, -18, 226), (-24, -18, 205), (-42, -18, 190)), (7, 6.5, 4.5)),
        (((-2, -18, 226), (24, -18, 202), (42, -16, 186)), (6.5, 6, 4.5)),
    )
    for points, radii in tubes:
        line = _scaled(points, s)
        out += [(solid, "muscle") for solid in chain(line, _round([r + 1.4 for r in radii], s))]
        out += [(solid, "gas") for solid in chain(line, _round(radii, s))]
    return out + _lung_vessels(rng, s)


def _lung_vessels(rng: np.random.Generator, s: float) -> list[Part]:
    """A small tree of vessels from each hilum."""
    out: list[Part] = []
    upright = np.array([0.0, 1.0, 0.1])
    for side in (1.0, -1.0):
        hilum = np.array([side * 46.0, -16.0, 192.0]) * s
        for _ in range(17):
            way = rng.normal(size=3) * np.array([0.7, 1.0, 1.3]) + np.array([side * 0.7, 0.1, -0.1])
            way /= np.linalg.norm(way)
            start, radius = hilum, float(rng.uniform(2.6, 4.4))
            for _ in range(5):
                way = way + rng.normal(size=3) * 0.25
                way /= np.linalg.norm(way)
                end = start + way * rng.uniform(12, 22) * s
                if abs(end[0]) < 30.0 * s:
                    break
                out.append((Tube(start, end, upright, (radius, radius), (0.75 * radius, 0.75 * radius)), "lung-vessel"))
                start, radius = end, 0.72 * radius
    return out


def _liver(trunk: Trunk, s: float) -> list[Solid]:
    half, front, _ = trunk.cavity.at(50.0 * s)
    right = Ellipsoid(
        np.array([-half + 60 * s, -30 * s, 52 * s]), (78 * s, 88 * s, 84 * s), axes_along((0.9, -0.1, 0.35))
    )
    left = Ellipsoid(
        np.array([-4 * s, front + 52 * s, 74 * s]), (70 * s, 44 * s, 30 * s), axes_along((0.95, -0.15, 0.25))
    )
    tip = Ellipsoid(np.array([-half + 28 * s, -10 * s, -8 * s]), (24 * s, 48 * s, 52 * s), np.eye(3))
    return [right, left, tip]


def _upper_belly(trunk: Trunk, rng: np.random.Generator, s: float, prone: bool) -> tuple[list[Part], list[Gas]]:
    """Spleen, kidneys, adrenals, stomach, pancreas, gall bladder, bladder."""
    out: list[Part] = []
    half, front, _ = trunk.cavity.at(60.0 * s)
    out.append((ellipsoid((half - 25 * s, 8 * s, 66 * s), (26 * s, 44 * s, 50 * s), -12), "spleen"))
    out.append((ellipsoid((-48 * s, front + 62 * s, 2 * s), (16 * s, 22 * s, 24 * s), 20), "water"))
    for side, low in ((1.0, -6.0), (-1.0, -24.0)):
        z, x = (low + float(rng.uniform(-9, 9))) * s, side * 62 * s
        lean = side * -10
        out.append((ellipsoid((x, 9 * s, z), (40 * s, 31 * s, 64 * s), lean), "visceral-fat"))
        out.append((ellipsoid((x, 8 * s, z), (28 * s, 24 * s, 54 * s), lean), "kidney"))
        out.append((ellipsoid((x - side * 17 * s, 3 * s, z), (15 * s, 9 * s, 26 * s), lean), "visceral-fat"))
        out.append((ellipsoid((x - side * 9 * s, 5 * s, z), (6 * s, 4 * s, 15 * s), lean), "water"))
        out.append((ellipsoid((x - side * 24 * s, -4 * s, z + 52 * s), (11 * s, 3.5 * s, 12 * s)), "gland"))
    centre: Triple = (54 * s, front + 48 * s, 64 * s)
    bag = ellipsoid(centre, (40 * s, 28 * s, 48 * s), 25)
    out += [(ellipsoid(centre, (44 * s, 32 * s, 52 * s), 25), "bowel"), (bag, "stomach")]
    antrum = _scaled(((52, front / s + 44, 34), (20, front / s + 38, 10), (-18, front / s + 52, 8)), s)
    out += [(solid, "bowel") for solid in chain(antrum, _round((24, 19, 13), s))]
    pancreas = _scaled(((-36, -52, 0), (-6, -52, 14), (44, -30, 34)), s)
    out += [(solid, "pancreas") for solid in chain(pancreas, [(13 * s, 12 * s), (9 * s, 9 * s), (11 * s, 9 * s)])]
    out.append((ellipsoid((0, -52 * s, -262 * s), (38 * s, 28 * s, 30 * s)), "bladder"))
    return out, [Gas(bag, centre[1] + (14 * s if prone else -12 * s))]


def _bowel(spec: TorsoSpec, trunk: Trunk, rng: np.random.Generator, out: list[Part], gas: list[Gas]) -> None:
    """Small bowel with its mesentery, then the colon with stool and gas."""
    s = trunk.scale
    prone = spec.patient_position in ("HFP", "FFP")
    for _ in range(78):
        z = float(rng.uniform(-215, -12)) * s
        half, front, _ = trunk.cavity.at(z)
        x = float(np.clip(rng.normal(0.0, 0.36), -0.7, 0.7)) * half
        y = front + 18 * s + float(rng.beta(1.3, 2.0)) * (-36 * s - front - 18 * s)
        axes = axes_along(rng.normal(size=3))
        loop = Ellipsoid(np.array([x, y, z]), (30 * s, 12.5 * s, 12.5 * s), axes)
        out.append((loop, "bowel"))
        if rng.random() < 0.5:
            out.append((Ellipsoid(loop.centre, (25 * s, 8.5 * s, 8.5 * s), axes), "stomach"))
        if rng.random() < 0.10 * spec.bowel_gas:
            gas.append(Gas(Ellipsoid(loop.centre, (24 * s, 9 * s, 9 * s), axes), y + (2.0 if prone else -2.0) * s))
    for _ in range(26):
        start = np.array([float(rng.uniform(-20, 20)), -46.0, float(rng.uniform(-150, -10))]) * s
        end = start + np.array([rng.normal() * 40, -rng.uniform(10, 45), rng.normal() * 30]) * s
        out.append((Tube(start, end, np.array([0.0, 0.0, 1.0]), (2.0, 2.0), (1.2, 1.2)), "vein"))
    half, front, _ = trunk.cavity.at(-60.0 * s)
    right, left, f = -(half / s - 27), half / s - 24, front / s
    course: tuple[Triple, ...] = (
        (right, -20, -150), (right, -8, -100), (right, -14, -45), (right + 14, -40, -15), (right + 50, f + 36, -30),
        (0, f + 26, -48), (left - 50, f + 36, -20), (left - 14, -35, 22), (left + 2, 2, 10), (left, 12, -60),
        (left - 4, 8, -120), (left - 22, -22, -165), (30, -30, -190), (6, 6, -210), (0, 12, -240), (0, 14, -290),
    )  # fmt: skip
    line, wide = _scaled(course, s), (25, 26, 24, 21, 20, 20, 20, 19, 18, 17, 17, 16, 16, 17, 19, 16)
    up = np.array([0.3, 0.2, 0.93])
    out += [(solid, "bowel") for solid in chain(line, _round(wide, s), up)]
    out += [(solid, "stool") for solid in chain(line, _round([r - 2.4 for r in wide], s), up)]
    for n in range(len(line) - 1):
        for _ in range(int(rng.integers(2, 6))):
            t, r = float(rng.random()), float(rng.uniform(0.2, 0.6)) * wide[n] * s
            lift = np.array([rng.normal() * 5, (6.0 if prone else -6.0) + rng.normal() * 4, rng.normal() * 5]) * s
            if rng.random() < 0.55 * spec.bowel_gas:
                gas.append(Gas(Ellipsoid(line[n] * (1 - t) + line[n + 1] * t + lift, (r, 0.8 * r, 1.2 * r), np.eye(3))))


def paint(canvas: Canvas, organs: Organs, trunk: Trunk, physics: Physics) -> None:
    """Paint them all."""
    _paint_liver(canvas, organs, trunk, physics)
    for solid, name in organs.belly:
        _within(canvas, solid, physics.tissue(name), trunk)
    for gas in organs.gas:
        _within(canvas, gas.solid, physics.tissue("gas"), trunk, gas.level, organs.prone)
    for solid, name in (*organs.chest, *organs.vessels):
        block = canvas.block(solid.box(canvas.edge_mm))
        if block is not None:
            canvas.fill(block, cover(solid.distance(block), canvas.edge_mm), physics.tissue(name))
    for solid in organs.plaques:
        block = canvas.block(solid.box(canvas.edge_mm))
        if block is not None:
            canvas.fill(block, cover(solid.distance(block), canvas.edge_mm), physics.bone(350.0))


def _inside(canvas: Canvas, trunk: Trunk, block: Block, inset: float) -> Array:
    """Cover of the belly's cavity, ``inset`` mm within its wall and below the diaphragm."""
    wall = trunk.cavity.distance(block, outlines.rows_of(block.z)) + np.float32(inset)
    below = block.z - outlines.diaphragm_height(trunk, block) + np.float32(3.0)
    return cover(wall, canvas.edge_xy_mm) * cover(below, canvas.edge_z_mm + canvas.edge_xy_mm)


def _within(
    canvas: Canvas, solid: Solid, hu: float, trunk: Trunk, level: float | None = None, prone: bool = False
) -> None:
    block = canvas.block(solid.box(canvas.edge_mm))
    if block is None:
        return
    part = cover(solid.distance(block), canvas.edge_mm) * _inside(canvas, trunk, block, 2.5)
    if level is not None:
        depth = np.float32(level) - block.y if prone else block.y - np.float32(level)
        part = part * cover(depth, canvas.edge_xy_mm)
    canvas.fill(block, part, hu)


def _paint_liver(canvas: Canvas, organs: Organs, trunk: Trunk, physics: Physics) -> None:
    """The liver's lobes under the diaphragm, with some veins."""
    corners = np.concatenate([solid.box(3.0).corners() for solid in organs.liver])
    block = canvas.block(organs.liver[0].box(0.0).around(corners, 0.0))
    if block is None:
        return
    distance = np.full(block.shape, FAR, dtype=np.float32)
    distances(canvas, organs.liver, block, distance, 3.0)
    inside = cover(distance, canvas.edge_mm) * _inside(canvas, trunk, block, 2.0)
    canvas.fill(block, inside, physics.tissue("liver"))
    s = trunk.scale
    hub = np.array([-28, -38, 82.0]) * s
    for x, y, z, r in ((-90, -60, 60, 4), (-95, -10, 50, 4), (-70, -80, 90, 3.5), (-60, 0, 30, 3.5), (-5, -95, 78, 3)):
        tube = Tube(hub, np.array([x, y, z]) * s, np.array([0.0, 0.0, 1.0]), (r * s, r * s), (1.5, 1.5))
        branch = canvas.block(tube.box(1.0))
        if branch is not None:
            canvas.fill(branch, cover(tube.distance(branch), canvas.edge_mm), physics.tissue("vein"))
