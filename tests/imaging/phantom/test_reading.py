"""What is read of a rod, and what is left out and counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.phantom import PhantomFit
from node.errors import PhantomOutOfField
from tests.imaging.phantom.props import Metal
from tests.imaging.phantom.scenes import Pose, Scene, Slab, build
from tests.imaging.phantom.test_finding import BMAS, MODELS, find, recipe


def worst_mm(scene: Scene, found: PhantomFit) -> float:
    """The largest distance of a rod's centre from its axis, over all slices."""
    off = [
        np.linalg.norm(centre - scene.rod_lps_mm(index, float(centre[2])))
        for index, rod in enumerate(found.rods)
        for centre in rod.slice_centres_lps_mm
    ]
    return float(max(off))


def test_rods_of_a_sagging_slab_are_followed() -> None:
    scene = build(recipe(BMAS, slab=Slab(base_hu=30.0, sag=4.0)))

    assert worst_mm(scene, find(scene)) < 0.6


def test_rods_on_an_arc_are_found() -> None:
    scene = build(recipe(MODELS["mindways-model3-4541a"], slab=Slab(arc_radius=700.0)))
    found = find(scene)

    assert worst_mm(scene, found) < 0.6
    assert max(abs(rod.hu_mean - true) for rod, true in zip(found.rods, scene.rod_hu, strict=True)) < 1.0


def test_a_whole_rod_leaves_no_slice_out() -> None:
    assert [rod.slices_excluded for rod in find(build(recipe(BMAS, slab=Slab(base_hu=30.0)))).rods] == [0] * 5


def test_slices_with_streaks_of_metal_are_left_out_and_counted() -> None:
    metal = Metal(20.0, -60.0, -9.0, 9.0, streak_hu=150.0)
    scene = build(recipe(BMAS, slab=Slab(base_hu=30.0), props=(metal,)))
    found = find(scene)
    middle = [rod for rod in found.rods if rod.slices_excluded]

    assert middle
    for rod, true in zip(found.rods, scene.rod_hu, strict=True):
        assert abs(rod.hu_mean - true) < 1.5
        assert rod.slices_excluded + len(rod.slice_hu_mean) == scene.volume.hu.shape[0]


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_rod_that_does_not_show_is_read_where_it_lies(mirrored: bool) -> None:
    scene = build(recipe(MODELS["siemens-osteo-nominal"], slab=Slab(base_hu=1.0), pose=Pose(mirrored=mirrored, roll=5)))
    found = find(scene)

    assert worst_mm(scene, found) < 1.5
    assert found.confidence < 0.85
    assert "only one differs" in found.evidence


def test_one_rod_left_by_the_scan_field_is_out_of_field() -> None:
    scanner = replace(recipe(BMAS).scanner, matrix=180, padding_hu=-2048)
    pose = Pose(shift_left=168.0)
    scene = build(recipe(MODELS["qrm-bdc3-71"], scanner=scanner, pose=pose, body_half_mm=(85.0, 140.0)))
    with pytest.raises(PhantomOutOfField):
        find(scene)
