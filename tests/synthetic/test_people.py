"""What the accuracy tables ask of the generator: where lungs end, bridges, random people."""

from __future__ import annotations

import numpy as np
import pytest

from node.synthetic.spec import TorsoSpec
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests.benchmarks.spine_people import described, groups, person
from tests.synthetic.measured import hu_at


def coarse(**changes: object) -> SyntheticCase:
    spec = {"seed": 8, "matrix": 128, "spacing_mm": 3.0, "thickness_mm": 3.0, **changes}
    return make(TorsoSpec(**spec))  # type: ignore[arg-type]


@pytest.mark.parametrize("kyphosis", [20.0, 60.0])
def test_lungs_end_beside_t1(kyphosis: float) -> None:
    case = coarse(top=("C7", 12.0), bottom=("T4", 0.0), kyphosis_deg=kyphosis)

    def beside(level: str) -> float:
        known = case.truth.levels[level]
        centre, left = np.array(known.centre_lps_mm), np.array(known.left)
        points = np.array([centre + side * reach * left for side in (-1, 1) for reach in (28.0, 34.0, 40.0)])
        return float(np.mean(hu_at(case, points) < -500))

    assert beside("C7") == 0.0
    assert beside("T3") > 0.6


def test_a_bridge_joins_two_bodies_in_front_of_their_disc() -> None:
    with_bridge = coarse(top=("L1", 0.0), bottom=("L2", 0.0), bridges=("L1",), noise_hu=0.0)
    without = coarse(top=("L1", 0.0), bottom=("L2", 0.0), noise_hu=0.0)
    more = with_bridge.hu.astype(int) - without.hu
    assert np.count_nonzero(more > 150) > 20
    assert np.count_nonzero(more < -150) == 0


def test_the_same_number_is_the_same_person() -> None:
    assert person(7) == person(7)
    assert person(7) != person(8)


def test_every_group_has_people() -> None:
    people = [person(number) for number in range(160)]
    counted = [name for one in people for name in groups(one)]
    assert min(counted.count(name) for name in set(counted)) >= 3
    assert len(set(counted)) == 22
    assert all(described(one) for one in people)
