"""Slices' own axes, and what one slice shows."""

from __future__ import annotations

import numpy as np
import pytest

from node.domain.volume import SourceImage, Volume
from node.imaging.spine.thick.slices import SliceAxes, SliceProfile

Y = np.linspace(-9.0, 9.0, 3601)
PROFILE = SliceProfile(5.0)


def tilted(turn_deg: float = 20.0) -> Volume:
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    affine = np.eye(4)
    affine[:3, 0] = 5.0 * np.array([0.0, -s, c])
    affine[:3, 1] = 0.8 * np.array([0.0, c, s])
    affine[:3, 2] = [0.8, 0.0, 0.0]
    affine[:3, 3] = [-40.0, -30.0, 100.0]
    return Volume(np.zeros((9, 4, 4), np.int16), affine, "2.25.1", (SourceImage("1", "2"),) * 9)


def test_a_slice_far_above_an_edge_lies_wholly_above_it() -> None:
    assert PROFILE.above(Y[[0, -1]]) == pytest.approx([0.0, 1.0], abs=1e-6)


def test_a_slice_across_an_edge_lies_half_above_it() -> None:
    assert float(PROFILE.above(np.zeros(1))[0]) == pytest.approx(0.5)


def test_the_density_is_the_slope_of_the_part_above() -> None:
    assert np.gradient(PROFILE.above(Y), Y)[1:-1] == pytest.approx(PROFILE.density(Y)[1:-1], abs=1e-5)


def test_all_slices_together_see_a_sheet_once() -> None:
    assert float(np.trapezoid(PROFILE.density(Y), Y)) == pytest.approx(1.0, abs=1e-5)


def test_the_slope_is_that_of_the_density() -> None:
    assert np.gradient(PROFILE.density(Y), Y)[1:-1] == pytest.approx(PROFILE.slope(Y)[1:-1], abs=1e-5)


def test_coordinates_are_millimetres_along_rows_columns_and_slices() -> None:
    volume = tilted()
    assert SliceAxes.of(volume).pqt_mm(volume.lps_mm([2.0, 3.0, 1.0])) == pytest.approx([0.8, 2.4, 10.0])


def test_a_direction_within_the_slices_has_length_one() -> None:
    assert np.linalg.norm(SliceAxes.of(tilted()).within(np.array([1.0, 2.0, 5.0]))) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("low", "high", "numbers"), [(11.0, 24.0, [2, 3, 4, 5]), (-30.0, 4.0, [0, 1]), (38.0, 90.0, [8]), (60.0, 70.0, [])]
)
def test_slices_between_two_heights_are_those_in_the_scan_and_half_a_slice_more(
    low: float, high: float, numbers: list[int]
) -> None:
    assert SliceAxes.of(tilted()).numbers(low, high).tolist() == numbers
