"""What slices should show of a column, and how that changes with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from node.imaging.spine.bodyframe import Pose, outline
from node.imaging.spine.bodyshape import BodyShape
from node.imaging.spine.endplate_planes import Plane
from node.imaging.spine.endplates import HeightMap
from node.imaging.spine.thick.model import Layout, Model, build, explained
from node.imaging.spine.thick.slices import SliceAxes
from node.imaging.spine.walls import THETA, Wall, flared
from tests.imaging.spine import made_up
from tests.imaging.spine.thick import slabs


def shapes(count: int = 4) -> list[BodyShape]:
    """The made-up bodies, with flat endplates."""
    found = []
    for n in range(count):
        frame = made_up.frame(-n * (made_up.HEIGHT + made_up.DISC))
        pose = Pose.of(frame, made_up.HEIGHT, made_up.WIDTH, made_up.DEPTH)
        top, bottom = (HeightMap.of_plane(Plane(sign * 11.5, 0.0, 0.02), pose) for sign in (1.0, -1.0))
        found.append(BodyShape(pose, top, bottom, Wall(flared(outline(THETA, pose.width, pose.depth)))))
    return found


@pytest.fixture(scope="module")
def built() -> tuple[Model, NDArray[np.float64]]:
    volume = slabs.thick().volume
    model, x = build(SliceAxes.of(volume), shapes())
    layout = model.layout
    for body in range(layout.bodies):
        for end in (0, 1):
            x[layout.spongiosa(body, end)], x[layout.shell(body, end)] = 150.0 + 9.0 * body, 480.0 + 40.0 * end
    x[layout.disc(0) :] = 90.0
    return model, x


def test_every_disc_between_two_bodies_has_its_columns(built: tuple[Model, NDArray[np.float64]]) -> None:
    assert sorted(built[0].windows) == [1, 2, 3]


def test_columns_reach_from_the_middle_of_one_body_to_that_of_the_next(
    built: tuple[Model, NDArray[np.float64]],
) -> None:
    t = built[0].windows[2].t_mm
    assert t[-1] - t[0] == pytest.approx(made_up.HEIGHT + made_up.DISC, abs=7.5)


def test_unknowns_do_not_share_a_place() -> None:
    layout = Layout(3)
    places = [place for body in range(3) for end in (0, 1) for place in range(layout.size)[layout.surface(body, end)]]
    places += [one(body, end) for body in range(3) for end in (0, 1) for one in (layout.spongiosa, layout.shell)]
    places += [layout.disc(number) for number in range(4)]
    assert sorted(places) == list(range(layout.size))


def numeric(model: Model, x: NDArray[np.float64], disc: int, unknown: int) -> NDArray[np.float64]:
    step = np.zeros_like(x)
    step[unknown] = 1e-4
    return (model.residuals(x - step, disc) - model.residuals(x + step, disc)) / 2e-4


def test_slopes_are_those_of_the_residuals(built: tuple[Model, NDArray[np.float64]]) -> None:
    model, x = built
    _, unknowns, slopes = model.linearised(x, 2)
    for place, unknown in enumerate(unknowns):
        assert slopes[:, place] == pytest.approx(numeric(model, x, 2, int(unknown)), abs=1e-3)


def test_slopes_are_those_of_the_residuals_beside_gas(built: tuple[Model, NDArray[np.float64]]) -> None:
    volume = slabs.thick().volume
    hu = volume.hu.copy()
    disc = round(volume.index_kji([0.0, 0.0, -0.5 * (made_up.HEIGHT + made_up.DISC)])[0])
    hu[disc, 40:55, 35:58] = -950
    model, _ = build(SliceAxes.of(type(volume)(hu, volume.affine_lps_mm, "2.25.1", volume.sources)), shapes())
    x = built[1]
    assert model.windows[1].gas.any()
    _, unknowns, slopes = model.linearised(x, 1)
    for place, unknown in enumerate(unknowns):
        assert slopes[:, place] == pytest.approx(numeric(model, x, 1, int(unknown)), abs=1e-3)


@pytest.mark.parametrize(
    ("missed", "share", "gas", "cement", "left"),
    [
        (-900.0, 1.0, True, False, 0.0),
        (-900.0, 0.5, True, False, -360.0),
        (-900.0, 1.0, False, False, -900.0),
        (500.0, 0.0, False, True, 0.0),
        (500.0, 1.0, True, False, 500.0),
        (-500.0, 0.0, False, True, -500.0),
    ],
)
def test_gas_explains_what_is_too_dark_in_a_disc_and_cement_what_is_too_bright(
    built: tuple[Model, NDArray[np.float64]], missed: float, share: float, gas: bool, cement: bool, left: float
) -> None:
    marked = replace(built[0].windows[1], gas=np.array([[gas]]), cement=np.array([[cement]]))
    assert float(explained(np.array([[missed]]), np.array([[share]]), marked)[0, 0]) == pytest.approx(left)


def test_voxels_beside_cement_along_the_slices_may_hold_some() -> None:
    volume = slabs.thick().volume
    hu = volume.hu.copy()
    middle = np.round(volume.index_kji([0.0, 0.0, -(made_up.HEIGHT + made_up.DISC)])).astype(int)
    hu[middle[0], middle[1] - 4 : middle[1] + 5, middle[2] - 4 : middle[2] + 5] = 2400
    model, _ = build(SliceAxes.of(type(volume)(hu, volume.affine_lps_mm, "2.25.1", volume.sources)), shapes())
    slices = [int(n) for n in np.flatnonzero(model.windows[2].cement.any(axis=0))]
    assert len(slices) == 2
    assert (model.windows[2].hu[:, slices].max(axis=0) > 700.0).tolist() == [False, True]


def test_attenuations_times_their_slopes_are_what_is_expected(built: tuple[Model, NDArray[np.float64]]) -> None:
    model, x = built
    slopes, _, unknowns = model.attenuations(x[None], 2)
    expected = model.windows[2].hu.ravel() - model.residuals(x, 2)
    assert (slopes[0] @ x[unknowns]).ravel() == pytest.approx(expected)


def test_inside_a_lesion_attenuation_counts_less() -> None:
    volume = slabs.thick(3).volume
    hu = volume.hu.copy()
    middle = np.round(volume.index_kji([0.0, 0.0, -(made_up.HEIGHT + made_up.DISC)])).astype(int)
    hu[middle[0] - 2 : middle[0] + 3, middle[1] - 8 : middle[1] + 9, middle[2] - 12 : middle[2] + 13] = 20
    model, _ = build(SliceAxes.of(type(volume)(hu, volume.affine_lps_mm, "2.25.1", volume.sources)), shapes())
    assert model.lesions.tolist() == [False, True, False, False]
    assert model.windows[1].spread.max() > 2.5


def test_in_even_spongiosa_all_attenuations_count_alike(built: tuple[Model, NDArray[np.float64]]) -> None:
    assert all((window.spread == 1.0).all() for window in built[0].windows.values())
