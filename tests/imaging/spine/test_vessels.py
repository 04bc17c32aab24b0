"""Vessels full of contrast medium beside the bodies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.volume import Volume
from node.imaging.spine.bodies import delineate
from node.imaging.spine.vessels import without_vessels
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column
from tests.imaging.spine.test_bodies import dice

CANAL = np.array([[0.0, 23.0, z] for z in (0.0, -33.0, -66.0)])
AORTA = (26.0, -9.0)
"""Its middle (x, y): it touches the wall of the bodies, to the left in front."""


def with_aorta(column: Column, hu: int, low_mm: float = -200.0, radius_mm: float = 10.0) -> Column:
    """Blood of one attenuation upward from a height, outside the bodies."""
    volume = column.volume
    k, j, i = np.indices(volume.hu.shape, sparse=True)
    dk, dj, di = volume.spacing_mm
    x0, y0, z0 = volume.affine_lps_mm[:3, 3]
    tube = np.hypot(x0 + i * di - AORTA[0], y0 + j * dj - AORTA[1]) < radius_mm
    painted = volume.hu.copy()
    painted[tube & (z0 + k * dk > low_mm) & (column.inside == 0)] = hu
    return replace(column, volume=Volume(painted, volume.affine_lps_mm.copy(), "2.25.1", volume.sources))


def at(volume: Volume, x: float, y: float, z: float) -> int:
    k, j, i = np.round(volume.index_kji([x, y, z])).astype(int)
    return int(volume.hu[k, j, i])


def test_blood_becomes_soft_tissue_and_bone_stays() -> None:
    column = with_aorta(made_up.column(spongiosa_hu=90.0), 380)
    cleared = without_vessels(column.volume, CANAL)
    assert at(column.volume, *AORTA, -33.0) == 380
    assert at(cleared, *AORTA, -33.0) == 40
    for z in (0.0, -33.0, -66.0):
        assert at(cleared, 0.0, 0.0, z) == at(column.volume, 0.0, 0.0, z)


@pytest.mark.parametrize(("spongiosa_hu", "blood_hu"), [(90.0, 120), (250.0, 300)], ids=["no contrast", "young bone"])
def test_what_is_hardly_brighter_than_bone_stays(spongiosa_hu: float, blood_hu: int) -> None:
    column = with_aorta(made_up.column(spongiosa_hu=spongiosa_hu), blood_hu)
    assert at(without_vessels(column.volume, CANAL), *AORTA, -33.0) == blood_hu


def test_what_is_dense_in_one_body_stays() -> None:
    column = made_up.column(spongiosa_hu=90.0)
    dense = column.volume.hu.copy()
    dense[column.inside == 2] = 600
    volume = Volume(dense, column.volume.affine_lps_mm.copy(), "2.25.1", column.volume.sources)
    assert at(without_vessels(volume, CANAL), 0.0, 0.0, -33.0) == 600


def test_the_volume_itself_is_not_changed() -> None:
    column = with_aorta(made_up.column(spongiosa_hu=90.0), 380)
    before = column.volume.hu.copy()
    without_vessels(column.volume, CANAL)
    assert np.array_equal(column.volume.hu, before)


def test_bodies_that_touch_the_aorta_are_delineated_as_if_they_did_not() -> None:
    column = with_aorta(made_up.column(spongiosa_hu=70.0, shift_mm=2.0), 650, radius_mm=13.0)
    found = delineate(column.volume, column.spine)
    assert min(dice(column, number, body) for number, body in enumerate(found)) > 0.95


def test_the_joints_of_the_arches_stay() -> None:
    column = made_up.column(spongiosa_hu=90.0)
    k, j, i = np.indices(column.volume.hu.shape, sparse=True)
    _, y0, x0 = (column.volume.affine_lps_mm[axis, 3] for axis in (2, 1, 0))
    dense = column.volume.hu.copy()
    dense[(np.hypot(x0 + i * 0.9 - 20.0, y0 + j * 0.9 - 30.0) < 9.0) & (k >= 0)] = 600
    volume = Volume(dense, column.volume.affine_lps_mm.copy(), "2.25.1", column.volume.sources)
    assert at(without_vessels(volume, CANAL), 20.0, 30.0, -33.0) == 600


def test_cement_that_leaked_through_discs_is_left_to_the_implants() -> None:
    column = with_aorta(made_up.column(spongiosa_hu=90.0), 1400)
    assert at(without_vessels(column.volume, CANAL), *AORTA, -33.0) == 1400
