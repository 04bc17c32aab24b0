"""Curved images: where each pixel lies, and that every vertebra is in the middle one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.settings import ReformatSettings
from node.domain.spine import CurvedReformat, Frame, SpineMap
from node.imaging.reformat import curved
from tests.imaging.reformat.test_straight import bent, ramp
from tests.imaging.spine import made_up

COLUMN = made_up.column()
OFFSETS = (-14.0, 9.0, -6.0)


def scoliotic(offsets: tuple[float, float, float] = OFFSETS) -> tuple[CurvedReformat, CurvedReformat]:
    sagittal, coronal = curved(COLUMN.volume, bent(COLUMN.spine, offsets))
    return sagittal, coronal


def test_one_sagittal_and_one_coronal() -> None:
    assert [one.name for one in scoliotic()] == ["curved-sagittal", "curved-coronal"]
    assert [one.hu.shape[0] for one in scoliotic()] == [5, 5]


@pytest.mark.parametrize("slope", [(2.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 4.0)])
def test_each_pixel_shows_what_lies_at_its_position(slope: tuple[float, float, float]) -> None:
    for image in curved(ramp(slope), bent(COLUMN.spine, OFFSETS)):
        middle = round(-image.first_mm / image.pixel_mm)
        for row, column in ((30, middle - 15), (50, middle), (90, middle + 12)):
            place = image.lps_mm(np.array([row, column]))
            assert abs(float(image.hu[2, row, column]) - float(place @ np.array(slope))) <= 2.0


def test_every_body_centre_lies_in_the_middle_image() -> None:
    seeds = bent(COLUMN.spine, OFFSETS).seeds
    for image in scoliotic():
        for seed in seeds:
            row, _ = image.pixel(seed.frame.centre_lps_mm)
            away = (seed.frame.centre_lps_mm - image.centres_lps_mm[int(row)]) @ image.across_lps[int(row)]
            assert abs(away) < 1.0


def test_rows_advance_by_equal_lengths_along_the_curve() -> None:
    sagittal, coronal = scoliotic()
    for image, axes in ((sagittal, [0, 2]), (coronal, [1, 2])):
        steps = np.linalg.norm(np.diff(image.centres_lps_mm[:, axes], axis=0), axis=1)
        assert steps == pytest.approx(np.full(len(steps), image.pixel_mm), abs=0.02)


def test_a_pixel_and_back() -> None:
    for image in scoliotic():
        row, column = image.pixel(image.lps_mm(np.array([40, 50])))
        assert (row, column) == pytest.approx((40, 50), abs=1e-6)


def test_columns_run_to_the_back_and_to_the_left() -> None:
    sagittal, coronal = scoliotic((0.0, 0.0, 0.0))
    assert sagittal.along_lps[50] == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)
    assert coronal.along_lps[50] == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert sagittal.centres_lps_mm[0, 2] > sagittal.centres_lps_mm[-1, 2]


def test_images_turn_with_the_vertebrae() -> None:
    turn = np.deg2rad(15.0)
    left, posterior = np.array([np.cos(turn), np.sin(turn), 0.0]), np.array([-np.sin(turn), np.cos(turn), 0.0])
    seeds = tuple(
        replace(s, frame=Frame(s.frame.centre_lps_mm, left, posterior, s.frame.superior)) for s in COLUMN.spine.seeds
    )
    sagittal, _ = curved(COLUMN.volume, replace(COLUMN.spine, seeds=seeds))
    assert sagittal.along_lps[50] == pytest.approx(posterior, abs=1e-3)


def test_one_vertebra_is_enough() -> None:
    one: SpineMap = replace(COLUMN.spine, seeds=COLUMN.spine.seeds[1:2])
    sagittal, _ = curved(COLUMN.volume, one)
    assert np.isfinite(sagittal.centres_lps_mm).all()
    assert sagittal.hu[2].max() > 100


def test_settings_are_kept() -> None:
    shape = ReformatSettings(pixel_mm=0.7, thickness_mm=2.0, curved_images=3)
    sagittal, _ = curved(COLUMN.volume, COLUMN.spine, shape, 5.0)
    assert (sagittal.hu.shape[0], sagittal.pixel_mm, sagittal.thickness_mm) == (3, 0.7, 2.0)
    assert sagittal.slice_mm == 5.0


def test_no_vertebra_no_images() -> None:
    with pytest.raises(ValueError, match="no vertebra"):
        curved(COLUMN.volume, replace(COLUMN.spine, seeds=()))
