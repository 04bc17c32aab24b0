"""Muscles that can be told apart on CT, each in its fat: spinal, psoas, quadratus, gluteal; breasts and arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.synthetic.canvas import Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.physics import Physics
from node.synthetic.shapes import Ellipsoid, Solid, axes_along, chain
from node.synthetic.spec import TorsoSpec
from node.synthetic.trunk import Trunk, rows_of

Part = tuple[Solid, str]
_SPINAL = (
    ("C7", 13), ("T2", 14), ("T4", 15), ("T6", 16), ("T8", 17), ("T10", 18), ("T12", 22), ("L1", 24), ("L2", 26),
    ("L3", 27), ("L4", 26), ("L5", 22), ("S1", 16), ("S3", 9),
)  # fmt: skip
_PSOAS = (("T12", 3.0), ("L1", 7.0), ("L2", 13.0), ("L3", 18.0), ("L4", 22.0), ("L5", 22.0))


def wrapped(points: Sequence[Vector], radii: list[tuple[float, float]], fat_mm: float = 1.5) -> list[Part]:
    """A muscle in a thin sheath of fat."""
    wider = [(a + fat_mm, b + fat_mm) for a, b in radii]
    sheath: list[Part] = [(solid, "fat") for solid in chain(points, wider)]
    return sheath + [(solid, "muscle") for solid in chain(points, radii)]


def build(spec: TorsoSpec, by_name: dict[str, Body], s: float) -> list[Part]:
    """All muscles of one patient; mass falls with age."""
    bulk = (1.0 - 0.004 * max(spec.age_years - 35, 0)) * (0.9 if spec.sex == "F" else 1.0)
    out: list[Part] = []
    for side in (1.0, -1.0):
        out += _gluteal(by_name, side, s)
        out += _spinal(by_name, side, s * bulk)
        back = [np.array([side * x, y, z]) * s for x, y, z in ((60, 32, 12), (68, 29, -50), (80, 27, -112))]
        out += wrapped(back, [(11 * s, 5 * s), (18 * s, 8 * s), (18 * s, 7 * s)])
        out += _psoas(by_name, side, s, bulk)
        for name, r in (("T12", 5.0), ("L1", 6.0), ("L2", 4.0)):
            body = by_name[name]
            crus = body.place(np.array([side * 13.0 * s, -body.half_depth - 1.5, 0.0]))
            out.append((Ellipsoid(crus, (r * s, r * s, 20.0 * s), np.eye(3)), "muscle"))
    return out


def _spinal(by_name: dict[str, Body], side: float, s: float) -> list[Part]:
    centres, radii = [], []
    for name, size in _SPINAL:
        body, r = by_name[name], size * s
        centres.append(body.place(np.array([side * (r + 4.0), body.half_depth + body.level.canal[1] + 0.62 * r, 0.0])))
        radii.append((r, 0.72 * r))
    return wrapped(centres, radii)


def _psoas(by_name: dict[str, Body], side: float, s: float, bulk: float) -> list[Part]:
    """From the flanks of the lumbar bodies over the pelvic brim to the groin; the iliacus joins it."""
    centres, radii = [], []
    for name, size in _PSOAS:
        body, r = by_name[name], size * s * bulk
        centres.append(body.place(np.array([side * (0.47 * body.level.width + 0.72 * r), 2.0, 0.0])))
        radii.append((0.9 * r, r))
    first = by_name["S1"].centre
    for x, y, z, r in ((66, -52, -20, 20), (80, -72, -62, 18), (92, -92, -105, 17), (100, -84, -160, 13)):
        centres.append(first + np.array([side * x, y, z]) * s)
        radii.append((r * s * bulk, r * s * bulk))
    iliacus = [first + np.array([side * x, y, z]) * s for x, y, z in ((98, -18, 36), (100, -34, 0), (96, -56, -50))]
    return wrapped(iliacus, [(7 * s, 26 * s), (9 * s, 36 * s), (11 * s, 20 * s)]) + wrapped(centres, radii)


def _gluteal(by_name: dict[str, Body], side: float, s: float) -> list[Part]:
    """Gluteus maximus and medius, and the fat behind the hip joint."""
    first = by_name["S1"].centre

    def at(x: float, y: float, z: float) -> Vector:
        p: Vector = first + np.array([side * x, y, z]) * s
        return p

    axes = axes_along((side * 0.35, -0.25, -0.9))
    fossa = Ellipsoid(at(78, 0, -165), (70 * s, 34 * s, 40 * s), axes)
    medius = [at(118, -10, 30), at(134, -34, -15), at(136, -50, -70), at(128, -50, -115)]
    maximus = [at(52, 66, -30), at(78, 58, -75), at(104, 34, -120), at(120, 6, -165)]
    return [
        (fossa, "fat"),
        *wrapped(medius, [(12 * s, 30 * s), (17 * s, 44 * s), (17 * s, 40 * s), (12 * s, 22 * s)], 2.0),
        *wrapped(maximus, [(26 * s, 13 * s), (36 * s, 22 * s), (34 * s, 24 * s), (26 * s, 22 * s)], 2.5),
    ]


def outside(spec: TorsoSpec, trunk: Trunk, prone: bool) -> list[tuple[list[Solid], str]]:
    """Breasts, shoulders and arms, painted before the trunk: layers from the skin inward."""
    out: list[tuple[list[Solid], str]] = []
    s = trunk.scale
    if spec.sex == "F":
        _, front, _ = trunk.skin.at(165.0 * s)
        size = 0.8 + 0.02 * spec.bmi
        for side in (1.0, -1.0):
            centre = np.array([side * 88.0 * s, front + (24.0 if not prone else 34.0), 168.0 * s])
            for inset, tissue in ((0.0, "skin"), (1.8, "fat")):
                breast = (62 * s * size - inset, 40 * s * size - inset, 58 * s * size - inset)
                out.append(([Ellipsoid(centre, breast, np.eye(3))], tissue))
            out.append(([Ellipsoid(centre + np.array([0, -6.0, 0]), (30 * s, 20 * s, 26 * s), np.eye(3))], "gland"))
    for inset, tissue in ((0.0, "skin"), (1.8, "fat"), (8.0 + 0.4 * max(spec.bmi - 22.0, 0.0), "muscle")):
        solids: list[Solid] = []
        for side in (1.0, -1.0):
            points, radii = arm(spec, side, s)
            solids += chain(points, [(r - inset, r - inset) for r in radii])
            shoulder = (60 * s - inset, 46 * s - inset, 60 * s - inset)
            solids.append(Ellipsoid(np.array([side * 106.0, 36.0, 264.0]) * s, shoulder, np.eye(3)))
        out.append((solids, tissue))
    return out


def arm(spec: TorsoSpec, side: float, s: float) -> tuple[Sequence[Vector], list[float]]:
    """Axis and skin radius of one arm, from the shoulder."""
    course: tuple[tuple[float, ...], ...]
    if spec.arms == "raised":
        course = ((112, 14, 258, 46), (150, 6, 292, 50), (158, -2, 330, 46), (150, -8, 400, 42), (140, -14, 470, 40))
    else:
        course = ((120, 14, 270, 48), (168, 10, 282, 50), (208, 14, 220, 46), (222, 20, 80, 42), (224, 14, -20, 40),
                  (216, -10, -120, 34), (204, -30, -240, 26))  # fmt: skip
    points = [np.array([side * x, y, z]) * s for x, y, z, _ in course]
    return points, [r * s * (0.9 if spec.sex == "F" else 1.0) * (1.0 + 0.012 * (spec.bmi - 25.0)) for *_, r in course]


def paint(canvas: Canvas, parts: list[Part], trunk: Trunk, physics: Physics) -> None:
    """Paint the muscles, none nearer to the skin than the fat allows."""
    for solid, tissue in parts:
        block = canvas.block(solid.box(canvas.edge_mm))
        if block is None:
            continue
        inside = trunk.fat.distance(block, rows_of(block.z)) + np.float32(6.0)
        part = cover(solid.distance(block), canvas.edge_mm) * cover(inside, canvas.edge_xy_mm)
        canvas.fill(block, part, physics.tissue(tissue))
