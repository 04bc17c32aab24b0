"""Contrast medium is seen in the image, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.spine import Frame, Heights, Vertebra
from node.domain.volume import Mask, SourceImage, Volume
from node.imaging.body import Scene
from node.imaging.confounders import contrast
from node.imaging.confounders.contrast import Enhancement

STEP = 3.0
LEVELS = ("T12", "L1", "L2", "L3")
THRESHOLD = 90.0
NONE = Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))


class Trunk:
    """Muscle and fat on a grid of 3 mm; four bodies 33 mm apart, their front walls at y = -16."""

    def __init__(self, noise_hu: float = 0.0, seed: int = 1) -> None:
        self.z, self.y, self.x = np.meshgrid(
            np.arange(0.0, 160.0, STEP), np.arange(-110.0, 90.0, STEP), np.arange(-150.0, 150.0, STEP), indexing="ij"
        )
        inside = (self.x / 145.0) ** 2 + ((self.y + 10) / 98.0) ** 2 <= 1.0
        self.hu = np.where(inside, -95.0, -1000.0)
        self.inside = inside
        self.paint(np.hypot(self.x / 24.0, self.y / 16.0) <= 1.0, 150.0)
        for side in (-1.0, 1.0):
            self.paint(np.hypot(self.x - side * 40.0, self.y - 5.0) <= 18.0, 58.0)
        self.noise = noise_hu * np.random.default_rng(seed).standard_normal(self.hu.shape)

    def paint(self, where: np.ndarray, hu: float) -> None:
        self.hu[where & self.inside] = hu

    def tube(self, x: float, y: float, radius: float, hu: float) -> None:
        self.paint(np.hypot(self.x - x, self.y - y) <= radius, hu)

    def ball(self, x: float, y: float, z: float, radius: float, hu: float) -> None:
        self.paint((self.x - x) ** 2 + (self.y - y) ** 2 + ((self.z - z) / 2) ** 2 <= radius**2, hu)

    def kidneys(self, hu: float) -> None:
        for side in (-1.0, 1.0):
            self.ball(side * 65.0, 10.0, 80.0, 24.0, hu)

    def seen(self, levels: tuple[str, ...] = LEVELS) -> Enhancement:
        affine = np.zeros((4, 4))
        affine[2, 0] = affine[1, 1] = affine[0, 2] = STEP
        affine[3, 3] = 1.0
        affine[:3, 3] = -150.0, -110.0, 0.0
        hu = np.rint(self.hu + self.noise).astype(np.int16)
        sources = tuple(SourceImage("1.2", f"2.25.{n + 1}") for n in range(len(hu)))
        return contrast.seen(Scene(Volume(hu, affine, "2.25.1", sources), self.inside, None), vertebrae(levels))


def vertebrae(levels: tuple[str, ...]) -> list[Vertebra]:
    made = []
    for n, level in enumerate(levels):
        z = 130.0 - 33.0 * n
        point = (0.0, -16.0, z)
        heights = Heights(25.0, 24.0, 25.0, (point,) * 6)
        made.append(Vertebra(level, 1.0, True, Frame(np.array([0.0, 0.0, z]), *np.eye(3)), NONE, heights, None))
    return made


@pytest.fixture
def trunk() -> Trunk:
    return Trunk()


def native(trunk: Trunk) -> Trunk:
    trunk.tube(8.0, -30.0, 10.0, 42.0)
    trunk.kidneys(34.0)
    return trunk


def test_native_blood_is_not_contrast_medium(trunk: Trunk) -> None:
    seen = native(trunk).seen()
    assert (seen.contrast(THRESHOLD), seen.aorta_hu) == (False, pytest.approx(42.0, abs=2.0))


def test_a_bright_aorta_and_bright_kidneys_are(trunk: Trunk) -> None:
    trunk.tube(8.0, -30.0, 10.0, 150.0)
    trunk.kidneys(180.0)
    assert trunk.seen().contrast(THRESHOLD)


def test_noise_does_not_hide_it() -> None:
    trunk = Trunk(noise_hu=25.0)
    trunk.tube(8.0, -30.0, 9.0, 150.0)
    assert trunk.seen().contrast(THRESHOLD)


def test_noise_does_not_feign_it() -> None:
    assert not native(Trunk(noise_hu=35.0)).seen().contrast(THRESHOLD)


def test_a_wide_aneurysm_is_seen(trunk: Trunk) -> None:
    trunk.tube(5.0, -50.0, 33.0, 45.0)
    trunk.tube(5.0, -42.0, 22.0, 170.0)
    assert trunk.seen().contrast(THRESHOLD)


def test_a_calcified_wall_of_a_native_aorta_is_not_contrast_medium(trunk: Trunk) -> None:
    trunk.tube(8.0, -30.0, 12.0, 500.0)
    trunk.tube(8.0, -30.0, 9.0, 42.0)
    assert not trunk.seen().contrast(THRESHOLD)


def test_bone_that_bridges_the_front_walls_is_not(trunk: Trunk) -> None:
    native(trunk)
    rng = np.random.default_rng(4)
    bridge = (np.abs(trunk.x - 6.0) <= 12.0) & (trunk.y <= -14.0) & (trunk.y >= -26.0)
    trunk.hu[bridge] = rng.choice([120.0, 250.0, 500.0, 650.0], size=int(bridge.sum()))
    assert not trunk.seen().contrast(THRESHOLD)


def test_bowel_with_oral_contrast_medium_in_front_is_not(trunk: Trunk) -> None:
    native(trunk)
    trunk.tube(10.0, -75.0, 14.0, 300.0)
    trunk.ball(-50.0, -60.0, 80.0, 25.0, 300.0)
    assert not trunk.seen().contrast(THRESHOLD)


def test_dense_bone_is_not(trunk: Trunk) -> None:
    native(trunk)
    trunk.paint(np.hypot(trunk.x / 24.0, trunk.y / 16.0) <= 1.0, 280.0)
    assert not trunk.seen().contrast(THRESHOLD)


def test_one_level_alone_does_not_decide(trunk: Trunk) -> None:
    native(trunk)
    trunk.ball(8.0, -30.0, 97.0, 11.0, 200.0)
    assert not trunk.seen().contrast(THRESHOLD)


def test_late_blood_counts_with_bright_kidneys_only(trunk: Trunk) -> None:
    trunk.tube(8.0, -30.0, 10.0, 80.0)
    trunk.kidneys(34.0)
    before = trunk.seen().contrast(THRESHOLD)
    trunk.kidneys(140.0)
    assert (before, trunk.seen().contrast(THRESHOLD)) == (False, True)


def test_nothing_in_front_of_the_spine_is_nothing_seen(trunk: Trunk) -> None:
    seen = trunk.seen()
    assert not seen.contrast(THRESHOLD)


def test_the_arterial_phase_is_told_from_the_venous() -> None:
    venous = Enhancement(150.0, None)
    assert (venous.arterial, replace(venous, aorta_hu=300.0).arterial) == (False, True)
