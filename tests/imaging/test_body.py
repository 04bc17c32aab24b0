"""What is patient in a scan, and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from node.domain.phantom import PhantomModel
from node.domain.volume import OUTSIDE_FIELD_HU, SourceImage, Volume
from node.errors import UnsuitableSeries
from node.imaging import body
from node.imaging.grid import block_mean
from tests.imaging.phantom.models import shipped_models
from tests.imaging.phantom.scenes import Pose, Recipe, Scanner, Scene, Slab, build

MINDWAYS = shipped_models()["mindways-model3-4541a"]
SCANNER = Scanner(matrix=200, pixel_mm=2.0, spacing_mm=3.0, slices=40, noise_hu=10.0)


def recipe(model: PhantomModel | None = MINDWAYS, **changes: object) -> Recipe:
    return replace(Recipe(model, SCANNER, slab=Slab(pitch=44.0), arms=False, seed=3), **changes)  # type: ignore[arg-type]


def coarse_truth(scene: Scene, like: Volume) -> NDArray[np.float64]:
    """Part of each coarse voxel that is patient."""
    whole = replace(scene.volume, hu=(1000 * scene.patient).astype(np.int16))
    part: NDArray[np.float64] = block_mean(whole, body.COARSE_SPACING_MM).hu / 1000.0
    assert part.shape == like.hu.shape
    return part


def overlap(scene: Scene, position: str | None = "HFS") -> tuple[float, float]:
    """Part of the patient that is missed, and what is wrongly called patient as a part of it."""
    found = body.separate(scene.volume, position)
    part = coarse_truth(scene, found.coarse)
    inside = part > 0.5
    return float((inside & ~found.patient).sum() / inside.sum()), float(
        (found.patient & (part == 0)).sum() / inside.sum()
    )


@pytest.mark.parametrize(
    "pose",
    [Pose(gap=4.0), Pose(gap=0.0), Pose(gap=-4.0), Pose(gap=0.0, roll=6.0), Pose(prone=True, gap=-2.0)],
    ids=["beside", "touching", "pressed", "rolled", "prone"],
)
def test_the_phantom_never_enters_the_patient(pose: Pose) -> None:
    missed, leaked = overlap(build(recipe(pose=pose)), "HFP" if pose.prone else "HFS")

    assert missed < 0.01
    assert leaked < 0.01


def test_a_pad_on_the_phantom_is_not_patient() -> None:
    missed, leaked = overlap(build(recipe(pad_mm=10.0, pose=Pose(gap=-3.0))))

    assert missed < 0.015
    assert leaked < 0.01


def test_couch_mattress_and_tubes_are_not_patient() -> None:
    missed, leaked = overlap(build(recipe(None)))

    assert missed < 0.01
    assert leaked < 0.005


@pytest.mark.parametrize("padding", [OUTSIDE_FIELD_HU, -1024])
def test_a_patient_wider_than_the_scan_field_is_followed_to_its_edge(padding: int) -> None:
    scanner = replace(SCANNER, matrix=140, padding_hu=padding)
    missed, leaked = overlap(build(recipe(None, scanner=scanner)))

    assert missed < 0.02
    assert leaked < 0.02


def chest(open_to_edge: bool) -> Volume:
    """A thorax of fat with two lungs; ``open_to_edge`` cuts the left side off through the lung."""
    y, x = np.mgrid[-80:80, -110:110] * 2.0
    plane = np.full(y.shape, -1000.0)
    plane[(y / 120) ** 2 + (x / 170) ** 2 < 1] = 0.0
    for side in (-1, 1):
        plane[(y / 75) ** 2 + ((x - 75 * side) / 60) ** 2 < 1] = -820.0
    if open_to_edge:
        plane = plane[:, :150]
    hu = np.repeat(plane[None].astype(np.int16), 20, axis=0)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2], [0, 2, 0], [3, 0, 0]])
    return Volume(hu, affine, "1.2", tuple(SourceImage("1", str(k)) for k in range(20)))


@pytest.mark.parametrize("open_to_edge", [False, True])
def test_lungs_belong_to_the_patient_even_cut_by_the_scan_field(open_to_edge: bool) -> None:
    volume = chest(open_to_edge)
    found = body.separate(volume, "HFS")
    lung = found.coarse.hu == -820

    assert found.patient[lung].mean() > 0.99


def test_air_outside_is_never_patient() -> None:
    found = body.separate(chest(open_to_edge=False), "HFS")

    assert not found.patient[found.coarse.hu < -950].any()


@pytest.mark.parametrize(
    ("position", "side"),
    [
        ("HFS", "posterior"),
        ("FFS", "posterior"),
        ("HFP", "anterior"),
        ("HFDR", "right"),
        ("FFDL", "left"),
        (None, None),
    ],
)
def test_the_couch_lies_where_patient_position_says(position: str | None, side: str | None) -> None:
    assert body.couch_side_of(position) == side


@pytest.mark.parametrize(("prone", "side"), [(False, "posterior"), (True, "anterior")])
def test_without_a_position_the_couch_is_seen(prone: bool, side: str) -> None:
    scene = build(recipe(pose=Pose(prone=prone)))

    assert body.separate(scene.volume, None).couch_side == side


def test_a_scan_of_air_holds_no_patient() -> None:
    empty = replace(chest(False), hu=np.full((20, 160, 220), -1000, dtype=np.int16))

    with pytest.raises(UnsuitableSeries, match="no patient"):
        body.separate(empty, "HFS")


def test_block_means_ignore_what_was_not_reconstructed() -> None:
    hu = np.full((4, 4, 4), 100, dtype=np.int16)
    hu[:2, :2, :2] = OUTSIDE_FIELD_HU
    hu[2, 2, 2] = OUTSIDE_FIELD_HU
    coarse = block_mean(replace(chest(False), hu=hu, sources=chest(False).sources[:4], affine_lps_mm=np.eye(4)), 2.0)

    assert coarse.hu[0, 0, 0] == OUTSIDE_FIELD_HU
    assert coarse.hu[1, 1, 1] == 100


def test_block_means_keep_the_place_of_every_point() -> None:
    volume = chest(False)
    coarse = block_mean(volume, 4.0)
    corner_of_block = (np.array(volume.spacing_mm) / np.array(coarse.spacing_mm) - 1) / 2

    np.testing.assert_allclose(coarse.lps_mm(corner_of_block), volume.lps_mm([0, 0, 0]), atol=1e-9)
