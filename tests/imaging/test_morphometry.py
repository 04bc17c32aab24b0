"""Deformity of made-up heights, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.settings import FractureLimits
from node.domain.spine import Contour, Deformity, Frame, Heights, SideHeights, Vertebra
from node.domain.volume import Mask
from node.imaging.healthy_heights import CONCAVITY_NORM, NORMS
from node.imaging.morphometry import deformities, stated

COLUMN = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
NOWHERE = ((0.0, 0.0, 0.0),) * 6


def vertebra(level: str, anterior: float, middle: float, posterior: float, error: float = 0.7) -> Vertebra:
    frame = Frame(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]))
    heights = Heights(anterior, middle, posterior, NOWHERE, (error, error, error))
    return Vertebra(level, 0.9, True, frame, Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool)), heights, None)


def normal(level: str, size: float = 1.0) -> Vertebra:
    posterior = size * NORMS[level].posterior_mm
    anterior = posterior * NORMS[level].wedge
    return vertebra(level, anterior, CONCAVITY_NORM * 0.5 * (anterior + posterior), posterior)


def among_normal(changed: Vertebra, size: float = 1.0) -> Deformity:
    column = [changed if level == changed.level else normal(level, size) for level in COLUMN]
    found = deformities(column)[COLUMN.index(changed.level)].deformity
    assert found is not None
    return found


@pytest.mark.parametrize("size", [0.8, 1.0, 1.2])
def test_a_normal_column_has_no_deformity(size: float) -> None:
    for found in deformities([normal(level, size) for level in COLUMN]):
        assert found.deformity is not None
        assert found.deformity.type == "none"
        assert found.deformity.confidence > 0.95


def test_a_normal_l5_that_is_shorter_behind_is_no_fracture() -> None:
    """Means of 196 adults: 30.3 before, 26.3 mm behind; largest and smallest differ by 21 % with the middle."""
    assert among_normal(vertebra("L5", 30.3, 24.0, 26.3)).type == "none"


def test_a_physiological_wedge_of_the_thoracolumbar_junction_is_no_fracture() -> None:
    """0.89 is the mean of L1 on MRI."""
    assert among_normal(vertebra("L1", 0.88 * 27.0, 0.92 * 0.94 * 27.0, 27.0)).type == "none"


def test_a_wedge_of_thirty_percent_is_grade_two() -> None:
    found = among_normal(vertebra("L1", 0.70 * 0.93 * 27.0, 0.80 * 27.0, 27.0))
    assert (found.type, found.genant_grade) == ("wedge", 2)
    assert found.loss_percent == pytest.approx(30.0, abs=1.5)


def test_a_hollow_body_is_biconcave() -> None:
    body = normal("L2")
    assert body.heights is not None
    hollow = replace(body, heights=replace(body.heights, middle_mm=0.55 * body.heights.middle_mm))
    found = among_normal(hollow)
    assert (found.type, found.genant_grade) == ("biconcave", 3)


def test_a_body_low_all_over_is_crushed() -> None:
    """Its own ratios are normal; only the neighbours show the loss."""
    posterior = 0.65 * NORMS["L2"].posterior_mm
    found = among_normal(vertebra("L2", 0.95 * posterior, 0.9 * posterior, posterior))
    assert found.type == "crush"
    assert found.genant_grade == 2


def test_the_same_loss_is_believed_less_where_endplates_are_hidden() -> None:
    clear = among_normal(vertebra("T12", 0.70 * 0.93 * 25.6, 20.0, 25.6, 0.5))
    hidden = among_normal(vertebra("T12", 0.70 * 0.93 * 25.6, 20.0, 25.6, 2.5))
    assert clear.confidence > hidden.confidence


def test_a_doubtful_loss_is_no_candidate_but_is_stated() -> None:
    found = among_normal(vertebra("T12", 0.79 * 0.93 * 25.6, 20.8, 25.6, 2.5))
    assert found.type == "none"
    assert found.loss_percent > 20.0
    assert found.confidence < 0.95


def test_a_clear_wedge_of_twenty_two_percent_is_a_candidate() -> None:
    found = among_normal(vertebra("L2", 0.78 * 0.95 * 27.7, 0.82 * 27.7, 27.7, 0.5))
    assert (found.type, found.genant_grade) == ("wedge", 1)


def test_a_corner_that_is_not_seen_is_read_beside_the_middle() -> None:
    body = vertebra("L1", 10.0, 23.0, 27.0)
    assert body.heights is not None
    hidden = replace(body.heights, standard_errors_mm=(4.0, 0.5, 0.5))
    side = SideHeights(25.1, 23.2, 27.0, (0.5, 0.5, 0.5))
    found = among_normal(replace(body, heights=hidden, contour=Contour(side, side)))
    assert found.type == "none"


def test_ratios_are_stated_with_those_expected() -> None:
    found = among_normal(vertebra("L1", 20.0, 22.0, 25.0)).ratios
    assert found is not None
    assert (found.wedge, found.biconcave) == (pytest.approx(0.8), pytest.approx(0.88))
    assert found.crush == pytest.approx(25.0 / 27.0, abs=0.01)
    assert found.expected_wedge == pytest.approx(0.93, abs=0.01)


def test_two_low_neighbours_do_not_hide_a_crushed_body() -> None:
    low = {"L1", "L2", "L3"}
    column = [normal(level, 0.65 if level in low else 1.0) for level in COLUMN]
    found = {one.level: one.deformity for one in deformities(column)}
    assert {level for level, one in found.items() if one and one.type == "crush"} == low


def test_one_fracture_does_not_make_its_neighbours_abnormal() -> None:
    column = [vertebra("L1", 12.0, 12.5, 14.0) if level == "L1" else normal(level) for level in COLUMN]
    others = [found.deformity for found in deformities(column) if found.level != "L1"]
    assert {found.type for found in others if found} == {"none"}


def test_only_complete_vertebrae_from_t4_down_are_judged() -> None:
    bodies = [vertebra("T2", 14.0, 12.0, 14.0), replace(normal("T4"), complete=False), normal("T5")]
    assert [found.deformity is None for found in deformities(bodies)] == [True, True, False]


def test_a_lone_vertebra_is_judged_by_its_own_ratios() -> None:
    (found,) = deformities([vertebra("L1", 0.6 * 27.0, 0.75 * 27.0, 27.0)])
    assert found.deformity is not None
    assert found.deformity.type == "wedge"


def test_heights_too_uncertain_to_tell_a_fracture_are_not_stated() -> None:
    unsure = replace(vertebra("L1", 26.0, 24.0, 27.0, error=3.8), deformity=Deformity("none", 3.0, 0, 0.9))
    (found,) = stated([unsure])
    assert (found.heights, found.deformity, found.contour) == (None, None, None)


def test_a_candidate_is_stated_however_uncertain_its_heights() -> None:
    collapsed = replace(vertebra("L1", 10.0, 10.0, 26.0, error=3.8), deformity=Deformity("wedge", 58.0, 3, 0.9))
    assert stated([collapsed]) == (collapsed,)
    assert stated([normal("L1")])[0].heights is not None


def test_a_lower_limit_makes_a_doubtful_loss_a_candidate() -> None:
    doubtful = [vertebra("L1", 0.79 * 0.93 * 27.0, 22.5, 27.0) if one == "L1" else normal(one) for one in COLUMN]
    kinds = [
        {one.level: one.deformity for one in deformities(doubtful, FractureLimits(candidate_from=limit))}["L1"]
        for limit in (0.95, 0.1)
    ]
    assert [one and one.type for one in kinds] == ["none", "wedge"]
