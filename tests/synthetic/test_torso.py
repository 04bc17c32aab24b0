"""The whole case: its voxels agree with its truth."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from node.synthetic.phantoms import MODELS
from node.synthetic.spec import Fracture
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests.synthetic.measured import SMALL, central_hu, density, hu_at, line, rod_means, small


@pytest.fixture(scope="module")
def case() -> SyntheticCase:
    return make(SMALL)


@pytest.fixture(scope="module")
def whole() -> SyntheticCase:
    """T1 to the hips on coarse voxels."""
    return make(
        small(matrix=192, spacing_mm=3.0, thickness_mm=3.0, top=("T1", 30.0), bottom=("S5", -40.0), phantom=None)
    )


def test_the_same_spec_gives_the_same_voxels(case: SyntheticCase) -> None:
    again = make(SMALL)
    assert np.array_equal(case.hu, again.hu)
    assert np.array_equal(case.labels, again.labels)


def test_another_seed_gives_another_patient(case: SyntheticCase) -> None:
    other = make(replace(SMALL, seed=6))
    here, there = case.truth.levels["L1"], other.truth.levels["L1"]
    assert here.width_mm != there.width_mm


def test_slabs_leave_no_seam(case: SyntheticCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.synthetic.torso.SLAB_VOXELS", 256 * 256 * 7)
    assert np.abs(make(SMALL).hu.astype(int) - case.hu).max() <= 1


def test_a_case_of_256_is_made_in_seconds() -> None:
    start = time.process_time()
    make(small(top=("T9", 16.0), bottom=("S1", -25.0)))
    assert time.process_time() - start < 8.0


@pytest.mark.parametrize("model", list(MODELS.values()), ids=list(MODELS))
def test_every_phantom_gives_back_the_density_put_in(model) -> None:  # type: ignore[no-untyped-def]
    made = make(small(phantom=model, noise_hu=3.0))
    for level in ("L1", "L2"):
        assert density(made, level) == pytest.approx(made.truth.levels[level].vbmd_mg_cm3, abs=1.2)


@pytest.mark.parametrize(
    "changes",
    [
        {"kvp": 80.0, "scanner_offset_hu": 5.0},
        {"kvp": 140.0, "scanner_slope": 0.97},
        {"patient_position": "HFP"},
        {"roll_deg": 14.0, "pitch_deg": 4.0, "yaw_deg": 5.0},
        {"scoliosis_cobb_deg": 30.0},
        {"thickness_mm": 5.0, "spacing_mm": 5.0},
        {"gantry_tilt_deg": 10.0},
        {"kernel": "sharp", "ctdi_mgy": 16.0},
        {"bmi": 36.0, "fov_mm": 500.0},
        {"vbmd_mg_cm3": 45.0, "sex": "F", "age_years": 80, "height_cm": 152.0},
    ],
    ids=str,
)
def test_the_density_put_in_is_in_the_voxels_however_it_is_scanned(changes: dict[str, object]) -> None:
    made = make(small(**changes))
    for level in ("L1", "L2"):
        assert density(made, level) == pytest.approx(made.truth.levels[level].vbmd_mg_cm3, abs=2.0)


def test_rods_read_their_true_attenuation(case: SyntheticCase) -> None:
    assert case.truth.phantom is not None
    assert rod_means(case) == pytest.approx([rod.hu for rod in case.truth.phantom.rods], abs=1.5)


def test_the_line_through_the_rods_is_the_true_one(case: SyntheticCase) -> None:
    sigma, beta = line(case)
    assert sigma == pytest.approx(case.truth.sigma_ct, rel=0.005)
    assert beta == pytest.approx(case.truth.beta_ct, abs=1.0)


def test_density_per_level_is_an_input() -> None:
    made = make(small(vbmd_by_level={"L1": 61.0, "L2": 133.0}, noise_hu=2.0))
    assert density(made, "L1") == pytest.approx(61.0, abs=1.0)
    assert density(made, "L2") == pytest.approx(133.0, abs=1.0)


def test_contrast_medium_shows_in_the_apparent_density_alone() -> None:
    made = make(small(contrast="portal", noise_hu=2.0))
    level = made.truth.levels["L1"]
    assert level.apparent_vbmd_mg_cm3 - level.vbmd_mg_cm3 == pytest.approx(6.4)
    assert density(made, "L1") == pytest.approx(level.apparent_vbmd_mg_cm3, abs=1.0)


def test_labels_lie_where_the_truth_puts_the_bodies(whole: SyntheticCase) -> None:
    for level in whole.truth.levels.values():
        if level.visible != "full":
            continue
        index = np.argwhere(whole.labels == level.label)
        centre = index.mean(axis=0) @ whole.affine_lps_mm[:3, :3].T + whole.affine_lps_mm[:3, 3]
        assert np.linalg.norm(centre - np.array(level.centre_lps_mm)) < 1.2, level.level


def test_levels_come_head_to_foot(whole: SyntheticCase) -> None:
    z = [level.centre_lps_mm[2] for level in whole.truth.levels.values()]
    assert z == sorted(z, reverse=True)
    assert list(whole.truth.levels)[1] == "T1"


def test_each_vertebra_has_posterior_elements_behind_its_body(whole: SyntheticCase) -> None:
    for level in whole.truth.levels.values():
        if level.visible == "full" and level.label < 26:
            behind = np.argwhere(whole.labels == 100 + level.label)
            centre = behind.mean(axis=0) @ whole.affine_lps_mm[:3, :3].T + whole.affine_lps_mm[:3, 3]
            assert (centre - np.array(level.centre_lps_mm)) @ np.array(level.posterior) > 20.0


def test_the_canal_holds_no_bone(whole: SyntheticCase) -> None:
    inside = [p for p in whole.truth.canal_centres_lps_mm[:19] if p[2] < whole.truth.levels["T2"].centre_lps_mm[2]]
    assert hu_at(whole, np.array(inside)).max() < 130.0


def test_endplates_of_the_label_lie_at_the_true_landmarks(case: SyntheticCase) -> None:
    inverse = np.linalg.inv(case.affine_lps_mm)
    for name in ("L1", "L2"):
        level = case.truth.levels[name]
        for n, (upper, lower) in enumerate(zip(level.points_lps_mm[::2], level.points_lps_mm[1::2], strict=True)):
            axis = np.array(level.superior)
            for point, inward in ((upper, -axis), (lower, axis)):
                for step, expected in ((2.5, level.label), (-2.5, 0)):
                    p = np.array(point) + step * inward - 0.8 * (n - 1) * np.array(level.posterior)
                    k, j, i = np.rint(inverse[:3, :3] @ p + inverse[:3, 3]).astype(int)
                    assert case.labels[k, j, i] == expected


@pytest.mark.parametrize(
    ("fracture", "index"), [(Fracture("wedge", 0.3), 0), (Fracture("biconcave", 0.3), 1), (Fracture("crush", 0.45), 2)]
)
def test_a_fracture_loses_the_height_that_was_asked_for(fracture: Fracture, index: int) -> None:
    sound = make(small(matrix=32, spacing_mm=20.0)).truth.levels["L2"]
    broken = make(small(matrix=32, spacing_mm=20.0, fractures={"L2": fracture})).truth.levels["L2"]
    before = (sound.anterior_mm, sound.middle_mm, sound.posterior_mm)[index]
    after = (broken.anterior_mm, broken.middle_mm, broken.posterior_mm)[index]
    assert 1.0 - after / before == pytest.approx(fracture.loss, abs=0.03)
    assert broken.genant_grade == (3 if fracture.loss > 0.4 else 2)


def bone_beside(case: SyntheticCase, level: str, outward_mm: tuple[float, float]) -> bool:
    """Whether bone lies beside and behind a vertebra, so far out from its middle, on both sides."""
    truth = case.truth.levels[level]
    left, back, up = (np.array(axis) for axis in (truth.left, truth.posterior, truth.superior))
    found = []
    for side in (1.0, -1.0):
        u, v, w = np.meshgrid(np.linspace(*outward_mm, 8), np.linspace(15, 60, 16), np.linspace(-45, 12, 20))
        points = np.array(truth.centre_lps_mm) + side * u.reshape(-1, 1) * left
        points = points + v.reshape(-1, 1) * back + w.reshape(-1, 1) * up
        found.append(hu_at(case, points).max() > 250.0)
    return all(found)


@pytest.mark.parametrize(("pairs", "last"), [(11, "T11"), (12, "T12")])
def test_the_last_rib_is_on_the_right_vertebra(pairs: int, last: str) -> None:
    made = make(small(rib_pairs=pairs, top=("T9", 10.0), bottom=("L2", -20.0), noise_hu=0.0))
    below = {"T11": "T12", "T12": "L1"}[last]
    assert bone_beside(made, last, (52.0, 66.0))
    assert made.truth.levels[last].has_ribs
    assert not made.truth.levels[below].has_ribs
    assert not bone_beside(replace(made, hu=_without_above(made, last)), below, (55.0, 66.0))


def _without_above(case: SyntheticCase, level: str) -> np.ndarray:  # type: ignore[type-arg]
    """Voxels with everything above and at the height of a level's last rib taken away."""
    z = case.truth.levels[level].centre_lps_mm[2] - 75.0
    hu = case.hu.copy()
    hu[int((z - case.affine_lps_mm[2, 3]) / case.affine_lps_mm[2, 0]) :] = 0
    return hu


def test_a_thirteenth_pair_of_ribs_sits_on_l1() -> None:
    assert make(small(matrix=32, spacing_mm=20.0, rib_pairs=13)).truth.levels["L1"].has_ribs


def test_a_lumbarised_s1_is_a_sixth_lumbar_vertebra() -> None:
    levels = list(make(small(matrix=32, spacing_mm=20.0, lumbosacral="lumbarised-S1")).truth.levels)
    assert levels[levels.index("L5") + 1] == "L6"


def test_what_the_scan_does_not_hold_is_not_called_visible(case: SyntheticCase) -> None:
    seen = {name: level.visible for name, level in case.truth.levels.items()}
    assert (seen["T11"], seen["T12"], seen["L1"], seen["L2"], seen["L3"]) == (
        "none",
        "partial",
        "full",
        "full",
        "partial",
    )


def test_prone_the_phantom_lies_in_front_of_the_body() -> None:
    made = make(small(matrix=64, spacing_mm=10.0, patient_position="HFP"))
    assert made.truth.phantom is not None
    assert made.truth.phantom.rods[2].ends_lps_mm[0][1] < made.truth.levels["L1"].centre_lps_mm[1] - 100.0


def test_rods_come_mirrored_when_the_slab_is_turned_round() -> None:
    ahead = make(small(matrix=32, spacing_mm=20.0)).truth.phantom
    turned = make(small(matrix=32, spacing_mm=20.0, phantom_reversed=True)).truth.phantom
    assert ahead is not None
    assert turned is not None
    assert ahead.rods[0].ends_lps_mm[0][0] == pytest.approx(-turned.rods[0].ends_lps_mm[0][0])


def test_padding_fills_the_corners_and_nothing_else(case: SyntheticCase) -> None:
    padded = make(small(padding_hu=-3024))
    assert (padded.hu[:, 0, 0] == -3024).all()
    assert padded.hu[:, 128, 128].min() > -1025


def test_noise_falls_with_dose() -> None:
    spread = []
    for dose in (2.0, 8.0):
        made = make(small(ctdi_mgy=dose, top=("L1", 10.0), bottom=("L1", -10.0)))
        quiet = make(small(noise_hu=0.0, top=("L1", 10.0), bottom=("L1", -10.0)))
        spread.append(float((made.hu - quiet.hu)[:, 100:150, 100:150].std()))
    assert spread[0] / spread[1] == pytest.approx(2.0, rel=0.05)


def test_screws_shine_and_streak() -> None:
    slices = {"top": ("L2", 12.0), "bottom": ("L2", -4.0), "noise_hu": 0.0}
    made, plain = make(small(screws=("L2",), **slices)), make(small(**slices))
    assert made.hu.max() == 3071
    away = np.abs(made.hu.astype(int) - plain.hu)[:, :110, :]
    assert away.max() > 30


def test_cement_fills_the_body() -> None:
    made = make(small(cement=("L1",), noise_hu=0.0))
    assert central_hu(made, made.truth.levels["L1"]) > 600.0
    assert made.truth.levels["L1"].cement


def test_a_lytic_focus_lowers_and_a_sclerotic_one_raises_what_is_read() -> None:
    made = make(small(lesions={"L1": "lytic", "L2": "sclerotic"}, noise_hu=0.0))
    levels = made.truth.levels
    assert central_hu(made, levels["L1"]) < levels["L1"].trabecular_hu - 10
    assert central_hu(made, levels["L2"]) > levels["L2"].trabecular_hu + 100


def test_degeneration_leaves_the_density_as_it_is() -> None:
    made = make(small(degeneration=1.0, noise_hu=2.0))
    assert density(made, "L1") == pytest.approx(made.truth.levels["L1"].vbmd_mg_cm3, abs=1.5)


def test_cupping_lowers_the_middle_of_the_field_alone() -> None:
    slices = {"top": ("L1", 6.0), "bottom": ("L1", -6.0), "noise_hu": 0.0}
    less = make(small(cupping_hu=20.0, **slices)).hu.astype(int) - make(small(**slices)).hu
    assert less[:, 120:136, 120:136].min() == pytest.approx(-20, abs=1)
    assert abs(less[:, 128, 3]).max() <= 1
