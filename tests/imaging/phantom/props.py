"""Things beside the patient that a rod finder may confuse with a phantom, and metal with its streaks.

Each draws itself into an axial plane by its HU; lengths in mm, ``v`` downward from the underside of the patient, ``x``
to the left, ``z`` along the scan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Blend = Callable[[Plane, Plane, float], None]
"""Paints HU where the signed distance to an edge is positive."""


class Prop(Protocol):
    """Something that lies on the couch."""

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None: ...


@dataclass(frozen=True)
class Sandbag:
    """A sack of quartz sand: lumpy, dense, round at its ends."""

    at_x: float
    at_v: float = 14.0
    half: tuple[float, float] = (14.0, 55.0)
    hu: float = 850.0

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None:
        r = np.sqrt(((v - self.at_v) / self.half[0]) ** 2 + ((x - self.at_x) / self.half[1]) ** 2)
        inside = (1 - r) * self.half[0]
        blend(plane, inside + 2, -80.0)
        grain = 60.0 * np.sin(0.9 * v + 0.31 * z) * np.cos(0.7 * x - 0.23 * z)
        blend(plane, inside, self.hu)
        plane += np.where(inside > 0, grain, 0.0)


@dataclass(frozen=True)
class Cushion:
    """Foam in a vinyl cover: a head rest, a wedge, a knee roll."""

    at_x: float
    at_v: float
    half: tuple[float, float]
    foam_hu: float = -940.0
    cover_hu: float = 60.0

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None:
        box = np.minimum(self.half[0] - np.abs(v - self.at_v), self.half[1] - np.abs(x - self.at_x))
        blend(plane, box + 1.5, self.cover_hu)
        blend(plane, box, self.foam_hu)


@dataclass(frozen=True)
class Rails:
    """Parallel solid tubes along the couch, hollow or not, in no plate."""

    at_v: float
    places: tuple[float, ...]
    radius: float = 7.0
    hu: float = 260.0
    core_hu: float | None = None

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None:
        for place in self.places:
            d = np.hypot(v - self.at_v, x - place)
            blend(plane, self.radius - d, self.hu)
            if self.core_hu is not None:
                blend(plane, self.radius - 2.5 - d, self.core_hu)


@dataclass(frozen=True)
class Insert:
    """The section of a QA phantom: a thick plate with one or two dense cylinders, 40 mm long."""

    at_z: float
    at_v: float = 34.0
    places: tuple[float, ...] = (0.0,)
    radius: float = 16.0
    hu: float = 140.0
    length: float = 40.0

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None:
        if abs(z - self.at_z) > self.length / 2:
            return
        blend(plane, np.minimum(32.0 - np.abs(v - self.at_v), 120.0 - np.abs(x)), 0.0)
        for place in self.places:
            blend(plane, self.radius - np.hypot(v - self.at_v, x - place), self.hu)


@dataclass(frozen=True)
class Wires:
    """Leads and a drip line that wander across the couch."""

    at_x: tuple[float, ...]
    hu: float = 2500.0
    radius: float = 1.2
    drift: float = 0.25

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None:
        for n, at in enumerate(self.at_x):
            d = np.hypot(v + 3 - 2 * np.sin(z / 40 + n), x - at - self.drift * z)
            blend(plane, self.radius + 1.0 - d, 100.0)
            blend(plane, self.radius - d, self.hu)


@dataclass(frozen=True)
class Metal:
    """A piece of metal, with dark and bright streaks in its planes."""

    at_x: float
    at_v: float
    z_from: float
    z_to: float
    radius: float = 4.0
    streak_hu: float = 60.0

    def draw(self, plane: Plane, v: Plane, x: Plane, z: float, blend: Blend) -> None:
        if not self.z_from <= z <= self.z_to:
            return
        dv, dx = v - self.at_v, x - self.at_x
        r = np.hypot(dv, dx)
        angle = np.arctan2(dv, dx)
        plane += np.where(plane > -300, self.streak_hu * np.cos(8 * angle) * np.exp(-r / 120.0), 0.0)
        blend(plane, self.radius - r, 3071.0)
