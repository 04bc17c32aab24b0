"""Bodies found from rough seeds in a made-up column of known shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.spine import SpineMap, Vertebra
from node.domain.volume import Volume
from node.imaging.spine.bodies import delineate
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column


def dice(column: Column, number: int, vertebra: Vertebra) -> float:
    truth = column.inside == number + 1
    shared = np.count_nonzero(truth[vertebra.body.slices_kji] & vertebra.body.voxels)
    return float(2.0 * shared / (np.count_nonzero(truth) + np.count_nonzero(vertebra.body.voxels)))


def heights(column: Column, number: int) -> tuple[float, float, float]:
    at = [np.array([y]) for y in (-0.44 * made_up.DEPTH, 0.0, 0.39 * made_up.DEPTH)]
    anterior, middle, posterior = (
        2.0 * float(made_up.half_height(np.zeros(1), y, column.losses[number])[0]) for y in at
    )
    return anterior, middle, posterior


@pytest.fixture(scope="module")
def rough() -> tuple[Column, tuple[Vertebra, ...]]:
    column = made_up.column(shift_mm=4.0, turn_deg=10.0)
    return column, delineate(column.volume, column.spine)


def test_bodies_agree_with_their_true_shape(rough: tuple[Column, tuple[Vertebra, ...]]) -> None:
    column, vertebrae = rough
    assert min(dice(column, n, vertebra) for n, vertebra in enumerate(vertebrae)) > 0.93


def test_heights_are_those_between_the_outer_surfaces(rough: tuple[Column, tuple[Vertebra, ...]]) -> None:
    column, vertebrae = rough
    for n, vertebra in enumerate(vertebrae):
        assert vertebra.heights is not None
        found = (vertebra.heights.anterior_mm, vertebra.heights.middle_mm, vertebra.heights.posterior_mm)
        assert found == pytest.approx(heights(column, n), abs=1.2)


def test_end_points_lie_as_far_apart_as_the_heights_say(rough: tuple[Column, tuple[Vertebra, ...]]) -> None:
    measured = rough[1][1].heights
    assert measured is not None
    ends = np.array(measured.points_lps_mm).reshape(3, 2, 3)
    apart = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    assert apart == pytest.approx([measured.anterior_mm, measured.middle_mm, measured.posterior_mm], abs=1e-6)


def test_the_frame_is_turned_upright_again(rough: tuple[Column, tuple[Vertebra, ...]]) -> None:
    for vertebra in rough[1]:
        assert vertebra.frame.superior[2] > np.cos(np.deg2rad(3.0))
        assert vertebra.frame.left[0] > np.cos(np.deg2rad(3.0))


def test_the_frame_lies_about_the_centroid(rough: tuple[Column, tuple[Vertebra, ...]]) -> None:
    column, vertebrae = rough
    for n, vertebra in enumerate(vertebrae):
        centroid = column.volume.lps_mm(np.argwhere(column.inside == n + 1).mean(axis=0))
        assert np.linalg.norm(vertebra.frame.centre_lps_mm - centroid) < 1.2


def test_axes_are_right_handed_unit_vectors(rough: tuple[Column, tuple[Vertebra, ...]]) -> None:
    frame = rough[1][0].frame
    assert np.cross(frame.left, frame.posterior) == pytest.approx(frame.superior, abs=1e-9)


def test_osteoporotic_bone_in_noise_is_delineated() -> None:
    column = made_up.column(spongiosa_hu=60.0, noise_hu=50.0, shift_mm=3.0, turn_deg=6.0, seed=2)
    vertebrae = delineate(column.volume, column.spine)
    assert min(dice(column, n, vertebra) for n, vertebra in enumerate(vertebrae)) > 0.90


def test_a_wedge_is_measured_as_a_wedge() -> None:
    column = made_up.column(anterior_loss={"L1": 0.35}, shift_mm=2.0, turn_deg=5.0)
    wedged = delineate(column.volume, column.spine)[1].heights
    assert wedged is not None
    assert wedged.anterior_mm / wedged.posterior_mm == pytest.approx(
        heights(column, 1)[0] / heights(column, 1)[2], abs=0.06
    )


def test_a_body_cut_by_the_end_of_the_scan_is_incomplete() -> None:
    column = made_up.column()
    cut = column.volume.index_kji([0.0, 0.0, 8.0])[0]
    whole = column.volume
    volume = Volume(whole.hu[: int(cut)].copy(), whole.affine_lps_mm.copy(), "2.25.1", whole.sources[: int(cut)])
    first, second, _ = delineate(volume, column.spine)
    assert not first.complete
    assert first.heights is None
    assert second.complete


def test_a_seed_called_incomplete_gives_no_heights() -> None:
    column = made_up.column(("L1", "L2"))
    seeds = (replace(column.spine.seeds[0], complete=False), column.spine.seeds[1])
    first, second = delineate(column.volume, replace(column.spine, seeds=seeds))
    assert first.heights is None
    assert second.heights is not None


@pytest.mark.parametrize(("z_mm", "complete"), [(14.5, True), (8.0, False)])
def test_a_vertebra_at_the_scans_end_is_complete_when_its_outline_is(z_mm: float, complete: bool) -> None:
    column = made_up.column(("T12", "L1"))
    end = int(column.volume.index_kji([0.0, 0.0, z_mm])[0]) + 1
    whole = column.volume
    volume = Volume(whole.hu[:end].copy(), whole.affine_lps_mm.copy(), "2.25.1", whole.sources[:end])
    seeds = (replace(column.spine.seeds[0], complete=False, at_end=True), column.spine.seeds[1])
    first, _ = delineate(volume, replace(column.spine, seeds=seeds))
    assert first.complete is complete


def test_a_single_vertebra_is_delineated() -> None:
    column = made_up.column()
    (found,) = delineate(column.volume, replace(column.spine, seeds=column.spine.seeds[1:2]))
    assert dice(column, 1, found) > 0.93


def test_no_seeds_give_no_vertebrae() -> None:
    column = made_up.column(("L1",))
    empty = SpineMap((), column.spine.assignment, np.zeros((0, 3)))
    assert delineate(column.volume, empty) == ()


def test_the_same_input_gives_the_same_output() -> None:
    column = made_up.column(("L1", "L2"), shift_mm=3.0, noise_hu=20.0)
    once, again = (delineate(column.volume, column.spine)[0] for _ in range(2))
    assert once.heights == again.heights
    assert np.array_equal(once.body.voxels, again.body.voxels)
