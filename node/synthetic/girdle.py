"""Breastbone, costal cartilage, clavicles, shoulder blades and humeri."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.synthetic.canvas import Canvas, Vector, cover
from node.synthetic.muscles import arm
from node.synthetic.physics import CORTICAL_MG_CM3, Physics
from node.synthetic.shapes import Ellipsoid, Solid, Tube, chain, union
from node.synthetic.spec import TorsoSpec
from node.synthetic.trunk import Trunk

SIDEWAYS = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True, eq=False)
class Girdle:
    """Bones and cartilage at the front and the shoulders."""

    cartilage: list[Solid]
    specks: list[Solid]
    """Calcified spots in the cartilage."""
    bones: list[Solid]
    humeri: list[Solid]


def build(spec: TorsoSpec, trunk: Trunk, ribs: list[list[Solid]], pairs: int, rng: np.random.Generator) -> Girdle:
    """Attach the front of the cage to the tips of the ribs (``ribs``: left and right of each pair in turn)."""
    s = trunk.scale
    cartilage: list[Solid] = []
    for n in range(min(pairs, 10)):
        for rib in ribs[2 * n : 2 * n + 2]:
            cartilage += _cartilage(rib, n, trunk)
    specks: list[Solid] = []
    for solid in cartilage:
        if isinstance(solid, Tube) and rng.random() < (spec.age_years - 30) / 90.0:
            t = rng.uniform(0.1, 0.9)
            where = solid.a * (1 - t) + solid.b * t
            specks.append(Ellipsoid(where, (2.5, 1.6, 2.2), np.eye(3)))
    humeri: list[Solid] = []
    for side in (1.0, -1.0):
        points, _ = arm(spec, side, s)
        head = points[1]
        humeri.append(Ellipsoid(head, (22 * s, 22 * s, 22 * s), np.eye(3)))
        humeri += chain(
            [head, points[2], points[3], points[4]],
            [(14 * s, 14 * s), (11.5 * s, 11.5 * s), (11 * s, 11 * s), (11 * s, 11 * s)],
        )
    return Girdle(cartilage, specks, [*_sternum(trunk), *_shoulders(trunk)], humeri)


def _sternum_point(trunk: Trunk, z: float) -> Vector:
    _, front, _ = trunk.cage.at(z)
    return np.array([0.0, front - 5.0, z])


def _cartilage(rib: list[Solid], n: int, trunk: Trunk) -> list[Solid]:
    """From a rib's tip to the breastbone (1 to 7) or to the margin of the cage (8 to 10)."""
    last = rib[-1]
    if not isinstance(last, Tube):
        return []
    s, tip = trunk.scale, last.b
    side = np.sign(tip[0])
    if n < 7:
        end = _sternum_point(trunk, (280.0 - 19.0 * n) * s) + np.array([side * (20.0 - n), 2.0, 0.0])
    else:
        end = _sternum_point(trunk, (158.0 - 22.0 * (n - 6)) * s) + np.array([side * (16.0 + 17.0 * (n - 6)), 6.0, 0.0])
    points = []
    for t in np.linspace(0.0, 1.0, 6):
        p = tip * (1 - t) + end * t
        dip = 4.0 * t * (1 - t) * (10.0 if n > 3 else 3.0)
        z = p[2] - dip * s
        half, front, back = trunk.cage.at(float(z))
        reach = min(abs(p[0]) / half, 0.98)
        y = (front + back) / 2 - (back - front) / 2 * (1.0 - reach ** trunk.cage.power[0]) ** (
            1.0 / trunk.cage.power[1]
        )
        blend = np.sin(np.pi * t) ** 0.5 if 0 < t < 1 else 0.0
        points.append(np.array([p[0], p[1] * (1 - blend) + y * blend, z]))
    return chain(points, [(5.0 * s, 4.2 * s)] * 6, np.array([0.0, 0.0, 1.0]))


def _sternum(trunk: Trunk) -> list[Solid]:
    s = trunk.scale
    top, angle, low, end = (_sternum_point(trunk, z * s) for z in (284.0, 250.0, 158.0, 136.0))
    return [
        Tube(top, angle + np.array([0, 0, 4.0]), SIDEWAYS, (27 * s, 6.5 * s), (18 * s, 6 * s)),
        Tube(angle, low, SIDEWAYS, (14 * s, 5.5 * s), (18 * s, 5 * s)),
        Tube(low, end, SIDEWAYS, (8 * s, 3.5 * s), (5 * s, 3 * s)),
    ]


def _shoulders(trunk: Trunk) -> list[Solid]:
    """Clavicles, and shoulder blades behind the ribs."""
    s = trunk.scale
    out: list[Solid] = []
    front = _sternum_point(trunk, 290.0 * s)
    for side in (1.0, -1.0):
        course = [front + np.array([side * 20 * s, 0, 2.0]), np.array([side * 62, front[1] / s - 4, 302]) * s,
                  np.array([side * 105, -30, 312]) * s, np.array([side * 142, -6, 314]) * s]  # fmt: skip
        out += chain(course, [(7 * s, 7 * s), (5.5 * s, 5.5 * s), (5 * s, 6 * s), (4.5 * s, 8 * s)])
        blade = [(96, 66, 168), (94, 70, 190), (98, 69, 225), (104, 63, 262), (112, 54, 292)]
        widths = [(6, 2.6), (15, 2.4), (24, 2.2), (31, 2.2), (26, 3.0)]
        across = np.array([side * 0.88, -0.47, 0.0])
        out += chain([np.array([side * x, y, z]) * s for x, y, z in blade], [(a * s, b * s) for a, b in widths], across)
        spine = [np.array([side * x, y, z]) * s for x, y, z in ((82, 70, 258), (108, 66, 274), (138, 36, 300))]
        out += chain(spine, [(5 * s, 6 * s), (6 * s, 9 * s), (10 * s, 5 * s)], np.array([0.0, 0.0, 1.0]))
        neck = [np.array([side * x, y, z]) * s for x, y, z in ((122, 40, 284), (134, 24, 288))]
        out += chain(neck, [(9 * s, 7 * s), (14 * s, 10 * s)], np.array([0.0, 0.0, 1.0]))
    return out


def paint(canvas: Canvas, girdle: Girdle, physics: Physics) -> None:
    """Paint cartilage, then bone."""
    edge = canvas.edge_mm
    for solids, tissue in ((girdle.cartilage, physics.tissue("cartilage")), (girdle.specks, physics.bone(350.0))):
        found = union(canvas, solids, edge)
        if found is not None:
            canvas.fill(found[0], cover(found[1], edge), tissue)
    for solids, wall, marrow in ((girdle.bones, 0.9, 110.0), (girdle.humeri, 2.0, 60.0)):
        found = union(canvas, solids, edge)
        if found is not None:
            block, distance = found
            inner = cover(distance + np.float32(wall), edge)
            canvas.shell(block, cover(distance, edge), inner, physics.bone(CORTICAL_MG_CM3), physics.bone(marrow))
