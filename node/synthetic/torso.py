"""``make(spec)``: the whole scan of a synthetic patient, and everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.synthetic import (
    couch,
    disease,
    girdle,
    implants,
    muscles,
    organs,
    pelvis,
    phantoms,
    ribs,
    scanner,
    shapes,
    trunk,
    vertebra,
)
from node.synthetic.canvas import Array, Canvas, Vector
from node.synthetic.column import Body, build, rotation
from node.synthetic.known import truth_of
from node.synthetic.phantoms import Slab
from node.synthetic.physics import Physics
from node.synthetic.shapes import Solid
from node.synthetic.spec import TorsoSpec
from node.synthetic.truth import SyntheticCase

SLAB_VOXELS = 3_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything that can be painted, each part in its own frame."""

    spec: TorsoSpec
    physics: Physics
    bodies: tuple[Body, ...]
    biases: tuple[float, ...]
    posterior: tuple[list[Solid], ...]
    trunk: trunk.Trunk
    ribs: list[list[Solid]]
    outside: list[tuple[list[Solid], str]]
    muscles: list[muscles.Part]
    organs: organs.Organs
    girdle: girdle.Girdle
    pelvis: pelvis.Pelvis
    implants: list[tuple[list[Solid], float]]
    bridges: list[tuple[list[Solid], float]]
    to_lps: Vector
    """(4, 4): body coordinates → LPS."""
    texture: NDArray[np.float32]
    bed: couch.Bed
    slab: Slab | None


def make(spec: TorsoSpec) -> SyntheticCase:
    """Render the scan that ``spec`` asks for. The same spec gives the same voxels."""
    scene = compose(spec)
    affine, slices = grid(scene)
    shape = (slices, spec.matrix, spec.matrix)
    hu, labels = np.empty(shape, dtype=np.int16), np.zeros(shape, dtype=np.uint8)
    pixel = spec.fov_mm / spec.matrix
    noise, circle = scanner.Noise(spec, pixel), scanner.outside_circle(spec.matrix)
    step = max(SLAB_VOXELS // spec.matrix**2, 1)
    for first in range(0, slices, step):
        last = min(first + step, slices)
        painted = _slab(scene, affine, first, last, labels[first:last])
        hu[first:last] = scanner.finished(painted, first, spec, noise, pixel, circle)
    truth = truth_of(spec, scene.physics, scene.bodies, scene.biases, scene.to_lps, scene.slab, affine, shape)
    return SyntheticCase(spec, hu, labels, affine.astype(np.float64), truth)


def compose(spec: TorsoSpec) -> Scene:
    """Build patient, couch and phantom."""
    physics = Physics.of(spec)
    bodies = build(spec)
    rng = np.random.default_rng([spec.seed, 2])
    by_name = {body.level.name: body for body in bodies}
    shell = trunk.build(spec, rng, float(by_name["T1"].centre[2]))
    cage = ribs.build(bodies, spec, shell)
    to_lps = _pose(spec, shell)
    bed, slab = _below(spec, shell, bodies, to_lps, physics)
    return Scene(
        spec=spec,
        physics=physics,
        bodies=bodies,
        biases=tuple(vertebra.central_bias(body) for body in bodies),
        posterior=tuple(vertebra.posterior_elements(body) for body in bodies),
        trunk=shell,
        ribs=cage,
        outside=muscles.outside(spec, shell, spec.patient_position in ("HFP", "FFP")),
        muscles=muscles.build(spec, by_name, shell.scale),
        organs=organs.build(spec, shell, by_name, rng),
        girdle=girdle.build(spec, shell, cage, spec.rib_pairs, rng),
        pelvis=pelvis.build(spec, bodies),
        implants=implants.build(spec, by_name, rng),
        bridges=disease.bridges(spec, bodies),
        to_lps=to_lps,
        texture=trunk.texture(spec.seed, (spec.spacing_mm, spec.fov_mm / spec.matrix, spec.fov_mm / spec.matrix)),
        bed=bed,
        slab=slab,
    )


def _pose(spec: TorsoSpec, shell: trunk.Trunk) -> Vector:
    """(4, 4): body coordinates → LPS, about the middle of the trunk at L1."""
    _, front, back = shell.muscle.at(0.0)
    pivot = np.array([0.0, (front + back) / 2.0, 0.0])
    turn = rotation(spec.pitch_deg, spec.yaw_deg, -spec.roll_deg)
    out = np.eye(4)
    out[:3, :3] = turn
    out[:3, 3] = np.array([0.0, 0.0, spec.l1_z_mm]) + np.asarray(spec.shift_mm) - turn @ pivot
    return out


def _apply(affine: Vector, points: Vector) -> Vector:
    out: Vector = np.asarray(points) @ affine[:3, :3].T + affine[:3, 3]
    return out


def scan_range(spec: TorsoSpec, bodies: tuple[Body, ...], to_lps: Vector) -> tuple[float, float]:
    """Lowest and highest slice position along LPS z."""
    centres = {body.level.name: _apply(to_lps, body.centre)[2] for body in bodies}
    top = centres[spec.top[0]] + spec.top[1]
    bottom = centres[spec.bottom[0]] + spec.bottom[1]
    return float(bottom), float(top)


def _below(
    spec: TorsoSpec, shell: trunk.Trunk, bodies: tuple[Body, ...], to_lps: Vector, physics: Physics
) -> tuple[couch.Bed, Slab | None]:
    """Couch and phantom under the lowest point of the skin."""
    prone = spec.patient_position in ("HFP", "FFP")
    to_couch = couch.flipped(prone)
    skin = _apply(to_couch @ to_lps, shell.edge_points(np.arange(-260.0, 260.0, 20.0) * shell.scale))
    contact = float(skin[:, 1].max()) - 3.0
    model = spec.phantom
    if model is None:
        return couch.Bed(spec.couch, contact, spec.mattress_mm, None), None
    loose = phantoms.place(model, np.eye(4), physics, mirrored=spec.phantom_reversed)
    half, thick = loose.half[0], 2.0 * loose.half[1]
    bed = couch.Bed(spec.couch, contact, spec.mattress_mm, (half, thick))
    low, high = scan_range(spec, bodies, to_lps)
    l1 = next(body for body in bodies if body.level.name == "L1")
    z = (low + high) / 2.0 if spec.phantom_z_mm is None else float(_apply(to_lps, l1.centre)[2]) + spec.phantom_z_mm
    frame = np.eye(4)
    frame[:3, :3] = rotation(0.0, spec.phantom_yaw_deg, spec.phantom_roll_deg)
    lift = abs(np.sin(np.radians(spec.phantom_roll_deg))) * half
    side = spec.phantom_shift_mm * (-1.0 if prone else 1.0)
    frame[:3, 3] = (side, bed.slab_top + thick / 2.0 + lift, z)
    frame = np.linalg.inv(to_couch) @ frame
    return bed, phantoms.place(model, frame, physics, mirrored=spec.phantom_reversed)


def grid(scene: Scene) -> tuple[Vector, int]:
    """(4, 4) affine (k, j, i, 1) → LPS of the scan, and its number of slices."""
    spec = scene.spec
    low, high = scan_range(spec, scene.bodies, scene.to_lps)
    slices = max(round((high - low) / spec.spacing_mm), 1)
    pixel = spec.fov_mm / spec.matrix
    cx, cy = _centre(scene) if spec.fov_centre_mm is None else spec.fov_centre_mm
    tilt = np.radians(spec.gantry_tilt_deg)
    affine = np.eye(4)
    affine[:3, 0] = (0.0, 0.0, spec.spacing_mm)
    affine[:3, 1] = (0.0, pixel * np.cos(tilt), pixel * np.sin(tilt))
    affine[:3, 2] = (pixel, 0.0, 0.0)
    half = (spec.matrix - 1) / 2.0
    affine[:3, 3] = np.array([cx, cy, low]) - half * (affine[:3, 1] + affine[:3, 2])
    return affine, slices


def _centre(scene: Scene) -> tuple[float, float]:
    """Image centre: the middle of body and phantom, moved toward the phantom when the field is too small for both."""
    low, high = scan_range(scene.spec, scene.bodies, scene.to_lps)
    middle = (low + high) / 2.0 - scene.to_lps[2, 3]
    skin = _apply(scene.to_lps, scene.trunk.edge_points(np.array([middle])))
    y0, y1 = float(skin[:, 1].min()), float(skin[:, 1].max())
    sign = -1.0 if scene.spec.patient_position in ("HFP", "FFP") else 1.0
    if scene.slab is not None:
        bottom = sign * (scene.bed.top + 6.0)
        y0, y1 = min(y0, bottom), max(y1, bottom)
    centre = (y0 + y1) / 2.0
    spare = (y1 - y0) - 0.92 * scene.spec.fov_mm
    return float(scene.spec.shift_mm[0] * 0.5), centre + sign * max(spare, 0.0) / 2.0


def _slab(scene: Scene, affine: Vector, first: int, last: int, labels: NDArray[np.uint8]) -> Array:
    """Paint slices ``first`` to ``last``; thick slices are the mean of thinner ones."""
    spec = scene.spec
    parts = 1 if spec.thickness_mm <= 3.0 else 3
    total = np.zeros((last - first, spec.matrix, spec.matrix), dtype=np.float32)
    for part in range(parts):
        moved = affine.copy()
        along = (part - (parts - 1) / 2.0) * spec.thickness_mm / parts
        moved[:3, 3] += affine[:3, 0] * (first + along / spec.spacing_mm)
        own = labels if part == parts // 2 else np.zeros_like(labels)
        canvas = Canvas(
            np.full(total.shape, -1000.0, dtype=np.float32),
            own,
            moved,
            spec.fov_mm / spec.matrix,
            spec.thickness_mm / parts,
        )
        paint(canvas, scene, first)
        total += canvas.hu
    if parts > 1:
        total /= np.float32(parts)
    return total


def paint(canvas: Canvas, scene: Scene, first: int) -> None:
    """Everything, from the couch inward; ``canvas`` is in LPS and begins at slice ``first``."""
    spec, physics = scene.spec, scene.physics
    low, high = -1e4, 1e4
    couch.paint(canvas.in_frame(couch.flipped(spec.patient_position in ("HFP", "FFP"))), scene.bed, (low, high))
    if scene.slab is not None:
        phantoms.paint(canvas, scene.slab)
    body = canvas.in_frame(np.linalg.inv(scene.to_lps))
    for solids, tissue in scene.outside:
        shapes.paint_all(body, solids, physics.tissue(tissue))
    trunk.paint(body, scene.trunk, physics)
    muscles.paint(body, scene.muscles, scene.trunk, physics)
    organs.paint(body, scene.organs, scene.trunk, physics)
    trunk.roughen(body, scene.trunk, scene.texture, (first, 0, 0))
    pelvis.paint(body, scene.pelvis, physics)
    girdle.paint(body, scene.girdle, physics)
    ribs.paint(body, scene.ribs, physics)
    vertebra.paint_canal(body, scene.bodies, physics)
    for upper, lower in zip(scene.bodies[:-1], scene.bodies[1:], strict=True):
        vertebra.paint_disc(body, upper, lower, physics)
    for one, solids in zip(scene.bodies, scene.posterior, strict=True):
        vertebra.paint_posterior(body, one, physics, solids)
    implants.paint_implants(body, scene.bridges)
    for one, bias in zip(scene.bodies, scene.biases, strict=True):
        vertebra.paint_body(body, one, physics, bias, fused=one.level.name[0] == "S")
    implants.paint_implants(body, scene.implants)
