"""VOIs against those of their neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.settings import SuitabilityLimits
from node.domain.spine import Voi
from node.domain.volume import Mask
from node.imaging.neighbours import USUAL, compared

LIMITS = SuitabilityLimits()
COLUMN = ("T11", "T12", "L1", "L2", "L3")


def column(l1_hu: float = 140.0, **changed: float) -> dict[str, Voi]:
    """A patient whose L1 reads so much."""
    mask = Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))
    return {
        level: Voi(
            mask,
            (0.0, 0.0, 0.0),
            4000.0,
            changed.get(level, l1_hu * USUAL[level]),
            25.0,
            2.0,
            None,
            hu_quartiles=(l1_hu - 17.0, l1_hu + 17.0),
        )
        for level in COLUMN
    }


def excluded(vois: dict[str, Voi]) -> dict[str, str | None]:
    return {level: voi.exclusion for level, voi in compared(vois, LIMITS).items() if voi.exclusion}


@pytest.mark.parametrize("l1_hu", [15.0, 60.0, 140.0, 300.0])
def test_a_usual_course_excludes_nobody(l1_hu: float) -> None:
    assert excluded(column(l1_hu)) == {}


@pytest.mark.parametrize("hu", [20.0, 290.0])
def test_a_body_filled_by_a_lesion_is_excluded(hu: float) -> None:
    assert excluded(column(L1=hu)) == {"L1": "lesion"}
    assert "neighbours suggest 140 HU" in str(compared(column(L1=hu), LIMITS)["L1"].exclusion_message)


def test_neighbours_that_differ_by_a_fifth_are_healthy() -> None:
    assert excluded(column(L1=115.0, L3=155.0)) == {}


def test_coarse_strands_are_a_lesion_whatever_their_mean() -> None:
    vois = column()
    vois["L2"] = replace(vois["L2"], hu_quartiles=(20.0, 190.0))
    assert excluded(vois) == {"L2": "lesion"}


def test_a_bone_island_that_widens_the_standard_deviation_alone_is_none() -> None:
    vois = column()
    vois["L1"] = replace(vois["L1"], hu_sd=130.0, dense_part=0.19)
    assert excluded(vois) == {}


def test_what_is_excluded_already_is_no_measure_for_others() -> None:
    vois = column(l1_hu=140.0, T12=900.0, L2=600.0, L3=600.0)
    vois |= {level: replace(vois[level], exclusion="cement") for level in ("T12", "L2", "L3")}
    assert compared(vois, LIMITS)["L1"].exclusion is None
    assert compared(vois, LIMITS)["L2"].exclusion == "cement"


def test_a_single_neighbour_tells_nothing() -> None:
    vois = column(L1=300.0)
    assert excluded({level: vois[level] for level in ("L1", "L2")}) == {}


def test_a_vertebra_that_a_lesion_fills_in_part_is_left_out() -> None:
    vois = {level: replace(voi, local_quartiles_apart_hu=8.0) for level, voi in column().items()}
    vois["L2"] = replace(vois["L2"], local_quartiles_apart_hu=45.0)
    assert excluded(vois) == {"L2": "lesion"}


def test_coarse_texture_of_the_whole_column_is_no_lesion() -> None:
    vois = {level: replace(voi, local_quartiles_apart_hu=34.0) for level, voi in column().items()}
    vois["L2"] = replace(vois["L2"], local_quartiles_apart_hu=45.0)
    assert excluded(vois) == {}
