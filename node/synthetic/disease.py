"""What disease leaves in and between vertebral bodies: lesions, Schmorl's nodes, bridges of bone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from node.synthetic.canvas import Vector
from node.synthetic.column import Body
from node.synthetic.physics import TISSUE
from node.synthetic.shapes import Ellipsoid, Solid, chain
from node.synthetic.spec import TorsoSpec

Group = tuple[list[Solid], float]
"""Solids of one attenuation."""

NODE_RIM_HU, BRIDGE_HU = 420.0, 480.0
BRIDGE_AZIMUTHS_DEG = (150.0, 180.0, 215.0)
"""Of the bars, from the back toward the left: in front and to the right, where the aorta does not lie."""


def focus(body: Body, kind: str) -> list[tuple[list[Solid], float]]:
    """A focus in the body: soft tissue that breaks the back wall, dense bone, or fat with coarse upright trabeculae."""
    high, b = 0.36 * min(body.heights()), body.half_depth

    def ball(u: float, v: float, w: float, *radii: float) -> Solid:
        return Ellipsoid(body.place(np.array([u, v, w])), (radii[0], radii[1], radii[2]), body.axes)

    if kind == "lytic":
        return [([ball(5.0, 0.5 * b, 0.0, 11.0, 0.62 * b, high)], 55.0)]
    if kind == "sclerotic":
        return [([ball(-4.0, -0.1 * b, 1.0, 10.0, 9.0, 0.8 * high)], 520.0)]
    if kind != "haemangioma":
        return []
    strands: list[Solid] = [
        ball(x, y, 0.0, 0.9, 0.9, high) for x in (-8.0, -4.0, 0.0, 4.0, 8.0) for y in (-9.0, -4.5, 0.0, 4.5)
    ]
    return [([ball(0.0, -2.0, 0.0, 12.0, 11.0, high)], -15.0), (strands, 420.0)]


def schmorl(body: Body, rng: np.random.Generator) -> list[Group]:
    """Disc pressed into both endplates, in a cup of dense bone."""
    cups: list[Solid] = []
    discs: list[Solid] = []
    for side, end in zip((1.0, -1.0), (0, 1), strict=True):
        u, v = rng.uniform(-0.2, 0.2) * body.level.width, rng.uniform(-0.2, 0.25) * body.level.depth
        plate = float(body.endplates(np.array([u]), np.array([v]))[end][0])
        deepest = 0.3 * min(body.heights())
        wide, deep = rng.uniform(3.5, 6.0), rng.uniform(min(3.5, deepest), deepest)
        cup, disc = np.array([u, v, plate - side]), np.array([u, v, plate + side])
        cups.append(Ellipsoid(body.place(cup), (wide + 1.0, wide + 1.0, deep), body.axes))
        discs.append(Ellipsoid(body.place(disc), (wide + 0.4, wide + 0.4, deep + 1.0), body.axes))
    return [(cups, NODE_RIM_HU), (discs, TISSUE["disc"])]


def bridges(spec: TorsoSpec, bodies: tuple[Body, ...]) -> list[Group]:
    """Bars of bone in front of the discs below the levels that were asked for."""
    bars: list[Solid] = []
    for upper, lower in pairwise(bodies):
        if upper.level.name not in spec.bridges:
            continue
        for azimuth in BRIDGE_AZIMUTHS_DEG:
            ends = [
                _edge(body, azimuth, part) for body, part in ((upper, -0.1), (upper, -0.7), (lower, 0.7), (lower, 0.1))
            ]
            out = -0.5 * (upper.axes[1] + lower.axes[1])
            points = [ends[0], ends[1] + 1.5 * out, 0.5 * (ends[1] + ends[2]) + 3.5 * out, ends[2] + 1.5 * out, ends[3]]
            bars += chain(points, [(4.0, 1.0), (4.5, 2.0), (4.5, 2.6), (4.5, 2.0), (4.0, 1.0)])
    return [(bars, BRIDGE_HU)] if bars else []


def _edge(body: Body, azimuth_deg: float, part: float) -> Vector:
    """On the side wall at a part of the half height."""
    radius = float(np.interp(azimuth_deg, np.arange(0, 361, 2), body.outline))
    angle = np.radians(azimuth_deg)
    half = 0.25 * (body.level.anterior + body.level.posterior)
    return body.place(np.array([radius * np.sin(angle), radius * np.cos(angle), part * half]))
