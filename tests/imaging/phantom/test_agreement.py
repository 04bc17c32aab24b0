"""Slices in which the rods contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from node.domain.phantom import RodModel, RodReading
from node.imaging.phantom.agreement import contradictory

DENSITIES = (0.0, 50.0, 100.0, 200.0)
SLICES = 120
STREAK = slice(50, 66)
PATTERN = np.array([6.0, -9.0, 10.0, -4.0])


def found(hu: NDArray[np.float64], densities: tuple[float, ...] = DENSITIES) -> set[int]:
    """Contradictory slices among rods whose slice means are ``hu`` (rods, slices), at 2 mm."""
    z = np.arange(hu.shape[1]) * 2.0
    readings = [
        RodReading(
            RodModel(f"{density}", density), float(row.mean()), 20.0, 5000, (0.0, 0.0, 0.0), 7.0,
            np.column_stack([np.zeros_like(z), np.zeros_like(z), z]), row,
        )
        for density, row in zip(densities, hu, strict=True)
    ]  # fmt: skip
    return contradictory(readings, [np.arange(hu.shape[1])] * len(readings), 2.0)


def noisy(seed: int, sd: float = 4.0) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(0.0, sd, (len(DENSITIES), SLICES))
    return np.asarray(1.4 * np.array(DENSITIES)[:, None] + noise)


@pytest.mark.parametrize("seed", range(5))
def test_a_streak_that_hides_in_the_noise_of_single_slices_is_found(seed: int) -> None:
    hu = noisy(seed)
    hu[:, STREAK] += PATTERN[:, None]
    streak = set(range(STREAK.start, STREAK.stop))

    assert len(found(hu) & streak) >= 0.6 * len(streak)
    assert len(found(hu) - streak) <= 10


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_spoils_no_slice(seed: int) -> None:
    assert len(found(noisy(seed))) <= 2


def test_what_lifts_all_rods_alike_or_by_their_density_is_the_scan_and_stays() -> None:
    hu = noisy(1, 0.5)
    hu[:, STREAK] += 12.0 + 0.05 * np.array(DENSITIES)[:, None]

    assert found(hu) == set()


def test_two_rods_cannot_contradict_each_other() -> None:
    hu = noisy(1)[:2]
    hu[:, STREAK] += np.array([[20.0], [-20.0]])

    assert found(hu, DENSITIES[:2]) == set()


def test_where_most_slices_disagree_none_is_singled_out() -> None:
    hu = noisy(1, 0.5)
    hu[:, 30:90] += PATTERN[:, None] * np.linspace(0.2, 3.0, 60)

    assert found(hu) == set()
