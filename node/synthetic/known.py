"""Truth of a case, from the same formulas that paint it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from node.synthetic import vertebra
from node.synthetic.canvas import Vector
from node.synthetic.column import Body
from node.synthetic.phantoms import Slab
from node.synthetic.physics import MARROW_ENHANCEMENT_MG, Physics
from node.synthetic.ribs import bearing
from node.synthetic.spec import TorsoSpec
from node.synthetic.truth import LevelTruth, PhantomTruth, Point, RodTruth, Truth


def point(p: Vector) -> Point:
    """A tuple of plain floats."""
    return float(p[0]), float(p[1]), float(p[2])


def genant_grade(loss: float) -> Literal[0, 1, 2, 3]:
    """Grade of a height loss (Genant 1993)."""
    if loss >= 0.40:
        return 3
    if loss >= 0.25:
        return 2
    return 1 if loss >= 0.20 else 0


def truth_of(
    spec: TorsoSpec,
    physics: Physics,
    bodies: tuple[Body, ...],
    biases: tuple[float, ...],
    to_lps: Vector,
    slab: Slab | None,
    affine: Vector,
    shape: tuple[int, int, int],
) -> Truth:
    """Everything known about the case."""
    material = slab.model.material if slab is not None else "K2HPO4"
    ribbed = {name for name, _ in bearing(spec)}
    levels = {
        body.level.name: _level(spec, physics, body, to_lps, slab, affine, shape, body.level.name in ribbed)
        for body in bodies
    }
    canal = vertebra.canal_points(bodies) @ to_lps[:3, :3].T + to_lps[:3, 3]
    return Truth(
        material=material,
        sigma_ct=physics.sigma_ct(material),
        beta_ct=physics.offset_hu,
        levels=levels,
        phantom=None if slab is None else phantom_truth(slab),
        mean_vbmd_mg_cm3=(levels["L1"].apparent_vbmd_mg_cm3 + levels["L2"].apparent_vbmd_mg_cm3) / 2.0,
        rib_pairs=spec.rib_pairs,
        canal_centres_lps_mm=canal,
    )


def _level(
    spec: TorsoSpec,
    physics: Physics,
    body: Body,
    to_lps: Vector,
    slab: Slab | None,
    affine: Vector,
    shape: tuple[int, int, int],
    has_ribs: bool,
) -> LevelTruth:
    def lps(p: Vector) -> Vector:
        out: Vector = np.asarray(p) @ to_lps[:3, :3].T + to_lps[:3, 3]
        return out

    name, axes = body.level.name, body.axes @ to_lps[:3, :3].T
    ratio = physics.sigma_ct("K2HPO4") / physics.sigma_ct(slab.model.material) if slab is not None else 1.0
    apparent = body.rho + MARROW_ENHANCEMENT_MG[spec.contrast]
    heights = body.heights()
    corners = lps(body.corner_points())
    loss = 0.0 if body.fracture is None else body.fracture.loss
    points = tuple(point(p) for p in corners)
    return LevelTruth(
        level=name,
        label=body.level.label,
        visible=_visible(lps(_extremes(body)), affine, shape),
        centre_lps_mm=point(lps(vertebra.centroid(body))),
        left=point(axes[0]),
        posterior=point(axes[1]),
        superior=point(axes[2]),
        width_mm=body.level.width,
        depth_mm=body.level.depth,
        vbmd_k2hpo4_mg_cm3=body.rho,
        vbmd_mg_cm3=body.rho * ratio,
        apparent_vbmd_mg_cm3=apparent * ratio,
        trabecular_hu=physics.bone(apparent),
        anterior_mm=heights[0],
        middle_mm=heights[1],
        posterior_mm=heights[2],
        points_lps_mm=(points[0], points[1], points[2], points[3], points[4], points[5]),
        deformity="none" if body.fracture is None else body.fracture.type,
        height_loss=loss,
        genant_grade=genant_grade(loss),
        has_ribs=has_ribs,
        lesion=spec.lesions.get(name),
        metal=name in spec.screws,
        cement=name in spec.cement,
    )


def _extremes(body: Body) -> Vector:
    """Points on the body's edge, body coordinates."""
    out = []
    for n in range(0, len(body.outline), 6):
        t = np.radians(2.0 * n)
        u, v = body.outline[n] * np.sin(t), body.outline[n] * np.cos(t)
        top, bottom = body.endplates(np.array([u]), np.array([v]))
        out += [(u, v, float(top[0])), (u, v, float(bottom[0]))]
    return body.place(np.array(out))


def _visible(points: Vector, affine: Vector, shape: tuple[int, int, int]) -> Literal["full", "partial", "none"]:
    inverse = np.linalg.inv(affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    inside = np.all((index >= -0.5) & (index <= np.array(shape) - 0.5), axis=1)
    if inside.all():
        return "full"
    return "partial" if inside.any() else "none"


def phantom_truth(slab: Slab) -> PhantomTruth:
    """A phantom as it lies."""
    hz = slab.half[2]
    rods = tuple(
        RodTruth(
            name=rod.name,
            density_mg_cm3=rod.density_mg_cm3,
            hu=hu,
            radius_mm=slab.rod_radius,
            ends_lps_mm=(point(slab.lps((cx, cy, -hz))), point(slab.lps((cx, cy, hz)))),
        )
        for rod, hu, (cx, cy) in zip(slab.model.rods, slab.rod_hu, slab.rod_centres, strict=True)
    )
    hx, hy = slab.half[0], slab.half[1]
    corners = tuple(point(slab.lps((a * hx, b * hy, c * hz))) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1))
    return PhantomTruth(slab.model, rods, slab.base_hu, corners)
