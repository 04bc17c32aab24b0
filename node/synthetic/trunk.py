"""Skin, fat, muscle and the cavity of the trunk: nested rounded outlines that change along z; lungs and diaphragm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.synthetic.canvas import Array, Block, Box, Canvas, Vector, cover
from node.synthetic.physics import Physics
from node.synthetic.spec import TorsoSpec

STEP = 0.5
LOW, HIGH = -420.0, 460.0

#     z     muscle: half width, front y, back y   cavity: half width, front, back   share of the fat
_TABLE = (
    (-420, 150, -88, 66, 40, -60, 30, 0.9),
    (-330, 158, -94, 78, 52, -72, 44, 1.1),
    (-280, 164, -100, 88, 60, -84, 52, 1.25),
    (-230, 164, -108, 90, 72, -97, 52, 1.3),
    (-180, 152, -116, 84, 96, -106, 38, 1.2),
    (-140, 142, -121, 72, 117, -111, 30, 1.1),
    (-100, 137, -123, 66, 119, -113, 28, 1.0),
    (-50, 136, -126, 64, 119, -115, 29, 1.0),
    (0, 139, -129, 66, 122, -118, 31, 0.95),
    (50, 144, -135, 72, 129, -123, 38, 0.85),
    (100, 149, -141, 80, 135, -127, 47, 0.75),
    (150, 153, -141, 86, 137, -126, 54, 0.7),
    (200, 158, -132, 88, 131, -114, 55, 0.65),
    (250, 158, -112, 84, 111, -90, 48, 0.6),
    (280, 146, -92, 78, 86, -68, 38, 0.6),
    (310, 108, -72, 68, 52, -44, 20, 0.5),
    (340, 70, -64, 54, 22, -34, 4, 0.4),
    (380, 60, -64, 46, 18, -34, 0, 0.35),
    (460, 58, -64, 44, 18, -34, 0, 0.35),
)
_INLET = ((-110, 160), (-60, 108), (-30, 78), (-10, 57), (5, 40), (16, 18))
"""Height from T1, and half width of the cavity there: the first ribs lie about 60 mm from the midline."""
SKIN_MM = 1.8


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A closed outline in every transverse plane: half width, front and back edge, by z."""

    half: NDArray[np.float32]
    front: NDArray[np.float32]
    back: NDArray[np.float32]
    power: tuple[float, float, float]
    """Of the sides, the front and the back: 2 is an ellipse, more is squarer."""
    furrow: NDArray[np.float32] | None = None
    """Depth of the furrow along the back's midline."""

    def grown(self, side: float, front: float | None = None, back: float | None = None) -> Outline:
        """Moved outward by so many mm (negative: inward)."""
        f, b = side if front is None else front, side if back is None else back
        return Outline(
            (self.half + np.float32(side)).astype(np.float32),
            (self.front - np.float32(f)).astype(np.float32),
            (self.back + np.float32(b)).astype(np.float32),
            self.power,
            self.furrow,
        )

    def at(self, z: float) -> tuple[float, float, float]:
        """Half width, front and back at one height."""
        n = int(np.clip(round((z - LOW) / STEP), 0, len(self.half) - 1))
        return float(self.half[n]), float(self.front[n]), float(self.back[n])

    def distance(self, block: Block, rows: NDArray[np.int32]) -> Array:
        """Approximate signed distance; good near the edge, growing beyond it."""
        a, f, b = self.half[rows], self.front[rows], self.back[rows]
        middle, deep = (f + b) * np.float32(0.5), (b - f) * np.float32(0.5)
        p, q, r = self.power
        y = (block.y - middle) / deep
        if self.furrow is not None:
            depth = self.furrow[rows] * np.exp(-((block.x / np.float32(15.0)) ** 2))
            y = y + np.maximum(np.sign(y), 0.0) * depth / deep
        across = np.abs(block.x / a) ** np.float32(p)
        y = np.where(y < 0, np.abs(y) ** np.float32(q), np.abs(y) ** np.float32(r))
        scale = (np.float32(0.5) * (a + deep) / np.float32((p + q) / 2.0)).astype(np.float32)
        out: Array = across + y
        out -= np.float32(1.0)
        out *= scale
        return out

    def around(self, z: float, azimuth_deg: float) -> tuple[float, float]:
        """The point (x, y) of the outline at an azimuth from the back's midline toward the left."""
        a, f, b = self.at(z)
        s, c = np.sin(np.radians(azimuth_deg)), np.cos(np.radians(azimuth_deg))
        p, q = self.power[0], self.power[2] if c > 0 else self.power[1]
        radius = 1.0
        for _ in range(12):
            value = abs(radius * s) ** p + abs(radius * c) ** q
            radius *= value ** (-1.0 / ((p + q) / 2.0))
        return a * radius * s, (f + b) / 2.0 + (b - f) / 2.0 * radius * c


def rows_of(z: Array) -> NDArray[np.int32]:
    """Table rows for heights."""
    index = np.rint((z - np.float32(LOW)) * np.float32(1.0 / STEP)).astype(np.int32)
    out: NDArray[np.int32] = np.clip(index, 0, round((HIGH - LOW) / STEP))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """The nested outlines of this patient."""

    skin: Outline
    fat: Outline
    muscle: Outline
    cavity: Outline
    cage: Outline
    """Where the ribs run."""
    scale: float
    """Of lengths along z against a patient of 172 cm."""
    diaphragm_mm: float
    """Height of the right dome."""

    def edge_points(self, z: Vector) -> Vector:
        """(n, 3): points on the skin around several heights."""
        ring = np.radians(np.arange(0, 360, 10))
        out = []
        for height in z:
            for t in ring:
                out.append((*self.skin.around(float(height), float(np.degrees(t))), float(height)))
        return np.array(out)


def build(spec: TorsoSpec, rng: np.random.Generator, apex_mm: float) -> Trunk:
    """Outlines for sex, size and weight; ``apex_mm`` is the height of T1, beside which the lungs end."""
    tall = spec.height_cm / 172.0
    wide = (0.93 if spec.sex == "F" else 1.0) * tall**0.6
    table = np.array(_TABLE)
    z = np.arange(LOW, HIGH + STEP, STEP)
    column = [_smooth(np.interp(z, table[:, 0] * tall, table[:, n])) for n in range(1, 8)]
    inlet = np.interp(z, apex_mm + np.array(_INLET)[:, 0] * tall, np.array(_INLET)[:, 1])
    column[3] = np.minimum(column[3], inlet)
    over = spec.bmi - 25.0
    belly = np.exp(-(((z / tall + 60.0) / 110.0) ** 2))
    grow_side = 0.45 * over + 1.5 * over * belly
    grow_front = 0.5 * over + 2.6 * over * belly
    if spec.sex == "F":
        hips = np.exp(-(((z / tall + 240.0) / 70.0) ** 2))
        column[0] = column[0] + 8.0 * hips
    more = 5.0 if spec.sex == "F" else 0.0
    share = column[6]
    fat = [
        np.maximum(share * value, 3.0)
        for value in (13 + more + 1.8 * over, 12 + more + 1.5 * over, 13 + more + 1.3 * over)
    ]
    hollow = 4.0 * np.exp(-(((z / tall + 60.0) / 70.0) ** 2))

    def outline(half: Vector, front: Vector, back: Vector, power: tuple[float, float, float]) -> Outline:
        return Outline(half.astype(np.float32), front.astype(np.float32), back.astype(np.float32), power)

    muscle = outline(column[0] * wide + grow_side, column[1] * wide - grow_front, column[2] * wide, (2.3, 2.1, 2.6))
    grown = np.where(z > apex_mm - 60.0 * tall, 0.0, grow_side)
    cavity = outline(column[3] * wide + grown, column[4] * wide - grow_front, column[5] * wide, (2.25, 2.1, 2.5))
    side, front, back = (np.asarray(f, dtype=np.float32) for f in fat)
    fat_out = Outline(
        muscle.half + side,
        muscle.front - front,
        muscle.back + back - hollow.astype(np.float32),
        (2.2, 2.15, 2.6),
        np.interp(z / tall, (-300, -225, -190, 120, 200), (45, 24, 6, 6, 2)).astype(np.float32),
    )
    cage = cavity.grown(5.0)
    dome = 118.0 * tall + float(rng.uniform(-10, 10))
    return Trunk(fat_out.grown(SKIN_MM), fat_out, muscle, cavity, cage, tall, dome)


def _smooth(values: Vector) -> Vector:
    kernel = np.hanning(81)
    padded = np.pad(values, 40, mode="edge")
    out: Vector = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return out


def diaphragm_height(trunk: Trunk, block: Block) -> Array:
    """Height of the diaphragm above each point of the transverse plane."""
    s = np.float32(trunk.scale)
    right = ((block.x + 66.0 * s) / (82.0 * s)) ** 2 + ((block.y + 40.0 * s) / (88.0 * s)) ** 2
    left = ((block.x - 66.0 * s) / (78.0 * s)) ** 2 + ((block.y + 36.0 * s) / (86.0 * s)) ** 2
    top = np.float32(trunk.diaphragm_mm)
    fall = np.float32(62.0 * s)
    out: Array = np.maximum(np.maximum(top - fall * right, top - 12.0 * s - fall * left), np.float32(8.0 * s))
    return out.astype(np.float32)


def paint(canvas: Canvas, trunk: Trunk, physics: Physics) -> None:
    """Skin, subcutaneous fat, muscle, and the cavity filled with fat below the diaphragm and lung above it."""
    block = whole(canvas, trunk)
    if block is None:
        return
    rows = rows_of(block.z)
    edge = canvas.edge_xy_mm
    canvas.fill(block, cover(trunk.skin.distance(block, rows), edge), physics.tissue("skin"))
    canvas.fill(block, cover(trunk.fat.distance(block, rows), edge), physics.tissue("fat"))
    wall = trunk.muscle.distance(block, rows)
    canvas.fill(block, cover(wall, edge), physics.tissue("muscle"))
    inner = trunk.cavity.distance(block, rows)
    between = np.abs(wall + np.float32(7.0)) - np.float32(0.6)
    canvas.fill(block, cover(between, edge) * np.float32(0.7), physics.tissue("fat"))
    part = cover(inner, edge)
    canvas.fill(block, part, physics.tissue("visceral-fat"))
    height = diaphragm_height(trunk, block) - block.z
    soft = 0.7 * canvas.edge_z_mm + edge
    if float(height.min()) < soft:
        canvas.fill(block, part * cover(height - np.float32(3.5), soft), physics.tissue("muscle"))
        lung = cover(inner + np.float32(1.5), edge) * cover(height, soft)
        canvas.fill(block, lung, physics.tissue("lung"))


def roughen(canvas: Canvas, trunk: Trunk, tile: NDArray[np.float32], corner: tuple[int, int, int]) -> None:
    """Give the soft tissue within the skin a texture: fat septa, muscle bundles, vessels too small to draw.

    ``tile`` repeats over the whole scan; ``corner`` is this slab's first voxel in it.
    """
    block = whole(canvas, trunk)
    if block is None:
        return
    inside = cover(trunk.fat.distance(block, rows_of(block.z)), canvas.edge_xy_mm)
    picks = [
        (np.arange(part.start, part.stop) + first) % size
        for part, first, size in zip(block.index, corner, tile.shape, strict=True)
    ]
    part = canvas.hu[block.index]
    part += inside * tile[np.ix_(*picks)] * (part < 150.0)


def texture(seed: int, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """A periodic random field of about 6 HU for ``roughen``."""
    shape = (32, 96, 96)
    white = np.random.default_rng([seed, 5]).standard_normal(shape, dtype=np.float32)
    out: NDArray[np.float32] = np.zeros(shape, dtype=np.float32)
    for scale, size in ((1.3, 4.5), (3.5, 4.0)):
        field = ndimage.gaussian_filter(white, [max(scale / step, 0.3) for step in spacing_mm], mode="wrap")
        out += (size / float(field.std())) * field
    return out


def whole(canvas: Canvas, trunk: Trunk, z: tuple[float, float] = (LOW, HIGH)) -> Block | None:
    """The block that holds the trunk between two heights."""
    half, front, back = float(trunk.skin.half.max()), float(trunk.skin.front.min()), float(trunk.skin.back.max())
    return canvas.block(Box((-half - 3, front - 3, z[0]), (half + 3, back + 3, z[1])))
