"""What heights are expected of made-up columns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from node.imaging.healthy_heights import CONCAVITY_NORM, NORMS, Column, expected_heights

Floats = NDArray[np.float64]
LEVELS = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4")
L1 = LEVELS.index("L1")


def usual_mm(levels: tuple[str, ...] = LEVELS) -> Floats:
    heights = []
    for level in levels:
        posterior = NORMS[level].posterior_mm
        anterior = NORMS[level].wedge * posterior
        heights.append((anterior, CONCAVITY_NORM * 0.5 * (anterior + posterior), posterior))
    return np.array(heights)


def column(mm: Floats, error_mm: float = 0.5, levels: tuple[str, ...] = LEVELS) -> Column:
    return Column(levels, mm, np.full((len(levels), 3), error_mm))


def test_a_usual_column_is_expected_as_it_is() -> None:
    for found, mm in zip(expected_heights(column(usual_mm()), [1.0] * 8), usual_mm(), strict=True):
        assert found.mm == pytest.approx(mm, rel=1e-6)


@pytest.mark.parametrize("size", [0.7, 0.85, 1.15])
def test_heights_are_expected_in_proportion_to_the_patient(size: float) -> None:
    found = expected_heights(column(size * usual_mm()), [1.0] * 8)[L1]
    assert found.mm == pytest.approx(size * usual_mm()[L1], rel=0.015)


def test_a_patient_whose_bodies_are_all_wedged_is_expected_to_be_so() -> None:
    found = expected_heights(column(usual_mm() * np.array([0.94, 1.0, 1.0])), [1.0] * 8)[L1]
    assert found.mm[0] / found.mm[2] == pytest.approx(0.94 * NORMS["L1"].wedge, rel=0.02)


def test_a_broken_neighbour_says_nothing_about_a_sound_one() -> None:
    broken = usual_mm()
    broken[L1] *= 0.5
    found = expected_heights(column(broken), [0.0 if n == L1 else 1.0 for n in range(8)])[L1 + 1]
    assert found.mm == pytest.approx(usual_mm()[L1 + 1], rel=0.01)


def test_a_vertebra_has_no_say_in_what_is_expected_of_it() -> None:
    one, other = usual_mm(), usual_mm()
    other[L1] *= 0.6
    found = [expected_heights(column(mm), [1.0] * 8)[L1].mm for mm in (one, other)]
    assert found[0] == pytest.approx(found[1])


def test_uncertain_neighbours_leave_more_open() -> None:
    sharp, blurred = (expected_heights(column(usual_mm(), error), [1.0] * 8)[L1] for error in (0.4, 2.5))
    assert np.diag(blurred.covariance).min() > 1.2 * np.diag(sharp.covariance).min()


def test_of_a_lone_vertebra_the_shape_is_expected_but_hardly_the_size() -> None:
    found = expected_heights(column(usual_mm(("L1",)), levels=("L1",)), [1.0])[0].covariance
    assert found[2, 2] ** 0.5 > 0.12
    assert (found[0, 0] + found[2, 2] - 2.0 * found[0, 2]) ** 0.5 < 0.07
