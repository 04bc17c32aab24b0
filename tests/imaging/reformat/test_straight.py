"""Sagittal images: where they lie, and that they show what lies there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.settings import ReformatSettings
from node.domain.spine import Frame, Reformat, SpineMap
from node.domain.volume import Volume
from node.imaging.reformat import sagittal
from node.imaging.reformat.sampling import AIR_HU
from tests.imaging.spine import made_up


def ramp(slope_lps: tuple[float, float, float]) -> Volume:
    """A volume whose attenuation is linear in LPS."""
    whole = made_up.column().volume
    index = np.stack(np.meshgrid(*(np.arange(n) for n in whole.hu.shape), indexing="ij"), axis=-1)
    hu = np.round(whole.lps_mm(index) @ np.array(slope_lps)).astype(np.int16)
    return Volume(hu, whole.affine_lps_mm.copy(), "2.25.1", whole.sources)


@pytest.fixture(scope="module")
def spine() -> SpineMap:
    return made_up.column().spine


def at(reformat: Reformat, image: float, row: float, column: float) -> np.ndarray:
    return np.asarray(reformat.affine_lps_mm @ np.array([image, row, column, 1.0]))[:3]


def test_an_upright_patient_is_cut_along_his_own_axes(spine: SpineMap) -> None:
    found = sagittal(made_up.column().volume, spine)
    rows, columns = found.affine_lps_mm[:3, 1], found.affine_lps_mm[:3, 2]
    assert columns / np.linalg.norm(columns) == pytest.approx([0.0, 1.0, 0.0])
    assert rows / np.linalg.norm(rows) == pytest.approx([0.0, 0.0, -1.0])
    assert found.affine_lps_mm[:3, 0] == pytest.approx([found.thickness_mm, 0.0, 0.0])


def test_pixels_are_square_and_at_most_one_millimetre(spine: SpineMap) -> None:
    found = sagittal(made_up.column().volume, spine)
    _, down, along = np.linalg.norm(found.affine_lps_mm[:3, :3], axis=0)
    assert down == pytest.approx(along)
    assert along <= 1.0


@pytest.mark.parametrize("slope", [(2.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 4.0)])
def test_each_pixel_shows_what_lies_at_its_position(spine: SpineMap, slope: tuple[float, float, float]) -> None:
    found = sagittal(ramp(slope), spine)
    for image, row, column in ((2, 30, 80), (4, 60, 100), (7, 90, 90)):
        place = at(found, image, row, column)
        assert abs(float(found.hu[image, row, column]) - float(place @ np.array(slope))) <= 1.5


def test_the_stack_is_centred_on_the_column(spine: SpineMap) -> None:
    found = sagittal(made_up.column().volume, spine)
    middle = at(found, 0.5 * (found.hu.shape[0] - 1), 0, 0)
    assert middle[0] == pytest.approx(0.0, abs=0.5)
    assert 7 <= found.hu.shape[0] <= 15


def test_rows_reach_over_the_whole_scan(spine: SpineMap) -> None:
    volume = made_up.column().volume
    found = sagittal(volume, spine)
    last = volume.lps_mm([volume.hu.shape[0] - 1, 0, 0])[2]
    assert at(found, 0, 0, 0)[2] == pytest.approx(last, abs=1.0)
    assert at(found, 0, found.hu.shape[1] - 1, 0)[2] == pytest.approx(volume.lps_mm([0, 0, 0])[2], abs=1.0)


def test_what_was_not_scanned_is_air(spine: SpineMap) -> None:
    found = sagittal(made_up.column().volume, spine)
    assert at(found, 0, 0, 0)[1] < -48.0
    assert found.hu[0, 10, 0] == AIR_HU


def bent(spine: SpineMap, offsets: tuple[float, float, float]) -> SpineMap:
    seeds = tuple(
        replace(seed, frame=replace(seed.frame, centre_lps_mm=seed.frame.centre_lps_mm + np.array([x, 0.0, 0.0])))
        for seed, x in zip(spine.seeds, offsets, strict=True)
    )
    return replace(spine, seeds=seeds)


def test_a_curved_column_gets_more_images_that_hold_all_of_it(spine: SpineMap) -> None:
    found = sagittal(made_up.column().volume, bent(spine, (-14.0, 6.0, -10.0)))
    first, last = at(found, 0, 0, 0)[0], at(found, found.hu.shape[0] - 1, 0, 0)[0]
    assert found.hu.shape[0] > sagittal(made_up.column().volume, spine).hu.shape[0]
    assert first < -14.0
    assert last > 6.0


def test_a_turned_patient_is_cut_along_his_own_midplane(spine: SpineMap) -> None:
    turn = np.deg2rad(12.0)
    left, posterior = np.array([np.cos(turn), np.sin(turn), 0.0]), np.array([-np.sin(turn), np.cos(turn), 0.0])
    seeds = tuple(
        replace(s, frame=Frame(s.frame.centre_lps_mm, left, posterior, s.frame.superior)) for s in spine.seeds
    )
    found = sagittal(made_up.column().volume, replace(spine, seeds=seeds))
    along = found.affine_lps_mm[:3, 2]
    assert along / np.linalg.norm(along) == pytest.approx(posterior, abs=1e-6)


def test_no_vertebra_no_images(spine: SpineMap) -> None:
    with pytest.raises(ValueError, match="no vertebra"):
        sagittal(made_up.column().volume, replace(spine, seeds=()))


def test_settings_are_kept(spine: SpineMap) -> None:
    shape = ReformatSettings(thickness_mm=2.0, least_images=7, most_images=7, pixel_mm=0.6)
    found = sagittal(made_up.column().volume, spine, shape, 5.0)
    assert (found.hu.shape[0], found.slice_mm) == (7, 5.0)
    assert np.linalg.norm(found.affine_lps_mm[:3, 2]) == pytest.approx(0.6)


def test_slabs_never_grow_beyond_three_millimetres(spine: SpineMap) -> None:
    found = sagittal(made_up.column().volume, bent(spine, (-40.0, 40.0, -40.0)))
    assert (found.hu.shape[0], found.thickness_mm) == (15, 3.0)


def test_spacing_counts_as_thickness_where_that_is_not_known(spine: SpineMap) -> None:
    assert sagittal(made_up.column().volume, spine).slice_mm == pytest.approx(1.5)
