"""Calibration phantoms under the patient: ready models, and the slab as it is painted.

Densities are catalogue values; slab and rod dimensions are assumed except where said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.domain.phantom import PhantomModel, RodModel
from node.synthetic.canvas import Box, Canvas, Vector, cover
from node.synthetic.physics import Physics


def _mindways(*rods: tuple[str, float, float]) -> tuple[RodModel, ...]:
    return tuple(RodModel(name, k, water) for name, k, water in rods)


def _plain(*densities: float) -> tuple[RodModel, ...]:
    return tuple(RodModel(f"{density:g}", density) for density in densities)


MINDWAYS_5 = PhantomModel(
    id="mindways-model3-4541A",
    model="Mindways Model 3 CT",
    serial="4541A",
    material="K2HPO4",
    rods=_mindways(
        ("A", -51.83, 1012.25),
        ("B", -53.40, 1056.95),
        ("C", 58.88, 1103.57),
        ("D", 157.05, 1119.52),
        ("E", 375.83, 923.20),
    ),
    rod_diameter_mm=19.0,
    rod_pitch_mm=46.0,
    slab_width_mm=270.0,
    slab_thickness_mm=32.0,
    slab_length_mm=440.0,
)
"""Five rods; slab dimensions assumed."""

HA_3 = PhantomModel(
    id="ha-3-rod",
    model="QRM-BDC 3-rod",
    serial="BDC-71",
    material="CaHA",
    rods=_plain(100.0, 400.0, 800.0),
    rod_diameter_mm=18.0,
    rod_pitch_mm=60.0,
    slab_width_mm=220.0,
    slab_thickness_mm=28.0,
    slab_length_mm=400.0,
)
"""Three rods of hydroxyapatite; dimensions assumed."""

HA_4_POINT = PhantomModel(
    id="ha-4-point-slab",
    model="HA four-point slab",
    serial=None,
    material="CaHA",
    rods=_plain(50.0, 100.0, 200.0),
    rod_diameter_mm=20.0,
    rod_pitch_mm=42.0,
    slab_width_mm=148.0,
    slab_thickness_mm=34.0,
    slab_length_mm=290.0,
    base_density_mg_cm3=0.0,
)
"""Three rods in a base that is itself the zero; 290 × 148 × 34 mm and 20 mm rods as published, pitch assumed."""

BMAS200 = PhantomModel(
    id="bmas200",
    model="Kyoto Kagaku B-MAS200",
    serial=None,
    material="CaHA",
    rods=_plain(0.0, 50.0, 100.0, 150.0, 200.0),
    rod_diameter_mm=20.0,
    rod_pitch_mm=40.0,
    slab_width_mm=240.0,
    slab_thickness_mm=30.0,
    slab_length_mm=400.0,
)
"""Five rods of hydroxyapatite; dimensions assumed."""

QCT_3D_PLUS = PhantomModel(
    id="qct-3d-plus-G2730",
    model="Image Analysis QCT-3D PLUS",
    serial="G2730",
    material="CaHA",
    rods=_plain(8.0, 97.3, 189.8),
    rod_diameter_mm=16.0,
    rod_pitch_mm=50.0,
    slab_width_mm=200.0,
    slab_thickness_mm=28.0,
    slab_length_mm=400.0,
)
"""Three rods of hydroxyapatite at certificate densities; dimensions assumed."""

MINDWAYS_QA = PhantomModel(
    id="mindways-qa-4408",
    model="Mindways Model 3 QA",
    serial="4408",
    material="K2HPO4",
    rods=_mindways(
        ("A", 58.88, 1103.57),
        ("B", -53.40, 1056.95),
        ("C", 157.05, 1119.52),
        ("D", 157.13, 1120.10),
    ),
)
"""Four rods; measured on top of a calibration phantom, never a calibration itself."""

MODELS = {model.id: model for model in (MINDWAYS_5, HA_3, HA_4_POINT, BMAS200, QCT_3D_PLUS)}


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """A phantom where it lies. ``frame`` (4, 4) maps slab coordinates (across, down, along) to LPS mm."""

    model: PhantomModel
    frame: Vector
    rod_centres: Vector
    """(rods, 2): across and down, of the rod axes."""
    rod_radius: float
    half: tuple[float, float, float]
    base_hu: float
    rod_hu: tuple[float, ...]

    def lps(self, point: tuple[float, float, float]) -> Vector:
        """Slab coordinates → LPS."""
        out: Vector = self.frame[:3, :3] @ np.asarray(point) + self.frame[:3, 3]
        return out


def place(model: PhantomModel, frame: Vector, physics: Physics, *, mirrored: bool) -> Slab:
    """Lay the rods across the slab, in order toward the left of the patient or mirrored."""
    count = len(model.rods)
    radius = (model.rod_diameter_mm or 19.0) / 2.0
    pitch = model.rod_pitch_mm or 45.0
    width = model.slab_width_mm or pitch * (count - 1) + 4.0 * radius + 20.0
    thick = model.slab_thickness_mm or 2.0 * radius + 12.0
    across = (np.arange(count) - (count - 1) / 2.0) * pitch * (-1.0 if mirrored else 1.0)
    if model.base_density_mg_cm3 is not None:
        base = physics.sigma_ct(model.material) * model.base_density_mg_cm3 + physics.offset_hu
    else:
        base = 20.0 + physics.offset_hu
    return Slab(
        model=model,
        frame=frame,
        rod_centres=np.column_stack([across, np.zeros(count)]),
        rod_radius=radius,
        half=(width / 2.0, thick / 2.0, (model.slab_length_mm or 400.0) / 2.0),
        base_hu=base,
        rod_hu=tuple(physics.rod(rod, model.material) for rod in model.rods),
    )


def paint(canvas: Canvas, slab: Slab) -> None:
    """Paint the slab with rounded edges and its rods; ``canvas`` is in LPS."""
    own = canvas.in_frame(np.linalg.inv(slab.frame))
    (hx, hy, hz), r = slab.half, 5.0
    block = own.block(Box((-hx, -hy, -hz), (hx, hy, hz)))
    if block is None:
        return
    across = np.maximum(np.abs(block.x) - np.float32(hx - r), 0.0)
    down = np.maximum(np.abs(block.y) - np.float32(hy - r), 0.0)
    side = np.sqrt(across * across + down * down) - np.float32(r)
    ends = cover((np.abs(block.z) - np.float32(hz)).astype(np.float32), own.edge_z_mm)
    own.fill(block, cover(side.astype(np.float32), own.edge_xy_mm) * ends, slab.base_hu)
    for (cx, cy), hu in zip(slab.rod_centres, slab.rod_hu, strict=True):
        reach = slab.rod_radius + 2.0
        rod = own.block(Box((cx - reach, cy - reach, -hz), (cx + reach, cy + reach, hz)))
        if rod is None:
            continue
        distance = np.hypot(rod.x - np.float32(cx), rod.y - np.float32(cy)) - np.float32(slab.rod_radius)
        ends = cover((np.abs(rod.z) - np.float32(hz)).astype(np.float32), own.edge_z_mm)
        own.fill(rod, cover(distance, own.edge_xy_mm) * ends, hu)
