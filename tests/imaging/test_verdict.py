"""Which levels count, what the mean is called, and when nothing may be reported."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from node.domain.findings import BoneDensity, Caution, Effect
from node.domain.phantom import Material, PhantomFit, PhantomModel, RodModel, RodReading
from node.domain.quality import CrossCalibration, ScannerKey
from node.domain.settings import CategoryLimits, LevelLimits
from node.domain.spine import Frame, LevelAssignment, Vertebra, Voi
from node.domain.volume import Mask
from node.errors import Confounded, LevelsAmbiguous, LevelsOutsideScan, PhantomOutOfField, VertebraNotMeasurable
from node.imaging import verdict

EMPTY = Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))
LIMITS = CategoryLimits()


def vertebra(level: str, *, complete: bool = True) -> Vertebra:
    frame = Frame(np.zeros(3), *np.eye(3))
    return Vertebra(level, 0.99, complete, frame, EMPTY, None, None)


def voi(z_mm: float = 0.0, exclusion: str | None = None) -> Voi:
    return Voi(EMPTY, (0.0, 0.0, z_mm), 3000.0, 180.0, 20.0, 1.0, exclusion)


def assigned(confidence: float, lumbar_target_chance: float = 1.0) -> LevelAssignment:
    return LevelAssignment((), "agree", 12, confidence, lumbar_target_chance)


def fit(z_low: float, z_high: float) -> PhantomFit:
    rod = RodModel("A", 100.0)
    centres = np.array([[0.0, 0.0, z_low], [0.0, 0.0, z_high]])
    reading = RodReading(rod, 140.0, 5.0, 1000, (0.0, 0.0, 0.0), 9.0, centres, np.array([140.0, 140.0]))
    return PhantomFit(PhantomModel("id", "model", None, "CaHA", (rod,)), (reading,), 1.0, "")


def test_targets_that_are_whole_and_surely_named_are_returned() -> None:
    found = [vertebra(level) for level in ("T12", "L1", "L2", "L3")]
    assert [v.level for v in verdict.require_targets(found, assigned(0.95), LevelLimits())] == ["L1", "L2"]


def test_a_scan_that_ends_above_l1_is_refused_as_outside() -> None:
    with pytest.raises(LevelsOutsideScan, match="L1 and L2 are not wholly in the scan"):
        verdict.require_targets([vertebra("T11"), vertebra("T12", complete=False)], assigned(0.95, 0.01), LevelLimits())


def test_a_scan_that_ends_above_l1_by_every_count_is_outside_though_names_are_unsure() -> None:
    with pytest.raises(LevelsOutsideScan):
        verdict.require_targets([vertebra("T10"), vertebra("T11")], assigned(0.5, 0.05), LevelLimits())


def test_a_scan_that_ends_above_l1_by_one_count_only_is_ambiguous() -> None:
    with pytest.raises(LevelsAmbiguous):
        verdict.require_targets([vertebra("T11"), vertebra("T12")], assigned(0.5, 0.5), LevelLimits())


def test_unsure_names_are_refused_as_ambiguous() -> None:
    with pytest.raises(LevelsAmbiguous):
        verdict.require_targets([vertebra("L1"), vertebra("L2")], assigned(0.5), LevelLimits())


def test_an_excluded_target_leaves_the_mean() -> None:
    assert verdict.select_levels({"L1": voi(), "L2": voi(exclusion="fracture")}, LevelLimits()) == ("L1",)


def test_a_substitute_takes_the_place_of_an_excluded_target_where_allowed() -> None:
    vois = {"L1": voi(exclusion="cement"), "L2": voi(), "L3": voi(), "T12": voi()}
    assert verdict.select_levels(vois, LevelLimits(substitutes=("L3", "T12"))) == ("L2", "L3")


def test_no_suitable_target_is_refused_with_every_reason() -> None:
    with pytest.raises(VertebraNotMeasurable) as refused:
        verdict.select_levels({"L1": voi(exclusion="metal"), "L2": voi(exclusion="fracture")}, LevelLimits())
    assert refused.value.evidence["exclusions"] == {"L1": "metal", "L2": "fracture"}


def test_rods_that_end_above_the_vertebra_are_out_of_field() -> None:
    with pytest.raises(PhantomOutOfField, match="does not lie beside L2"):
        verdict.require_phantom_beside({"L2": voi(-50.0)}, fit(0.0, 200.0))


def test_rods_that_end_just_above_the_vertebra_still_calibrate_it() -> None:
    verdict.require_phantom_beside({"L2": voi(-8.0)}, fit(0.0, 200.0))


@pytest.mark.parametrize(
    ("vbmd", "category"),
    [
        (120.1, "normal"),
        (120.0, "low-bone-mass"),
        (80.0, "low-bone-mass"),
        (79.96, "low-bone-mass"),
        (79.9, "osteoporosis"),
    ],
)
def test_both_ends_of_80_to_120_are_low_bone_mass(vbmd: float, category: str) -> None:
    assert verdict.categorise(vbmd, (), LIMITS) == category


@pytest.mark.parametrize(("effect", "category"), [("warn", "osteoporosis"), ("withhold", "not-classified")])
def test_a_category_is_withheld_where_its_limits_are_not_valid(effect: Effect, category: str) -> None:
    assert verdict.categorise(70.0, (Caution("contrast", "", effect),), LIMITS) == category


@pytest.mark.parametrize(
    ("material", "levels", "code"),
    [("CaHA", ("L1", "L2"), "uncalibrated-unit"), ("K2HPO4", ("L1",), "single-level")],
)
def test_a_category_needs_its_material_and_two_vertebrae(
    material: Material, levels: tuple[str, ...], code: str
) -> None:
    found = verdict.result_cautions(material, levels, LIMITS)
    assert [(caution.code, caution.effect) for caution in found] == [(code, "withhold")]


def test_an_ordinary_result_has_no_caution() -> None:
    assert verdict.result_cautions("K2HPO4", ("L1", "L2"), LIMITS) == ()


def test_a_cross_calibrated_result_is_classified_and_says_how() -> None:
    key = ScannerKey("70001", 120.0, "standard")
    used = CrossCalibration(key, "CaHA", 0.9, 1.0, 2.0, date(2026, 1, 1), date(2027, 1, 1), "ESP 145")
    (caution,) = verdict.result_cautions("CaHA", ("L1", "L2"), LIMITS, used)
    assert (caution.code, caution.effect, "2027-01-01" in caution.message) == ("cross-calibrated", "warn", True)


def test_what_the_configuration_refuses_is_refused_by_name() -> None:
    found = (Caution("kvp", "80 kV.", "warn"), Caution("contrast", "Contrast medium.", "refuse"))
    with pytest.raises(Confounded, match="Contrast medium") as refused:
        verdict.require_permitted(found)
    assert refused.value.evidence == {"confounders": ["contrast"]}


def test_what_is_only_warned_of_is_permitted() -> None:
    verdict.require_permitted((Caution("kvp", "80 kV.", "withhold"),))


def test_ways_of_counting_that_contradict_each_other_need_more_confidence() -> None:
    conflict = LevelAssignment((), "conflict", 11, 0.85)
    with pytest.raises(LevelsAmbiguous, match=r"needed 0\.90"):
        verdict.require_targets([vertebra("L1"), vertebra("L2")], conflict, LevelLimits())


def test_a_cemented_vertebra_has_no_density() -> None:
    read = {"T12": BoneDensity("T12", 1157.0, 20.0, False, "cement"), "L1": BoneDensity("L1", 100.0, 5.0, True, None)}
    assert set(verdict.mark(read, ("L1",))) == {"L1"}


def test_a_measurable_vertebra_outside_the_mean_says_so() -> None:
    marked = verdict.mark({"L3": BoneDensity("L3", 100.0, 5.0, True, None)}, ("L1",))
    assert (marked["L3"].included_in_mean, marked["L3"].exclusion_reason) == (False, "not-a-target-level")


@pytest.mark.parametrize(("confidence", "codes"), [(0.85, ["levels-unsure"]), (0.95, [])])
def test_the_reader_is_told_when_names_may_be_off_by_one(confidence: float, codes: list[str]) -> None:
    assert [caution.code for caution in verdict.naming_caution(assigned(confidence))] == codes
