"""Names from signs alone: no images here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from node.imaging.spine.levels import VARIANTS, Naming, hypotheses_for, name
from node.imaging.spine.ribs import Reach
from node.imaging.spine.signs import Signs

RIB = Reach(100.0, 80.0, cut=False, fall_mm=30.0)
PROCESS = Reach(42.0, 20.0, cut=False, fall_mm=0.0)
UNSEEN = Reach(25.0, 5.0, cut=True, fall_mm=0.0)


def sign(
    reach: Reach = UNSEEN, *, left: Reach | None = None, sacral: float | None = None, lung: float | None = None
) -> Signs:
    return Signs((reach, left if left is not None else reach), sacral, lung)


def abdomen(ribs: int, free: int, *, sacrum: bool = True) -> list[Signs]:
    """So many vertebrae with ribs, so many without, and the first of the sacrum."""
    column = [sign(RIB, sacral=-6.0) for _ in range(ribs)]
    column += [sign(PROCESS, sacral=-7.5) for _ in range(free - 1)] + [sign(PROCESS, sacral=-3.0)]
    return column + ([sign(Reach(40.0, 20.0, False, 0.0), sacral=3.0)] if sacrum else [])


def surest(naming: Naming) -> dict[str, float]:
    return dict(zip(naming.names, naming.confidence, strict=True))


def test_ribs_and_sacrum_that_agree_give_a_sure_name() -> None:
    naming = name(abdomen(ribs=4, free=5))
    assert naming.names == ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
    assert naming.assignment.agreement == "agree"
    assert naming.assignment.confidence > 0.95


def test_ribs_alone_name_with_less_confidence() -> None:
    naming = name([sign(RIB), sign(RIB), sign(RIB), sign(PROCESS), sign(PROCESS)])
    assert naming.names[3] == "L1"
    assert naming.assignment.agreement == "single"
    assert 0.8 < naming.assignment.confidence < name(abdomen(4, 5)).assignment.confidence


def test_the_sacrum_alone_counts_up() -> None:
    naming = name([sign(PROCESS, sacral=-7.0), sign(PROCESS, sacral=-3.5), sign(UNSEEN, sacral=3.0)])
    assert naming.names == ("L4", "L5", "S1")


def test_six_free_vertebrae_below_the_ribs_are_ambiguous() -> None:
    naming = name(abdomen(ribs=3, free=6))
    assert naming.assignment.confidence < 0.7


def test_six_free_vertebrae_are_plain_when_all_ribs_are_counted() -> None:
    neck = [sign(PROCESS, lung=0.0)] * 2
    first = Reach(66.0, 51.0, cut=False, fall_mm=12.0)
    chest = [sign(first, lung=0.1), *[sign(RIB, lung=0.8)] * 11]
    naming = name([*neck, *chest, *abdomen(ribs=0, free=6)])
    assert naming.names[-7:] == ("L1", "L2", "L3", "L4", "L5", "L6", "S1")
    assert surest(naming)["L1"] > 0.7


def test_nothing_but_lumbar_looks_is_never_sure() -> None:
    naming = name([sign(UNSEEN), sign(PROCESS), sign(UNSEEN)])
    assert naming.assignment.confidence < 0.5
    assert naming.assignment.agreement == "none"


def test_a_chest_that_ends_in_ribs_is_not_sure_of_its_last_name() -> None:
    naming = name([sign(RIB, lung=0.8)] * 6)
    assert naming.assignment.confidence < 0.7


def test_one_missed_rib_does_not_move_the_names() -> None:
    column = abdomen(ribs=4, free=5)
    column[2] = sign(PROCESS, left=RIB, sacral=-6.0)
    assert name(column).names[4] == "L1"


def test_a_rib_cut_by_the_scans_end_tells_nothing_against_it() -> None:
    cut = name([sign(RIB), sign(RIB), sign(UNSEEN)])
    whole = name([sign(RIB), sign(RIB), sign(PROCESS)])
    assert surest(whole).get("L1", 0.0) > surest(cut).get("L1", 0.0)


def test_a_falling_bone_cut_by_the_field_counts_as_a_rib() -> None:
    falling = Reach(44.0, 23.0, cut=True, fall_mm=14.0)
    naming = name([sign(falling), sign(falling), sign(PROCESS), sign(PROCESS)])
    assert naming.names[2] == "L1"


def test_short_last_ribs_leave_doubt() -> None:
    column = abdomen(ribs=4, free=5)
    column[3] = sign(PROCESS, sacral=-6.0)
    assert name(column).assignment.confidence < name(abdomen(4, 5)).assignment.confidence


def test_long_ribs_above_four_free_vertebrae_are_the_twelfth() -> None:
    naming = name(abdomen(ribs=5, free=4))
    assert naming.assignment.agreement == "conflict"
    assert naming.names[4:6] == ("T12", "L1")


def test_short_ribs_above_four_free_vertebrae_leave_doubt() -> None:
    column = abdomen(ribs=5, free=4)
    column[4] = sign(Reach(64.0, 43.0, cut=False, fall_mm=15.0), sacral=-6.0)
    naming = name(column)
    assert naming.assignment.confidence < 0.8
    other = naming.assignment.alternatives[0]
    assert {naming.names[4], other.names[naming.names[4]]} == {"T12", "L1"}


def test_processes_that_lengthen_to_the_third_tell_short_ribs_from_a_sixth_lumbar() -> None:
    column = abdomen(ribs=3, free=6)
    for i, beside in enumerate((14.0, 15.0, 18.0, 23.0, 19.0, 21.0)):
        reach = Reach(22.0 + beside, beside, cut=False, fall_mm=0.0)
        column[3 + i] = sign(reach, sacral=column[3 + i].sacral)
    assert name(column).names[3] == "T12"


def test_the_first_rib_bends_forward_early() -> None:
    def rib(reach: float, lung: float) -> Signs:
        return sign(Reach(reach, reach - 14.0, cut=reach > 99, fall_mm=12.0), lung=lung)

    cage = [rib(58.0, 0.2), rib(78.0, 0.6), *[rib(100.0, 0.9)] * 9]
    naming = name([sign(PROCESS, lung=0.0), *cage, sign(PROCESS), sign(PROCESS), sign(PROCESS)])
    assert naming.names[1] == "T1"
    assert naming.names[12] == "T12"
    assert "first-rib" in {anchor.name for anchor in naming.assignment.anchors}


def test_a_childs_ribs_are_ribs() -> None:
    small = Reach(45.0, 32.0, cut=False, fall_mm=10.0)
    column = [Signs((small, small), None, None, 22.0, 18.0) for _ in range(4)]
    assert name(column).assignment.rib_pairs_seen == 4


def test_rib_pairs_are_counted_on_both_sides() -> None:
    column = abdomen(ribs=3, free=5)
    column[0] = sign(RIB, left=UNSEEN, sacral=-6.0)
    assert name(column).assignment.rib_pairs_seen == 2


def test_anchors_say_what_was_seen() -> None:
    anchors = {anchor.name: anchor for anchor in name(abdomen(4, 5)).assignment.anchors}
    assert anchors["ribs"].level_of_first == "T9"
    assert "T12" in anchors["ribs"].evidence
    assert "L5" in anchors["sacrum"].evidence


def test_a_target_that_is_cut_lowers_the_chance_of_one() -> None:
    signs = [sign(RIB), sign(RIB), sign(RIB), sign(PROCESS)]
    seen, cut = name(signs, [True] * 4), name(signs, [True, True, True, False])
    assert seen.assignment.lumbar_target_chance > 0.8 > cut.assignment.lumbar_target_chance


@pytest.mark.parametrize("count", [1, 5, 17, 24])
def test_hypotheses_name_every_vertebra_once(count: int) -> None:
    for hypothesis in hypotheses_for(count):
        levels: Sequence[str] = [place.level for place in hypothesis.places]
        assert len(set(levels)) == len(levels) == count


def test_variants_are_all_people() -> None:
    assert sum(VARIANTS.values()) == pytest.approx(1.0, abs=0.002)


def test_first_lumbar_is_where_l1_stands() -> None:
    for hypothesis in hypotheses_for(10):
        levels = [place.level for place in hypothesis.places]
        if "L1" in levels:
            assert hypothesis.first_lumbar == levels.index("L1")


def test_more_vertebrae_than_a_human_has_are_refused() -> None:
    with pytest.raises(ValueError, match="no human column"):
        name([sign()] * 40)


def test_probabilities_are_between_zero_and_one() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        column = [sign(RIB if rng.random() < 0.5 else PROCESS, sacral=float(rng.normal(-4, 4))) for _ in range(8)]
        assert all(0.0 <= chance <= 0.99 for chance in name(column).confidence)
