"""The vertebral column in body coordinates: x left, y back, z up, mm, origin at the middle of L1."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from node.synthetic.anatomy import DENSITY_RELATIVE_TO_L1, LEVELS, Level
from node.synthetic.canvas import Vector
from node.synthetic.physics import usual_density
from node.synthetic.spec import Fracture, TorsoSpec

CHILD_CANAL = 0.85
"""The canal is nearly as wide in a child of six as in adults."""
CORNER = 0.9
"""Anterior and posterior heights are taken at this part of the way from the axis to the front and back wall."""

DIFFUSE = {"diffuse-lytic": (0.4, -10.0), "diffuse-sclerotic": (1.5, 90.0)}
"""Trabecular density of a body filled by a lesion: factor on the usual one, and mg/cm³ added."""
DIFFUSE_MOTTLE = 3.0


@dataclass(frozen=True, slots=True)
class Lip:
    """An osteophyte on the rim of an endplate."""

    azimuth_deg: float
    """From the back toward the left."""
    side: float
    """1 upper, -1 lower endplate."""
    size_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Shape and place of one vertebra. Local axes: u left, v back, w up, from the middle of the body."""

    level: Level
    """Dimensions of this individual, fracture not included."""
    centre: Vector
    axes: Vector
    """(3, 3): rows are the unit vectors left, posterior, superior in body coordinates."""
    outline: Vector
    """(181,): radius at 0, 2, ..., 360 degrees from the back toward the left, at the endplates."""
    waist: float
    """Part by which the middle is narrower than the endplates."""
    concavity: tuple[float, float]
    """Depth of the upper and lower endplate."""
    fracture: Fracture | None
    rho: float
    """Trabecular density, mg/cm³ K2HPO4."""
    texture_seed: int
    lips: tuple[Lip, ...] = ()
    sclerosis: float = 0.0
    """Relative gain of density under the endplates."""
    vacuum: bool = False
    """Gas in the disc below."""
    mottle: float = 1.0
    """Variation of trabecular density from place to place, against the usual one."""
    cortex: float = 1.0
    """Thickness of the shell against the usual one."""

    @property
    def half_depth(self) -> float:
        """Half the depth of the body."""
        return self.level.depth / 2.0

    @property
    def corners(self) -> tuple[float, float]:
        """Where (v) the anterior and the posterior height are taken."""
        return -CORNER * float(self.outline[90]), CORNER * float(self.outline[0])

    def endplates(self, u: Vector, v: Vector) -> tuple[Vector, Vector]:
        """Height w of the upper and lower endplate surface at (u, v)."""
        level, b = self.level, self.half_depth
        front, back = self.corners
        s = np.clip((v - front) / (back - front), -0.1, 1.1)
        half = (level.anterior * (1.0 - s) + level.posterior * s) / 2.0
        q = np.minimum((u / (0.46 * level.width)) ** 2 + ((v - 0.08 * b) / (0.88 * b)) ** 2, 1.0)
        dish = (1.0 - q) ** 1.5
        top, bottom = half - self.concavity[0] * dish, -half + self.concavity[1] * dish
        if self.fracture is None:
            return top, bottom
        loss = self.fracture.loss
        ramp = np.clip((back - v) / (back - front), 0.0, 1.05)
        if self.fracture.type == "wedge":
            top = top - loss * level.anterior * ramp**1.3
        elif self.fracture.type == "biconcave":
            middle = (level.anterior + level.posterior) / 2.0 - sum(self.concavity)
            top, bottom = top - 0.55 * loss * middle * dish, bottom + 0.45 * loss * middle * dish
        else:
            top = top - loss * (top - bottom) * (0.94 + 0.06 * ramp)
        return top, bottom

    def heights(self) -> tuple[float, float, float]:
        """Anterior, middle and posterior height, in the mid-sagittal plane."""
        v = np.array([self.corners[0], 0.08 * self.half_depth, self.corners[1]])
        top, bottom = self.endplates(np.zeros(3), v)
        a, m, p = top - bottom
        return float(a), float(m), float(p)

    def corner_points(self) -> Vector:
        """(6, 3): ends of the three heights, upper then lower of each, in body coordinates."""
        v = np.array([self.corners[0], 0.08 * self.half_depth, self.corners[1]])
        top, bottom = self.endplates(np.zeros(3), v)
        local = [(0.0, v[n], w) for n in range(3) for w in (top[n], bottom[n])]
        return self.place(np.array(local))

    def place(self, local: Vector) -> Vector:
        """Local (..., 3) → body coordinates."""
        out: Vector = self.centre + np.asarray(local, dtype=np.float64) @ self.axes
        return out

    def direction(self, local: tuple[float, float, float]) -> Vector:
        """A local direction in body coordinates."""
        out: Vector = np.asarray(local, dtype=np.float64) @ self.axes
        return out


def rotation(x_deg: float, y_deg: float, z_deg: float) -> Vector:
    """Rotation matrix: about x, then y, then z."""
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in np.radians([x_deg, y_deg, z_deg]))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    out: Vector = rz @ ry @ rx
    return out


def individual_levels(spec: TorsoSpec, rng: np.random.Generator) -> list[Level]:
    """Dimensions of this patient's vertebrae: size, sex, anomalies, and each a little different."""
    tall = spec.height_cm / 172.0
    high, wide = (0.96 * tall, 0.91 * tall) if spec.sex == "F" else (tall, tall)
    levels = list(LEVELS)
    at = [level.name for level in levels].index("S1")
    if spec.lumbosacral == "lumbarised-S1":
        sixth = replace(levels[at - 1], name="L6", label=25, tilt=-33.0, disc=7.5, anterior=27.0, posterior=24.0)
        levels.insert(at, sixth)
    elif spec.lumbosacral == "sacralised-L5":
        levels[at - 1] = replace(levels[at - 1], disc=3.0, transverse=50.0, anterior=28.0, posterior=26.0, tilt=-28.0)
    drift = rng.normal(0.0, 0.01, (len(levels), 2)).cumsum(axis=0)
    jitter = rng.normal(0.0, 0.015, (len(levels), 4))
    tilts = rng.normal(0.0, 0.8, len(levels))
    out = []
    for n, level in enumerate(levels):
        h = high * (1.0 + np.clip(drift[n, 0], -0.03, 0.03) + jitter[n, 0])
        w = wide * (1.0 + np.clip(drift[n, 1], -0.04, 0.04))
        out.append(
            replace(
                level,
                width=level.width * w * (1.0 + jitter[n, 1]),
                depth=level.depth * w * (1.0 + jitter[n, 2]),
                anterior=level.anterior * h,
                posterior=level.posterior * h * (1.0 + 0.6 * jitter[n, 3]),
                disc=level.disc * high * (1.0 + 2.0 * jitter[n, 3]) * _disc_wear(spec, rng),
                tilt=_tilt(spec, level) + tilts[n],
                pedicle=(level.pedicle[0] * w, level.pedicle[1] * high),
                canal=(level.canal[0] * max(wide, CHILD_CANAL), level.canal[1] * max(wide, CHILD_CANAL)),
                transverse=level.transverse * wide,
                spinous=(level.spinous[0] * wide, level.spinous[1] * high),
            )
        )
    return out


def _disc_wear(spec: TorsoSpec, rng: np.random.Generator) -> float:
    return 1.0 - 0.5 * degeneration(spec) * float(rng.uniform(0.0, 1.0))


def _tilt(spec: TorsoSpec, level: Level) -> float:
    """The table's course stretched to the curvature that was asked for."""
    thoracic = spec.kyphosis_deg / 35.0
    if level.name[0] in "CT":
        return 2.0 + (level.tilt - 2.0) * thoracic
    first = 2.0 + (10.5 - 2.0) * thoracic
    if level.name[0] == "L" or level.name == "S1":
        return first + (level.tilt - 10.5) * spec.lordosis_deg / 49.5
    return level.tilt + first - 10.5 - (spec.lordosis_deg - 49.5)


def _outline(level: Level, rng: np.random.Generator) -> Vector:
    """Radius of the body's edge by azimuth from the back: kidney-shaped in the loin, rounder in the chest."""
    azimuth = np.radians(np.arange(0, 361, 2))
    lumbar = float(np.clip((level.label - 12) / 9.0, 0.0, 1.0))
    a, b = level.width / 2.0, level.depth / 2.0
    power = 2.15 + 0.25 * lumbar
    r = (np.abs(np.sin(azimuth) / a) ** power + np.abs(np.cos(azimuth) / b) ** power) ** (-1.0 / power)
    back = np.exp(-((np.minimum(azimuth, 2 * np.pi - azimuth) / 0.55) ** 2))
    r = r * (1.0 - (0.04 + 0.05 * lumbar) * back)
    front = np.exp(-(((azimuth - np.pi) / 0.8) ** 2))
    r = r * (1.0 + 0.06 * (1.0 - lumbar) * front)
    for order in (2, 3, 4, 5):
        phase, size = rng.uniform(0, 2 * np.pi), rng.normal(0.0, 0.010)
        r = r * (1.0 + size * np.cos(order * azimuth + phase))
    out: Vector = r
    return out


def _wear(spec: TorsoSpec, level: Level, rng: np.random.Generator) -> tuple[tuple[Lip, ...], float, bool]:
    """Osteophytes, sclerosis under the endplates, and gas in the disc below; more of each with degeneration."""
    amount = degeneration(spec)
    lips = tuple(
        Lip(float(rng.uniform(100.0, 260.0)), side, float(rng.uniform(1.5, 6.0)) * amount)
        for side in (1.0, -1.0)
        for _ in range(2)
        if rng.random() < amount
    )
    sclerosis, gas = 0.35 * amount * float(rng.random()), bool(rng.random() < 0.35 * amount - 0.05)
    if level.name[0] == "S":
        return (), 0.0, False
    return lips, sclerosis, gas


def degeneration(spec: TorsoSpec) -> float:
    """How worn the spine is, 0 to 1; by age where the spec does not say."""
    if spec.degeneration is not None:
        return spec.degeneration
    return float(np.clip((spec.age_years - 40) / 50.0, 0.0, 1.0)) * 0.8


def _coronal_tilts(spec: TorsoSpec, names: list[str]) -> tuple[Vector, Vector]:
    """Sideways tilt and axial turn of each vertebra in a scoliosis; the largest tilts differ by the Cobb angle."""
    apex = names.index(spec.scoliosis_apex) if spec.scoliosis_apex in names else names.index("L1")
    n = np.arange(len(names), dtype=np.float64) - apex
    wave = np.sin(np.pi * n / 5.0) * np.exp(-((n / 6.0) ** 2))
    wave = wave / np.abs(wave).max()
    return spec.scoliosis_cobb_deg / 2.0 * wave, 0.35 * spec.scoliosis_cobb_deg * np.exp(-((n / 3.0) ** 2))


def density_of(spec: TorsoSpec, level: str) -> float:
    """Trabecular density of a level in mg/cm³ K2HPO4."""
    base = usual_density(spec.sex, spec.age_years) if spec.vbmd_mg_cm3 is None else spec.vbmd_mg_cm3
    usual = float(spec.vbmd_by_level.get(level, base * DENSITY_RELATIVE_TO_L1[level]))
    factor, gain = DIFFUSE.get(spec.lesions.get(level, ""), (1.0, 0.0))
    return factor * usual + gain


def build(spec: TorsoSpec) -> tuple[Body, ...]:
    """The patient's vertebrae, head to foot, C7 to S5."""
    rng = np.random.default_rng([spec.seed, 1])
    levels = individual_levels(spec, rng)
    names = [level.name for level in levels]
    sideways, turn = _coronal_tilts(spec, names)
    bodies: list[Body] = []
    for n, level in enumerate(levels):
        fracture = spec.fractures.get(level.name)
        lumbar = float(np.clip((level.label - 12) / 9.0, 0.0, 1.0)) if level.name[0] in "CTL" else 0.2
        thin = 1.0 + 0.5 * float(np.clip((110.0 - density_of(spec, "L1")) / 70.0, 0.0, 1.0))
        dish = (
            float(rng.uniform(0.7, 1.3)) * (0.7 + 0.9 * lumbar) * thin,
            float(rng.uniform(0.7, 1.3)) * (0.8 + 1.3 * lumbar) * thin,
        )
        lips, sclerosis, vacuum = _wear(spec, level, rng)
        bodies.append(
            Body(
                level=level,
                centre=np.zeros(3),
                axes=rotation(-level.tilt, 0.0, 0.0).T @ rotation(0.0, sideways[n], turn[n]).T,
                outline=_outline(level, rng),
                waist=float(rng.uniform(0.06, 0.10)) * (1.0 + max(spec.age_years - 50, 0) / 50.0)
                if level.name[0] in "CTL"
                else 0.03,
                concavity=dish,
                fracture=fracture,
                rho=density_of(spec, level.name),
                texture_seed=int(rng.integers(1 << 30)),
                lips=lips,
                sclerosis=sclerosis,
                vacuum=vacuum,
                mottle=DIFFUSE_MOTTLE if spec.lesions.get(level.name, "") in DIFFUSE else 1.0,
                cortex=spec.cortex,
            )
        )
    return _stack(bodies, names.index("L1"))


def _stack(bodies: list[Body], origin: int) -> tuple[Body, ...]:
    """Lay the vertebrae on each other with their discs between, the origin's at zero but for the sacrum at x = 0."""
    centres = [np.zeros(3) for _ in bodies]

    def step(upper: Body, lower: Body) -> Vector:
        across = upper.axes[2] + lower.axes[2]
        across = across / np.linalg.norm(across)
        below, above = _reach(upper)[1], _reach(lower)[0]
        out: Vector = upper.axes[2] * below + across * upper.level.disc + lower.axes[2] * above
        return out

    for n in range(origin - 1, -1, -1):
        centres[n] = centres[n + 1] + step(bodies[n], bodies[n + 1])
    for n in range(origin + 1, len(bodies)):
        centres[n] = centres[n - 1] - step(bodies[n - 1], bodies[n])
    sacrum = next(n for n, body in enumerate(bodies) if body.level.name == "S1")
    middle = np.array([centres[sacrum][0], 0.0, 0.0])
    return tuple(replace(body, centre=centre - middle) for body, centre in zip(bodies, centres, strict=True))


def _reach(body: Body) -> tuple[float, float]:
    """How far the endplate rims lie above and below the middle (mean of front and back)."""
    v = np.array(body.corners)
    top, bottom = body.endplates(np.zeros(2), v)
    return float(top.mean()), float(-bottom.mean())
