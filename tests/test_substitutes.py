"""A broken L1 leaves the mean, and the vertebra that the configuration names takes its place."""

from __future__ import annotations

import pytest

from node import pipeline, report
from node.domain.findings import Findings
from node.domain.instance import InstanceHeader
from node.domain.settings import LevelLimits, MeasurementSettings
from node.synthetic.phantoms import MINDWAYS_5
from node.synthetic.spec import Fracture, TorsoSpec
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase

SPEC = TorsoSpec(
    seed=77,
    sex="F",
    vbmd_mg_cm3=95.0,
    phantom=MINDWAYS_5,
    fractures={"L1": Fracture("wedge", 0.24)},
    top=("T10", 10.0),
    matrix=256,
    spacing_mm=2.5,
    thickness_mm=2.5,
)
HEADER = InstanceHeader("2.1", "2.2", "2.3", "2.4", "2.5", modality="CT", kvp=120.0, patient_position="HFS")


@pytest.fixture(scope="module")
def case() -> SyntheticCase:
    return make(SPEC)


@pytest.fixture(scope="module")
def found(case: SyntheticCase) -> Findings:
    settings = MeasurementSettings(levels=LevelLimits(substitutes=("L3", "T12")))
    return pipeline.measure(case.volume(), HEADER, (MINDWAYS_5,), settings)


def test_the_mean_is_of_l2_and_the_first_substitute(found: Findings, case: SyntheticCase) -> None:
    assert found.mean_levels == ("L2", "L3")
    expected = sum(case.truth.levels[level].vbmd_mg_cm3 for level in ("L2", "L3")) / 2.0
    assert found.mean_vbmd_mg_cm3 == pytest.approx(expected, abs=3.0)


def test_the_reader_is_told_which_stands_in_and_why(found: Findings) -> None:
    said = [caution.message for caution in found.cautions if caution.code == "substituted"]
    assert len(said) == 1
    assert said[0].startswith("L3 stands in for L1: L1 has lost 2")


def test_the_result_holds_reason_grade_and_confidence(found: Findings) -> None:
    level = report.result(found, [])["levels"]["L1"]
    assert (level["included_in_mean"], level["exclusion_reason"]) == (False, "fracture")
    assert level["deformity"]["type"] == "wedge"
    assert level["deformity"]["genant_grade"] == 1
    assert level["deformity"]["confidence"] > 0.5
    assert level["deformity"]["ratios"]["wedge"] < 0.85
    assert "height" in level["exclusion_message"]


def test_no_other_vertebra_is_a_candidate(found: Findings) -> None:
    graded = {v.level for v in found.vertebrae if v.deformity and v.deformity.genant_grade}
    assert graded == {"L1"}
