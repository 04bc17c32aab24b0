"""Every vertebra of a synthetic abdomen against its truth, and of worsened copies of it."""

from __future__ import annotations

import numpy as np
import pytest

from node.domain.volume import SourceImage, Volume
from node.errors import SpineNotFound
from node.imaging import body
from node.imaging.spine import locate
from node.imaging.spine.locate import SpineTrace
from node.imaging.spine.signs import is_rib
from node.synthetic.truth import SyntheticCase
from tests.benchmarks import spine_cases
from tests.benchmarks.spine_accuracy import judge
from tests.benchmarks.spine_cases import Case, Worsen

ABDOMEN = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")


def as_case(abdomen: SyntheticCase) -> Case:
    levels = {n: v for n, v in abdomen.truth.levels.items() if v.visible == "full" and n[0] in "TL"}
    centres = {name: np.array(level.centre_lps_mm) for name, level in levels.items()}
    return Case("abdomen", abdomen.volume(), centres, {name: np.array(v.superior) for name, v in levels.items()})


def test_every_vertebra_is_found_and_named(traced: SpineTrace) -> None:
    assert tuple(seed.level for seed in traced.spine.seeds) == ABDOMEN


def test_centres_are_the_bodies_centroids(traced: SpineTrace, abdomen: SyntheticCase) -> None:
    errors = [
        np.linalg.norm(seed.frame.centre_lps_mm - abdomen.truth.levels[seed.level].centre_lps_mm)
        for seed in traced.spine.seeds
    ]
    assert max(errors) < 3.0
    assert np.median(errors) < 1.5


def test_axes_follow_the_endplates(traced: SpineTrace, abdomen: SyntheticCase) -> None:
    for seed in traced.spine.seeds:
        known = abdomen.truth.levels[seed.level]
        assert seed.frame.superior @ known.superior > np.cos(np.deg2rad(10))
        assert seed.frame.posterior @ known.posterior > np.cos(np.deg2rad(10))
        assert np.allclose(np.cross(seed.frame.left, seed.frame.posterior), seed.frame.superior, atol=1e-6)


def test_sizes_are_the_bodies_sizes(traced: SpineTrace, abdomen: SyntheticCase) -> None:
    for seed in traced.spine.seeds:
        known = abdomen.truth.levels[seed.level]
        assert seed.height_mm == pytest.approx(known.middle_mm, abs=4.0)
        assert seed.width_mm == pytest.approx(known.width_mm, abs=7.0)
        assert seed.depth_mm == pytest.approx(known.depth_mm, abs=7.0)


def test_the_canal_runs_through_the_canal(traced: SpineTrace, abdomen: SyntheticCase) -> None:
    path = traced.spine.canal_centres_lps_mm
    assert path[0, 2] > path[-1, 2]
    for centre in abdomen.truth.canal_centres_lps_mm:
        if path[-1, 2] < centre[2] < path[0, 2]:
            at = np.array([np.interp(centre[2], path[::-1, 2], path[::-1, a]) for a in range(2)])
            assert np.linalg.norm(at - centre[:2]) < 8.0


def test_ribs_are_seen_where_they_are(traced: SpineTrace, abdomen: SyntheticCase) -> None:
    for level, signs in zip(traced.naming.names, traced.signs, strict=True):
        if level in ABDOMEN:
            bearing = is_rib(signs.reach[0]) and is_rib(signs.reach[1])
            assert bearing == abdomen.truth.levels[level].has_ribs, level


def test_both_ways_of_counting_agree(traced: SpineTrace) -> None:
    assignment = traced.spine.assignment
    assert assignment.agreement == "agree"
    assert assignment.confidence > 0.9


def test_the_same_scan_gives_the_same_spine(traced: SpineTrace, abdomen: SyntheticCase) -> None:
    volume = abdomen.volume()
    again = locate(volume, body.separate(volume, "HFS"))
    for a, b in zip(traced.spine.seeds, again.seeds, strict=True):
        assert np.array_equal(a.frame.centre_lps_mm, b.frame.centre_lps_mm)


@pytest.mark.parametrize(
    "worsen",
    [
        spine_cases.noisy(80),
        spine_cases.thick(5),
        spine_cases.osteoporotic,
        spine_cases.turned(15, (1, 2)),
        spine_cases.turned(10, (0, 1)),
        spine_cases.narrow(75),
    ],
    ids=["noise", "thick slices", "osteoporosis", "rolled", "pitched", "narrow field"],
)
def test_a_worse_scan_gives_the_same_vertebrae(abdomen: SyntheticCase, worsen: Worsen) -> None:
    outcome = judge("", worsen(as_case(abdomen)))
    assert outcome.found == outcome.present >= 7
    assert not outcome.wrong
    assert max(outcome.errors_mm) < 4.0


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.6), (0.35, 1.0), (0.2, 0.8)])
def test_any_range_is_named_rightly_or_with_doubt(abdomen: SyntheticCase, low: float, high: float) -> None:
    outcome = judge("", spine_cases.cropped(low, high)(as_case(abdomen)))
    assert outcome.found == outcome.present >= 3
    assert not outcome.wrong or outcome.confidence < 0.7


def test_vertebrae_cut_by_the_scan_are_incomplete(abdomen: SyntheticCase) -> None:
    volume = abdomen.volume()
    k = round(float(volume.index_kji(abdomen.truth.levels["L1"].centre_lps_mm)[0]))
    cut = spine_cases.cropped(k / len(volume.hu), 1.0)(as_case(abdomen))
    complete = {seed.level: seed.complete for seed in locate(cut.volume).seeds}
    assert complete.get("L1") is False
    assert complete["T11"] is True


def test_no_spine_is_said_so() -> None:
    water = np.zeros((40, 64, 64), np.int16)
    affine = np.array([[0.0, 0, 5, 0], [0, 5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1]])
    with pytest.raises(SpineNotFound):
        locate(Volume(water, affine, "2.25.1", tuple(SourceImage("1", "2") for _ in range(40))))
