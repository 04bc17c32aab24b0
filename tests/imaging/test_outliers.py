"""Surroundings of what is left out of a VOI."""

from __future__ import annotations

import numpy as np
import pytest

from node.domain.settings import SuitabilityLimits, VoiShape
from node.imaging import outliers, suitability
from node.imaging import voi as vois
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column
from tests.imaging.test_voi import painted, vertebra

MIDDLE = -33.0


@pytest.fixture(scope="module")
def quiet() -> Column:
    return made_up.column(spongiosa_hu=140.0)


def kept(column: Column) -> np.ndarray:
    """Where of a cube of 9 mm about the middle of L1 outliers are far, on a grid of 0.75 mm."""
    axis = np.arange(-9.0, 9.01, 0.75)
    grid = np.stack(np.meshgrid(axis, axis, axis + MIDDLE, indexing="ij"), axis=-1)
    member = (np.abs(grid - [0.0, 0.0, MIDDLE]) <= 4.5).all(axis=-1)
    values = np.full(int(member.sum()), 140.0, dtype=np.float32)
    reading = suitability.robust_mean(values, values, SuitabilityLimits())
    inside = np.ones(member.shape, dtype=bool)
    found = outliers.apart(column.volume, grid, inside, member, reading, (0.75, 1.5, 1.5))
    return grid[member & ~found]


def test_even_spongiosa_is_all_kept(quiet: Column) -> None:
    assert len(kept(quiet)) == 0


def test_what_lies_beside_a_rim_beyond_the_voi_is_left_out(quiet: Column) -> None:
    lost = kept(painted(quiet, (0.0, 0.0, MIDDLE + 7.0), 2.5, 600))
    assert len(lost) > 0
    assert np.linalg.norm(lost - [0.0, 0.0, MIDDLE + 7.0], axis=1).max() < 6.5


def test_a_dense_focus_at_the_edge_of_the_voi_does_not_move_the_mean(quiet: Column) -> None:
    node = painted(quiet, (0.0, -2.0, MIDDLE + 6.0), 3.0, 420)
    assert vois.sample(node.volume, vertebra(node), VoiShape()).hu_mean == pytest.approx(140.0, abs=1.5)


def test_neither_does_a_vessel(quiet: Column) -> None:
    vessel = painted(quiet, (5.0, 3.0, MIDDLE), 2.5, 30)
    assert vois.sample(vessel.volume, vertebra(vessel), VoiShape()).hu_mean == pytest.approx(140.0, abs=1.5)
