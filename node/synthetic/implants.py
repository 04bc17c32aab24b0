"""What surgery, chance and disease leave in a vertebra: cement, screws, bone islands, lesions; and streaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.synthetic import disease
from node.synthetic.canvas import Array, Canvas, Vector
from node.synthetic.column import Body
from node.synthetic.shapes import Ellipsoid, Solid, Tube, chain, paint, paint_all
from node.synthetic.spec import TorsoSpec

CEMENT_HU, METAL_HU, ISLAND_HU = 1700.0, 9000.0, 820.0
METAL_FROM_HU = 3500.0
STREAK_ANGLES, STREAK_PIXELS = 48, 160


def build(spec: TorsoSpec, by_name: dict[str, Body], rng: np.random.Generator) -> list[tuple[list[Solid], float]]:
    """Groups of solids, each with its attenuation."""
    out: list[tuple[list[Solid], float]] = []
    for name in spec.cement:
        body = by_name[name]
        high = 0.3 * min(body.heights())
        blobs: list[Solid] = []
        for _ in range(5):
            spot = rng.uniform(-1, 1, 3) * np.array([0.2 * body.level.width, 0.22 * body.level.depth, 0.3 * high])
            size = rng.uniform(0.5, 1.0, 3) * np.array([9.0, 8.0, high])
            blobs.append(Ellipsoid(body.place(spot), (float(size[0]), float(size[1]), float(size[2])), body.axes))
        out.append((blobs, CEMENT_HU))
    for name in spec.bone_islands:
        body = by_name[name]
        spot = np.array([rng.uniform(-0.25, 0.25) * body.level.width, rng.uniform(-0.25, 0.1) * body.level.depth, 4.0])
        out.append(([Ellipsoid(body.place(spot), (3.5, 3.0, 4.0), body.axes)], ISLAND_HU))
    for name, kind in spec.lesions.items():
        out += disease.focus(by_name[name], kind)
    for name in spec.schmorl:
        out += disease.schmorl(by_name[name], np.random.default_rng([spec.seed, 5, by_name[name].level.label]))
    if spec.screws:
        out.append((_screws(spec, by_name), METAL_HU))
    return out


def _screws(spec: TorsoSpec, by_name: dict[str, Body]) -> list[Solid]:
    out: list[Solid] = []
    for side in (1.0, -1.0):
        heads: list[Vector] = []
        for name in spec.screws:
            body = by_name[name]
            level = body.level
            x = level.canal[0] / 2.0 + level.pedicle[0] / 2.0
            z = 0.18 * level.posterior
            entry = body.place(np.array([side * (x + 5.0), body.half_depth + level.canal[1] + 6.0, z + 2.0]))
            tip = body.place(np.array([side * 0.3 * x, -0.45 * body.half_depth, z - 2.0]))
            out.append(Tube(entry, tip, body.axes[2], (3.2, 3.2), (2.6, 2.6)))
            head = body.place(np.array([side * (x + 6.5), body.half_depth + level.canal[1] + 12.0, z + 2.0]))
            out.append(Tube(entry, head, body.axes[2], (6.0, 6.0), (6.5, 6.5)))
            heads.append(head)
        heads.sort(key=lambda p: float(p[2]))
        if len(heads) > 1:
            over = np.array([0.0, 0.0, 9.0])
            line = [heads[0] - over, *heads, heads[-1] + over]
            out += chain(line, [(2.8, 2.8)] * len(line))
    return out


def paint_implants(canvas: Canvas, groups: list[tuple[list[Solid], float]]) -> None:
    """Paint each group."""
    for solids, hu in groups:
        if len(solids) == 1:
            paint(canvas, solids[0], hu)
        else:
            paint_all(canvas, solids, hu)


def streaks(image: Array) -> Array:
    """Beam hardening and starvation around metal in one slice: what a filtered back-projection makes of the
    square of the metal's own projections. Zero where there is no metal.
    """
    metal = np.clip(image - METAL_FROM_HU, 0.0, None)
    if not metal.any():
        return np.zeros_like(image)
    factor = STREAK_PIXELS / image.shape[0]
    small = ndimage.zoom(metal, factor, order=1) * np.float32(1.0 / METAL_HU)
    n = small.shape[0]
    ramp = np.abs(np.fft.rfftfreq(2 * n)).astype(np.float32)
    total = np.zeros((n, n), dtype=np.float32)
    for angle in np.arange(STREAK_ANGLES) * 180.0 / STREAK_ANGLES:
        turned = ndimage.rotate(small, angle, reshape=False, order=1)
        line = turned.sum(axis=0) / (n / 100.0)
        wrong = -0.55 * line**2 / (1.0 + 0.12 * line)
        filtered = np.fft.irfft(np.fft.rfft(wrong, 2 * n) * ramp)[:n].astype(np.float32)
        total += ndimage.rotate(np.broadcast_to(filtered, (n, n)), -angle, reshape=False, order=1)
    field: NDArray[np.float32] = ndimage.zoom(total * np.float32(3600.0 / STREAK_ANGLES), 1.0 / factor, order=1)
    out = np.zeros_like(image)
    h, w = (min(a, b) for a, b in zip(field.shape, image.shape, strict=True))
    out[:h, :w] = field[:h, :w]
    return out
