"""Sentences about single vertebrae."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.domain.settings import LevelLimits
from node.domain.spine import Contour, Deformity, Frame, Heights, Vertebra, Voi
from node.domain.volume import Mask
from node.imaging.remarks import remarks

EMPTY = Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))


def voi(exclusion: str | None = None, message: str | None = None, dense: float = 0.0, sparse: float = 0.0) -> Voi:
    return Voi(
        EMPTY, (0.0, 0.0, 0.0), 4000.0, 140.0, 20.0, 2.0, exclusion, message, dense_part=dense, sparse_part=sparse
    )


def vertebra(bulge: float | None, grade: int) -> Vertebra:
    frame = Frame(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]))
    deformity = Deformity("wedge" if grade else "none", 30.0 * bool(grade), 2 if grade else 0, 0.9)
    heights = Heights(26.0, 25.0, 27.0, ((0.0, 0.0, 0.0),) * 6)
    return Vertebra("L1", 0.9, True, frame, EMPTY, heights, deformity, Contour(posterior_bulge_mm=bulge))


def test_a_substitute_is_named_with_the_reason_of_what_it_stands_in_for() -> None:
    vois = {"L1": voi("fracture", "L1 has lost 31 % of its height."), "L2": voi(), "L3": voi()}
    (said,) = remarks((), vois, ("L2", "L3"), LevelLimits(substitutes=("L3",)))
    assert (said.code, said.effect) == ("substituted", "warn")
    assert said.message == "L3 stands in for L1: L1 has lost 31 % of its height."


def test_a_target_outside_the_scan_is_said_to_be() -> None:
    (said,) = remarks((), {"L1": voi(), "T12": voi()}, ("L1", "T12"), LevelLimits(substitutes=("T12",)))
    assert said.message == "T12 stands in for L2: L2 is not wholly in the scan."


def test_what_a_density_leaves_out_is_said() -> None:
    codes = [one.message for one in remarks((), {"L1": voi(dense=0.08, sparse=0.01)}, ("L1",), LevelLimits())]
    assert codes == [
        "8 % of the spongiosa of L1 is much denser than the rest (a bone island or sclerosis); it is left out."
    ]


def test_targets_in_the_mean_need_no_remark() -> None:
    assert remarks((vertebra(-1.0, 0),), {"L1": voi(), "L2": voi()}, ("L1", "L2"), LevelLimits()) == ()


def test_a_convex_posterior_wall_is_said_of_candidates_alone() -> None:
    assert [one.code for one in remarks((vertebra(3.1, 2),), {}, (), LevelLimits())] == ["posterior-wall"]
    assert remarks((vertebra(3.1, 0),), {}, (), LevelLimits()) == ()
    assert remarks((vertebra(None, 2),), {}, (), LevelLimits()) == ()


def with_endplates(level: str, superior: float | None, inferior: float | None) -> Vertebra:
    contour = Contour(superior_depression_mm=superior, inferior_depression_mm=inferior)
    return replace(vertebra(None, 0), level=level, contour=contour)


def test_an_endplate_pressed_in_more_than_the_others_is_said() -> None:
    column = [with_endplates(level, 1.2, 1.5) for level in ("T11", "T12", "L2", "L3")]
    (said,) = remarks((*column, with_endplates("L1", 5.0, 1.4)), {}, (), LevelLimits())
    assert said.code == "endplate-depression"
    assert said.message.startswith(
        "The superior endplate of L1 is pressed in by 5 mm, those of the other vertebrae by 1 mm"
    )


def test_hollow_endplates_are_no_finding_where_all_are_or_too_few_were_seen() -> None:
    hollow = tuple(with_endplates(level, 4.0, 4.5) for level in ("T11", "T12", "L1", "L2", "L3"))
    assert remarks(hollow, {}, (), LevelLimits()) == ()
    few = (with_endplates("L1", 6.0, 1.0), with_endplates("L2", 1.0, 1.0), with_endplates("L3", None, None))
    assert remarks(few, {}, (), LevelLimits()) == ()


def test_levels_without_heights_are_named() -> None:
    unread = [replace(vertebra(None, 0), level=level, heights=None) for level in ("T2", "L1", "L2")]
    (said,) = remarks(unread, {}, (), LevelLimits())
    assert said.code == "heights-not-stated"
    assert said.message.startswith("Heights of L1, L2 are not known well enough")
