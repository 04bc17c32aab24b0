"""What the patient lies on: couch shell with foam core, mattress; and where a phantom fits between.

Painted in the couch's frame: x left of the patient as he lies supine, y down (gravity), z along the couch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.synthetic.canvas import Array, Box, Canvas, Vector, cover
from node.synthetic.spec import Couch

CURVE_MM = 650.0
"""Radius of the curved couch top."""
HALF_WIDTH = 212.0
SHELL_HU, FOAM_HU, MATTRESS_HU, PAD_HU = 40.0, -955.0, -930.0, -905.0


@dataclass(frozen=True, slots=True)
class Bed:
    """Couch and padding below a patient whose lowest point lies at ``contact``."""

    kind: Couch
    contact: float
    pad_mm: float
    phantom: tuple[float, float] | None
    """Half width and thickness of a slab lying between pad and couch."""

    @property
    def slab_top(self) -> float:
        """Height (y, down) of the upper face of the slab."""
        return self.contact + self.pad_mm

    @property
    def top(self) -> float:
        """Height (y, down) of the couch surface at its middle."""
        if self.phantom is None:
            return self.contact + self.pad_mm
        half, thick = self.phantom
        return self.slab_top + thick + (half**2 / (2 * CURVE_MM) if self.kind in ("curved", "cradle") else 0.0) + 1.0

    def surface(self, x: Array) -> Array:
        """Height of the couch surface across."""
        if self.kind == "flat":
            return np.full_like(x, self.top)
        out: Array = (self.top - x * x / np.float32(2 * CURVE_MM)).astype(np.float32)
        return out


def paint(canvas: Canvas, bed: Bed, z: tuple[float, float]) -> None:
    """Paint couch and padding into a canvas in the couch's frame."""
    if bed.kind == "none":
        return
    block = canvas.block(Box((-HALF_WIDTH - 8, bed.contact - 60, z[0]), (HALF_WIDTH + 8, bed.top + 120, z[1])))
    if block is None:
        return
    edge = canvas.edge_xy_mm
    x, y = block.x, block.y
    surface = bed.surface(x)
    within = cover((np.abs(x) - np.float32(HALF_WIDTH)).astype(np.float32), edge)

    def layer(upper: Array, lower: Array, hu: float, side: Array = within) -> None:
        part = cover((upper - y).astype(np.float32), edge) * cover((y - lower).astype(np.float32), edge) * side
        canvas.fill(block, part, hu)

    if bed.phantom is None:
        layer(surface - np.float32(bed.pad_mm + 6.0), surface, MATTRESS_HU)
    else:
        pad = cover((np.abs(x) - np.float32(190.0)).astype(np.float32), edge)
        upper = np.full_like(surface, bed.contact - 6.0)
        layer(upper, np.full_like(surface, bed.slab_top - 0.5), PAD_HU, pad)
    if bed.kind == "cradle":
        layer(surface, surface + np.float32(2.2), SHELL_HU)
        _base(canvas, bed, z)
        return
    part = np.clip(1.0 - (x / np.float32(HALF_WIDTH)) ** 2, 0.0, 1.0)
    depth = (np.float32(8.0) + np.float32(34.0) * np.sqrt(part)).astype(np.float32)
    layer(surface, surface + depth, FOAM_HU)
    layer(surface, surface + np.float32(1.6), SHELL_HU)
    layer(surface + depth - np.float32(1.6), surface + depth, SHELL_HU)


def _base(canvas: Canvas, bed: Bed, z: tuple[float, float]) -> None:
    """The carriage under a cradle: a flat plate with two slanting sides."""
    floor = bed.top + 55.0
    block = canvas.block(Box((-230, bed.top - 40, z[0]), (230, floor + 5, z[1])))
    if block is None:
        return
    slant = np.float32(bed.top - 30.0) + (np.float32(215.0) - np.abs(block.x)) * np.float32(0.72)
    line = np.minimum(slant, np.float32(floor))
    part = cover((np.abs(block.y - line) - np.float32(1.8)).astype(np.float32), canvas.edge_xy_mm)
    sides = cover((np.abs(block.x) - np.float32(215.0)).astype(np.float32), canvas.edge_xy_mm)
    canvas.fill(block, part * sides, SHELL_HU)


def flipped(prone: bool) -> Vector:
    """(4, 4): LPS → couch frame."""
    sign = -1.0 if prone else 1.0
    return np.diag([sign, sign, 1.0, 1.0])
