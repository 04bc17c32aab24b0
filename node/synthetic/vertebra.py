"""One vertebra: body with shell, marrow, vein; pedicles, laminae, processes and facet joints; canal and disc."""

from __future__ import annotations

import numpy as np

from node.synthetic.canvas import Array, Block, Box, Canvas, Vector, cover
from node.synthetic.column import Body
from node.synthetic.physics import CORTICAL_MG_CM3, MARROW_ENHANCEMENT_MG, Physics
from node.synthetic.shapes import Ellipsoid, Solid, Tube, union

WALL_MM = 0.5
ENDPLATE_MM = 0.65
VOI_HEIGHT_MM = 9.0


def local(body: Body, block: Block) -> tuple[Array, Array, Array]:
    """Coordinates (u, v, w) of a block's voxels in the vertebra's own axes."""
    x, y, z = (c - np.float32(o) for c, o in zip((block.x, block.y, block.z), body.centre, strict=True))
    u, v, w = (x * np.float32(a[0]) + y * np.float32(a[1]) + z * np.float32(a[2]) for a in body.axes)
    return u, v, w


def body_box(body: Body, margin: float) -> Box:
    """Bounding box of a vertebral body."""
    reach = np.array([body.outline.max(), body.outline.max(), 0.56 * max(body.level.anterior, body.level.posterior)])
    half = np.abs(body.axes.T) @ reach
    return Box.around(np.stack([body.centre - half, body.centre + half]), margin)


def side_distance(body: Body, u: Array, v: Array, w: Array) -> Array:
    """Signed distance to the body's side wall."""
    azimuth = np.degrees(np.arctan2(u, v)) % 360.0
    r = body.outline
    turn = np.gradient(r, np.radians(2.0)) / r
    grid = np.arange(0, 361, 2)
    radius = np.interp(azimuth, grid, r).astype(np.float32)
    slant = np.interp(azimuth, grid, 1.0 / np.sqrt(1.0 + turn**2)).astype(np.float32)
    half = np.float32(0.25 * (body.level.anterior + body.level.posterior))
    narrowing = np.float32(1.0) - np.float32(body.waist) * np.clip(1.0 - (w / half) ** 2, 0.0, 1.0)
    out: Array = (np.sqrt(u * u + v * v) - radius * narrowing) * slant
    for lip in body.lips:
        turned = np.radians((azimuth - lip.azimuth_deg + 180.0) % 360.0 - 180.0)
        near = np.exp(-((turned / 0.45) ** 2) - ((w - lip.side * half) / 2.8) ** 2)
        out = out - np.float32(lip.size_mm) * near.astype(np.float32)
    return out


def central(body: Body, u: Array, v: Array, w: Array) -> Array:
    """1 inside the elliptic cylinder that the true density is the mean of, falling below 1 outside it."""
    depth, width = body.level.depth, body.level.width
    q = (u / (0.3 * width)) ** 2 + ((v + 0.06 * depth) / (0.25 * depth)) ** 2
    out: Array = np.maximum(q, (np.abs(w) / (VOI_HEIGHT_MM / 2.0)) ** 2)
    return (out <= 1.0).astype(np.float32)


def _texture(body: Body, u: Array, v: Array, w: Array) -> Array:
    """Relative variation of trabecular density: plane waves of 4 to 18 mm, usually 4 % in all."""
    rng = np.random.default_rng(body.texture_seed)
    total: Array = np.zeros((1, 1, 1), dtype=np.float32)
    for _ in range(8):
        k = rng.normal(size=3)
        k = k / np.linalg.norm(k) * 2 * np.pi / rng.uniform(4.0, 18.0)
        phase = rng.uniform(0, 2 * np.pi)
        total = total + np.float32(0.020 * body.mottle) * np.cos(
            u * np.float32(k[0]) + v * np.float32(k[1]) + w * np.float32(k[2] + 1e-6) + np.float32(phase)
        )
    return total


def _relative_density(body: Body, u: Array, v: Array, w: Array, side: Array) -> Array:
    """Trabecular density relative to the centre, without vein: denser toward endplates and walls."""
    half = np.float32(0.25 * (body.level.anterior + body.level.posterior))
    ends = np.clip((np.abs(w) / half - 0.5) / 0.5, 0.0, 1.0)
    walls = np.clip((side + 5.0) / 5.0, 0.0, 1.0)
    out: Array = 1.0 + (0.16 + body.sclerosis) * ends * ends + 0.10 * walls + _texture(body, u, v, w)
    return out


def fine_grid(body: Body, step: float = 1.4) -> tuple[Array, Array, Array]:
    """Local coordinates (u, v, w) of a grid over the whole body."""
    reach = float(body.outline.max()) + (7.0 if body.lips else 1.0)
    tall = 0.6 * max(body.level.anterior, body.level.posterior)
    across = np.arange(-reach, reach + step, step, dtype=np.float32)
    along = np.arange(-tall, tall + step, step, dtype=np.float32)
    w, v, u = np.meshgrid(along, across, across, indexing="ij")
    return u, v, w


def centroid(body: Body) -> Vector:
    """Centroid of the vertebral body in body coordinates."""
    u, v, w = fine_grid(body)
    top, bottom = body.endplates(u, v)
    inside = (side_distance(body, u, v, w) < 0) & (w < top) & (w > bottom)
    return body.place(np.array([u[inside].mean(), v[inside].mean(), w[inside].mean()], dtype=np.float64))


def central_bias(body: Body) -> float:
    """Mean relative density of the central region less 1; taken off so that the region holds the density asked for."""
    depth, width = body.level.depth, body.level.width
    across = np.arange(-0.31 * width, 0.31 * width, 1.0, dtype=np.float32)
    back = np.arange(-0.32 * depth, 0.2 * depth, 1.0, dtype=np.float32)
    along = np.arange(-VOI_HEIGHT_MM / 2.0, VOI_HEIGHT_MM / 2.0 + 0.1, 0.9, dtype=np.float32)
    w, v, u = np.meshgrid(along, back, across, indexing="ij")
    region = central(body, u, v, w) > 0
    u, v, w = u[region], v[region], w[region]
    return float(_relative_density(body, u, v, w, side_distance(body, u, v, w)).mean()) - 1.0


def paint_body(canvas: Canvas, body: Body, physics: Physics, bias: float, *, fused: bool = False) -> None:
    """Paint the vertebral body. ``fused``: a sacral segment, with thin remains of endplates."""
    block = canvas.block(body_box(body, 8.0 + canvas.edge_mm))
    if block is None:
        return
    u, v, w = local(body, block)
    top, bottom = body.endplates(u, v)
    side = side_distance(body, u, v, w)
    upright = abs(float(body.axes[2, 2]))
    lateral = canvas.edge_xy_mm
    end = upright * canvas.edge_z_mm + np.sqrt(1.0 - upright**2) * canvas.edge_xy_mm
    over, under = (w - top).astype(np.float32), (bottom - w).astype(np.float32)
    outer = cover(side, lateral) * cover(over, end) * cover(under, end)
    plate = np.float32(0.3 if fused else body.cortex * ENDPLATE_MM)
    inner = (
        cover(side + np.float32(body.cortex * WALL_MM), lateral) * cover(over + plate, end) * cover(under + plate, end)
    )
    relative = _relative_density(body, u, v, w, side) - np.float32(bias)
    gain = MARROW_ENHANCEMENT_MG[physics.contrast]
    slope, offset = physics.sigma_ct("K2HPO4"), physics.bone(0.0)
    core = (relative * np.float32(slope * body.rho) + np.float32(slope * gain + offset)).astype(np.float32)
    vein = _vein(body, u, v, w)
    core += vein * (np.float32(physics.tissue("marrow-blood")) - core)
    wall = np.float32(physics.bone(CORTICAL_MG_CM3))
    canvas.shell(block, outer, inner, float(wall), core)
    canvas.mark(block, outer, body.level.label)


def _vein(body: Body, u: Array, v: Array, w: Array) -> Array:
    """Part of each voxel taken by the basivertebral vein: a flat wedge from the back of the body to its middle."""
    b = body.half_depth
    depth = np.clip((v - 0.35 * b) / (0.6 * b), 0.0, 1.0)
    spread = np.abs(u) - (1.0 + 4.5 * depth * depth)
    tall = np.abs(w) - (0.7 + 0.9 * depth)
    out: Array = np.clip(0.5 - np.maximum(spread, tall), 0.0, 1.0) * np.clip(depth * 4.0, 0.0, 0.8)
    return out.astype(np.float32)


def posterior_elements(body: Body) -> list[Solid]:
    """Pedicles, laminae, articular, transverse and spinous processes."""
    level = body.level
    if level.name[0] == "S":
        return []
    lumbar = float(np.clip((level.label - 18.4) / 1.2, 0.0, 1.0))
    b, h = body.half_depth, (level.anterior + level.posterior) / 2.0
    wide, deep = level.canal[0] / 2.0, level.canal[1]
    half_w, half_h = level.pedicle[0] / 2.0, level.pedicle[1] / 2.0
    px, pz = wide + half_w, (0.16 if lumbar > 0.5 else 0.2) * h
    back = b + deep
    reach, droop = level.spinous
    up, left = body.direction((0, 0, 1)), body.direction((1, 0, 0))
    out: list[Solid] = []

    def bar(a: Vector, c: Vector, ra: tuple[float, float], rc: tuple[float, float], axis: Vector = up) -> None:
        out.append(Tube(body.place(a), body.place(c), axis, ra, rc))

    for s in (1.0, -1.0):
        pillar = np.array([s * (px + 1.5), b + 0.62 * deep, 0.5 * pz])
        bar(np.array([s * min(px, 0.72 * level.width / 2), 0.72 * b, pz]), pillar, (half_h, half_w), (half_h, half_w))
        upper = np.array([s * (px + 2.0 * lumbar), b + 0.72 * deep, 0.5 * h + 5.0])
        lower = np.array([s * (px - 1.5 - 2.5 * lumbar), b + deep + 1.5, -0.5 * h - 5.5])
        bar(pillar, upper, (5.0, 4.0 + lumbar), (5.0, 3.0 + 1.5 * lumbar), left)
        bar(np.array([s * px, back - 1.0, 0.0]), lower, (5.0, 3.0 + lumbar), (4.5, 2.6 + 0.8 * lumbar), left)
        bar(
            np.array([s * (px - 0.5), back - 1.5, 0.0]),
            np.array([0.0, back + 5.0, -4.0]),
            (0.36 * h, 2.8),
            (0.34 * h, 3.2),
        )
        tip_back = back + 1.0 + (1.0 - lumbar) * 9.0
        tip = np.array([s * level.transverse, tip_back - 3.0 * lumbar, pz + 2.0])
        if level.name in ("L5", "L6"):
            root = np.array([s * (px + 3.0), b + 4.0, pz - 1.0])
            bar(root, tip, (0.33 * h, 9.0), (5.5, 4.0))
        slim = (3.0, 4.0) if lumbar < 0.5 else (4.8, 2.6)
        bar(
            np.array([s * (px + 1.0), back - 3.0 - 1.5 * lumbar, pz - 1.0]),
            tip,
            (5.5, 4.0),
            (max(slim), min(slim)) if lumbar < 0.5 else slim,
        )
    start, tip = np.array([0.0, back + 3.0, -3.0]), np.array([0.0, b + reach - 3.0, -droop])
    tall = 0.31 * h if lumbar > 0.5 else 5.5
    bar(start, tip, (tall, 3.0), (tall * (1.05 if lumbar > 0.5 else 0.8), 3.0 + lumbar))
    return out


def paint_posterior(canvas: Canvas, body: Body, physics: Physics, solids: list[Solid], wall_mm: float = 1.1) -> None:
    """Paint the posterior elements as one bone with a thick cortex."""
    found = union(canvas, solids, canvas.edge_mm)
    if found is None:
        return
    block, distance = found
    outer = cover(distance, canvas.edge_mm)
    inner = cover(distance + np.float32(wall_mm), canvas.edge_mm)
    canvas.shell(block, outer, inner, physics.bone(CORTICAL_MG_CM3), physics.bone(1.35 * body.rho))
    canvas.mark(block, outer, 100 + body.level.label)


def canal_points(bodies: tuple[Body, ...]) -> Vector:
    """(n, 3): centre of the canal behind the middle of each body."""
    return np.stack([body.place(np.array([0.0, body.half_depth + body.level.canal[1] / 2.0, 0.0])) for body in bodies])


def paint_canal(canvas: Canvas, bodies: tuple[Body, ...], physics: Physics) -> None:
    """Epidural fat and the dural sac along the whole column."""
    points = canal_points(bodies)
    for n in range(len(bodies) - 1):
        upper, lower = bodies[n], bodies[n + 1]
        ends = [points[n], points[n + 1]]
        if n == 0:
            ends[0] = points[0] + (points[0] - points[1])
        sizes = [(body.level.canal[1] / 2.0 + 1.0, body.level.canal[0] / 2.0 + 1.0) for body in (upper, lower)]
        fat = Tube(ends[0], ends[1], upper.axes[1], sizes[0], sizes[1])
        small = [(r - 2.2, q - 3.0) for r, q in sizes]
        _fill(canvas, fat, physics.tissue("epidural"))
        if min(small[1]) > 1.0:
            _fill(canvas, Tube(ends[0], ends[1], upper.axes[1], small[0], small[1]), physics.tissue("sac"))


def _fill(canvas: Canvas, solid: Solid, hu: float) -> None:
    block = canvas.block(solid.box(canvas.edge_mm))
    if block is not None:
        canvas.fill(block, cover(solid.distance(block), canvas.edge_mm), hu)


def paint_disc(canvas: Canvas, upper: Body, lower: Body, physics: Physics) -> None:
    """The disc between two bodies; bodies are painted over its upper and lower bulge."""

    def rim(body: Body, sign: float) -> Vector:
        return body.place(np.array([0.0, 0.0, sign * 0.25 * (body.level.anterior + body.level.posterior)]))

    axis = upper.axes[2] + lower.axes[2]
    axis = axis / np.linalg.norm(axis)
    left = upper.axes[0] - axis * float(upper.axes[0] @ axis)
    left = left / np.linalg.norm(left)
    middle = 0.5 * (rim(upper, -1.0) + rim(lower, 1.0))
    wide, deep = 0.25 * (upper.level.width + lower.level.width), 0.25 * (upper.level.depth + lower.level.depth)
    thick = 0.5 * upper.level.disc + 3.5
    frame = np.stack([left, np.cross(axis, left), axis])
    solid = Ellipsoid(middle, (wide + 0.5, deep + 0.5, 50.0), frame)
    reach = np.sqrt((np.array([wide + 1, deep + 1, thick])[:, None] ** 2 * frame**2).sum(axis=0))
    block = canvas.block(Box.around(np.stack([middle - reach, middle + reach]), canvas.edge_mm))
    if block is None:
        return
    x, y, z = (c - np.float32(o) for c, o in zip((block.x, block.y, block.z), middle, strict=True))
    along = np.abs(x * np.float32(axis[0]) + y * np.float32(axis[1]) + z * np.float32(axis[2]))
    part = cover(solid.distance(block), canvas.edge_xy_mm) * cover(along - np.float32(thick), canvas.edge_z_mm)
    canvas.fill(block, part, physics.tissue("disc"))
    if upper.vacuum:
        flat = Ellipsoid(middle + 0.1 * deep * frame[1], (0.55 * wide, 0.5 * deep, 1.3), frame)
        _fill(canvas, flat, physics.tissue("gas"))
