"""Random scans of a trunk over a calibration phantom, with known truth: small, fast and ugly on purpose.

Not anatomy: a wobbling ellipse with fat, organs, gas, a bony column, arms and a couch, so that everything that a
rod finder may confuse is there. Everything is drawn plane by plane with soft edges (the point spread function).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, radians, sin, tan

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from node.domain.phantom import PhantomModel
from node.domain.volume import SourceImage, Volume
from tests.imaging.phantom.props import Prop

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Scanner:
    """How densities become HU, and how HU become an image."""

    sigma_ref: float = 1.62
    offset_hu: float = 0.0
    noise_hu: float = 15.0
    psf_mm: float = 0.7
    pixel_mm: float = 1.6
    matrix: int = 256
    spacing_mm: float = 2.5
    slices: int = 90
    drift_hu: float = 0.0
    """Slow rise of all HU from the first slice to the last."""
    ha_per_k2hpo4: float = 0.98
    padding_hu: int | None = None
    """Written outside the circular field; None writes what is there."""
    sharp: bool = False
    """A kernel that overshoots at edges and whose noise has no low frequencies."""


@dataclass(frozen=True)
class Pose:
    """Where the slab lies; angles in degrees, offsets in mm."""

    roll: float = 0.0
    yaw: float = 0.0
    tilt: float = 0.0
    shift_left: float = 0.0
    gap: float = 4.0
    """Between skin (or pad) and slab; negative presses the back flat."""
    mirrored: bool = False
    upside_down: bool = False
    prone: bool = False
    z_from: float = -1000.0
    z_to: float = 1000.0
    """Where the slab begins and ends, from the centre of the scan."""


@dataclass(frozen=True)
class Slab:
    """The geometry that a catalogue may not know."""

    radius: float = 9.5
    pitch: float = 44.0
    thickness: float = 32.0
    margin: float = 32.0
    """From the centre of the outer rods to the end of the slab."""
    base_hu: float = 15.0
    bevel: float = 0.0
    """How far its lower face is narrower than its upper one, at either end."""
    sag: float = 0.0
    """How far it bends down between the ends and the middle of the scan."""
    arc_radius: float | None = None
    """Of a slab that is curved about the patient, with its rods on the arc."""
    board_hu: float | None = None
    """A flat board of 12 mm below it, touching."""


@dataclass(frozen=True)
class Recipe:
    """One scene. ``phantom`` None: none is there."""

    phantom: PhantomModel | None
    scanner: Scanner = field(default_factory=Scanner)
    pose: Pose = field(default_factory=Pose)
    slab: Slab = field(default_factory=Slab)
    pad_mm: float = 0.0
    body_half_mm: tuple[float, float] = (105.0, 160.0)
    """(antero-posterior, left-right)."""
    centre_mm: tuple[float, float] = (-20.0, 0.0)
    arms: bool = True
    tubes: bool = True
    bubbles: bool = False
    couch: bool = True
    props: tuple[Prop, ...] = ()
    seed: int = 1


@dataclass(frozen=True)
class Scene:
    """The scan and its truth."""

    volume: Volume
    patient: NDArray[np.bool_]
    """Shape of the volume."""
    slab: NDArray[np.bool_]
    """The phantom, shape of the volume."""
    rod_hu: tuple[float, ...]
    """In the order of the model's rods, at the middle of the scan."""
    sigma_ct: float
    beta_ct: float
    start_lps_mm: NDArray[np.float64]
    """(rods, 3): rod axes at the slab's first and last plane."""
    end_lps_mm: NDArray[np.float64]

    def rod_lps_mm(self, rod: int, z_mm: float) -> NDArray[np.float64]:
        """Centre of a rod in the plane z."""
        start, end = self.start_lps_mm[rod], self.end_lps_mm[rod]
        point: NDArray[np.float64] = start + (end - start) * (z_mm - start[2]) / (end[2] - start[2])
        return point


def rod_truth(model: PhantomModel, scanner: Scanner) -> tuple[list[float], float, float]:
    """Return rod HU, sigma_ct and beta_ct of a model on a scanner."""
    sigma_ct = scanner.sigma_ref - 0.2174
    if model.material == "K2HPO4":
        hu = [
            float(rod.water_density_mg_cm3 or 0.0) + scanner.sigma_ref * rod.density_mg_cm3 - 999.6 + scanner.offset_hu
            for rod in model.rods
        ]
        return hu, sigma_ct, scanner.offset_hu
    slope = scanner.ha_per_k2hpo4 * sigma_ct
    return [slope * rod.density_mg_cm3 + scanner.offset_hu for rod in model.rods], slope, scanner.offset_hu


def build(recipe: Recipe) -> Scene:
    """Draw the scene."""
    rng = np.random.default_rng(recipe.seed)
    scanner = recipe.scanner
    nk, n = scanner.slices, scanner.matrix
    grid = (np.arange(n) - (n - 1) / 2) * scanner.pixel_mm
    y, x = grid[:, None], grid[None, :]
    z = (np.arange(nk) - (nk - 1) / 2) * scanner.spacing_mm
    hu = np.empty((nk, n, n), dtype=np.float32)
    patient, slab = np.empty((nk, n, n), dtype=bool), np.zeros((nk, n, n), dtype=bool)
    body = _Body(recipe, rng)
    bench = _Bench(recipe)
    for k, height in enumerate(z):
        plane = np.full((n, n), -1000.0)
        slab[k] = bench.draw(plane, y, x, height, scanner.psf_mm)
        patient[k] = body.draw(plane, y, x, height, scanner.psf_mm)
        hu[k] = plane + scanner.drift_hu * (k / max(nk - 1, 1) - 0.5)
    if scanner.sharp:
        hu += 0.7 * (hu - ndimage.gaussian_filter(hu, (0, 1.0, 1.0), truncate=3))
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, (0, 0.6, 0.6), truncate=3)
    if scanner.sharp:
        noise -= ndimage.gaussian_filter(noise, (0, 1.5, 1.5), truncate=3)
    hu += noise * (scanner.noise_hu / noise.std())
    stored = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    if scanner.padding_hu is not None:
        outside = np.broadcast_to(y**2 + x**2 > (n * scanner.pixel_mm / 2) ** 2, stored.shape)
        stored[outside] = scanner.padding_hu
        patient &= ~outside
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * [
        scanner.spacing_mm,
        scanner.pixel_mm,
        scanner.pixel_mm,
    ]
    affine[:3, 3] = (grid[0], grid[0], z[0])
    volume = Volume(stored, affine, "1.2.3", tuple(SourceImage("1.2", f"1.2.{k}") for k in range(nk)))
    start, end = bench.axes(float(z[0]), float(z[-1]))
    rods, sigma, beta = rod_truth(recipe.phantom, scanner) if recipe.phantom else ([], 0.0, 0.0)
    return Scene(volume, patient, slab & ~patient, tuple(rods), sigma, beta, start, end)


def _blend(plane: Plane, inside_mm: Plane, hu: float, psf: float) -> None:
    """Paint where the signed distance to the edge is positive, with a soft edge."""
    touched = inside_mm > -4 * psf
    if not touched.any():
        return
    distance = inside_mm[touched]
    cover = np.ones_like(distance)
    edge = distance < 4 * psf
    cover[edge] = ndtr(distance[edge] / psf)
    before = plane[touched]
    plane[touched] = before + cover * (hu - before)


class _Body:
    """A trunk that changes along z."""

    def __init__(self, recipe: Recipe, rng: np.random.Generator) -> None:
        self.recipe = recipe
        self.organs = [
            (
                rng.uniform(-0.7, 0.5),
                rng.uniform(-0.7, 0.7),
                rng.uniform(-1, 1),
                rng.uniform(10, 45, size=3),
                rng.choice([-900.0, 10.0, 35.0, 60.0, 120.0, 160.0], p=[0.15, 0.15, 0.25, 0.25, 0.1, 0.1]),
            )
            for _ in range(26)
        ]
        self.wobble = rng.uniform(0, 6.28, size=4)
        self.length = recipe.scanner.slices * recipe.scanner.spacing_mm / 2

    def draw(self, plane: Plane, y: Plane, x: Plane, z: float, psf: float) -> NDArray[np.bool_]:
        recipe, w = self.recipe, self.wobble
        flip = -1.0 if recipe.pose.prone else 1.0
        a = recipe.body_half_mm[0] * (1 + 0.05 * sin(z / 60 + w[0]))
        b = recipe.body_half_mm[1] * (1 + 0.07 * sin(z / 75 + w[1]))
        cy, cx = recipe.centre_mm[0] * flip, recipe.centre_mm[1] + 3 * sin(z / 90 + w[2])
        v, u = flip * (y - cy), x - cx
        rho = np.sqrt((v / a) ** 2 + (u / b) ** 2) + 1e-6
        inside = (1 - rho) * a * b / np.sqrt((b * v / (a * rho)) ** 2 + (a * u / (b * rho)) ** 2 + 1e-6) * rho
        flat = recipe.body_half_mm[0] - 6
        skin = np.minimum(inside, flat - v)
        _blend(plane, skin, 30.0, psf)
        _blend(plane, skin - 2, -100.0, psf)
        muscle = np.minimum(inside - 16 - 5 * np.cos(2 * np.arctan2(u, v)), flat - v - 12)
        _blend(plane, muscle, 52.0, psf)
        _blend(plane, muscle - 22, -95.0, psf)
        for oy, ox, oz, half, value in self.organs:
            depth = 1 - ((z - oz * self.length) / half[0]) ** 2
            if depth > 0:
                r = np.sqrt(((v - oy * a * 0.7) / half[1]) ** 2 + ((u - ox * b * 0.7) / half[2]) ** 2)
                _blend(plane, np.minimum((depth**0.5 - r) * min(half[1:]), muscle - 24), value, psf)
        self._spine(plane, v - (flat - 84), u, z, psf)
        for sy, su, r, value in ((flat - 122, -14, 9, 42.0), (flat - 124, 14, 10, 45.0)):
            _blend(plane, r - np.hypot(v - sy, u - su - 4 * sin(z / 50)), value, psf)
        if recipe.arms:
            for side in (-1, 1):
                d = np.hypot(v - 10 - 0.05 * z, u - side * (b + 48))
                _blend(plane, 34 - d, -80.0, psf)
                _blend(plane, 30 - d, 55.0, psf)
                _blend(plane, 11 - d, 900.0, psf)
                _blend(plane, 6 - d, -60.0, psf)
        body: NDArray[np.bool_] = skin > 0
        return body

    @staticmethod
    def _spine(plane: Plane, v: Plane, u: Plane, z: float, psf: float) -> None:
        phase = (z / 34.0) % 1.0
        disc = phase < 0.25
        d = 22 - np.sqrt(v**2 + (0.75 * u) ** 2)
        _blend(plane, d, 85.0 if disc else 480.0, psf)
        if not disc:
            _blend(plane, d - 2, 150.0, psf)
        canal = 9 - np.hypot(v - 30, u)
        _blend(plane, canal + 4, 450.0 if not disc else 40.0, psf)
        _blend(plane, canal, 25.0, psf)
        if not disc:
            _blend(plane, np.minimum(3.0 - np.abs(u), 14 - np.abs(v - 50)), 500.0, psf)


class _Bench:
    """Couch, mattress, pad, tubes and the phantom: everything that does not change along z."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        pose, slab = recipe.pose, recipe.slab
        self.side = -1.0 if pose.prone else 1.0
        count = len(recipe.phantom.rods) if recipe.phantom else 0
        self.offsets = (np.arange(count) - (count - 1) / 2) * slab.pitch
        self.half_width = (count - 1) / 2 * slab.pitch + slab.margin
        back = recipe.centre_mm[0] + recipe.body_half_mm[0] - 6
        self.pad_from = back + pose.gap
        lift = 0.0 if slab.arc_radius is None else float(self.half_width**2 / (2 * slab.arc_radius))
        lift += abs(sin(radians(pose.roll))) * min(self.half_width, 70)
        lift += abs(tan(radians(pose.tilt))) * recipe.scanner.slices * recipe.scanner.spacing_mm / 2
        self.top = self.pad_from + recipe.pad_mm + lift
        self.centre = (self.side * (self.top + slab.thickness / 2), pose.shift_left)
        self.below = self.top + slab.thickness + 3 + abs(sin(radians(pose.roll))) * self.half_width
        order = self.offsets * (-1 if pose.mirrored != (pose.upside_down) else 1)
        self.rod_offsets = order
        self.rod_hu = rod_truth(recipe.phantom, recipe.scanner)[0] if recipe.phantom else []

    def axes(self, z_from: float, z_to: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Straight: the truth of a sagging slab is right at its ends alone."""
        ends = []
        for z in (z_from, z_to):
            cy, cx, c, s = self._frame(z)
            bend = self._arc(self.rod_offsets)
            ends.append(
                np.array(
                    [[cx + o * c + b * s, cy + o * s - b * c, z] for o, b in zip(self.rod_offsets, bend, strict=True)]
                ).reshape(-1, 3)
            )
        return ends[0], ends[1]

    def _frame(self, z: float) -> tuple[float, float, float, float]:
        pose = self.recipe.pose
        half = self.recipe.scanner.slices * self.recipe.scanner.spacing_mm / 2
        bend = self.side * self.recipe.slab.sag * (1 - (z / half) ** 2)
        cy = self.centre[0] + z * tan(radians(pose.tilt)) + bend
        cx = self.centre[1] + z * tan(radians(pose.yaw))
        return cy, cx, cos(radians(pose.roll)), sin(radians(pose.roll))

    def draw(self, plane: Plane, y: Plane, x: Plane, z: float, psf: float) -> NDArray[np.bool_]:
        """Paint everything and return which voxels are the phantom."""
        recipe, slab, pose = self.recipe, self.recipe.slab, self.recipe.pose
        v = self.side * y
        if recipe.couch:
            arc = self.below + 6 - x**2 / 2500.0
            _blend(plane, np.minimum(12 - np.abs(v - arc + 14), 230 - np.abs(x)), -920.0, psf)
            _blend(plane, np.minimum(1.2 - np.abs(v - arc), 240 - np.abs(x)), 180.0, psf)
            _blend(plane, np.minimum(1.2 - np.abs(v - arc - 40), 200 - np.abs(x)), 180.0, psf)
        if recipe.pad_mm:
            middle = self.pad_from + recipe.pad_mm / 2
            _blend(plane, np.minimum(recipe.pad_mm / 2 - np.abs(v - middle), 155 - np.abs(x)), 20.0, psf)
        if recipe.tubes:
            for tx, r, value in ((-150.0, 3.5, 10.0), (-135.0, 3.0, 60.0), (150.0, 2.0, 800.0), (168.0, 5.0, 5.0)):
                d = np.hypot(v - self.top - 8 - 0.03 * z, x - tx)
                _blend(plane, r + 1 - d, 100.0, psf)
                _blend(plane, r - d, value, psf)
        for prop in recipe.props:
            prop.draw(plane, v - self.pad_from, x, z, lambda p, inside, hu: _blend(p, inside, hu, psf))
        if recipe.phantom is None or not pose.z_from <= z <= pose.z_to:
            return np.zeros(plane.shape, dtype=bool)
        cy, cx, c, s = self._frame(z)
        along, across = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
        across = across + self._arc(along)
        bevel = slab.bevel * (0.5 + self.side * across / slab.thickness)
        box = np.minimum(self.half_width - np.abs(along) - bevel, slab.thickness / 2 - np.abs(across))
        if slab.board_hu is not None:
            below = self.side * across - slab.thickness / 2
            _blend(plane, np.minimum(6 - np.abs(below - 6), 220 - np.abs(along)), slab.board_hu, psf)
        _blend(plane, box, slab.base_hu, psf)
        for index, (offset, value) in enumerate(zip(self.rod_offsets, self.rod_hu, strict=True)):
            d = np.hypot(along - offset, across)
            _blend(plane, np.minimum(slab.radius - d, box), value, psf)
            if recipe.bubbles and index == len(self.rod_hu) // 2 and abs(z) < 8:
                _blend(plane, 3.5 - np.hypot(along - offset, across + slab.radius - 4), -900.0, psf)
        held: NDArray[np.bool_] = box > 0
        return held

    def _arc(self, along: Plane) -> Plane:
        """How far a curved slab lies off its tangent: toward the patient at either end."""
        radius = self.recipe.slab.arc_radius
        return along * 0.0 if radius is None else self.side * along**2 / (2 * radius)
