"""Real scans: names, and centres within a few millimetres of what was read by eye."""

from __future__ import annotations

import pytest

from node.imaging.spine import locate
from tests.benchmarks import spine_cases
from tests.benchmarks.spine_accuracy import judge
from tests.benchmarks.spine_cases import Case

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def real() -> dict[str, Case]:
    return {case.name: case for case in spine_cases.real()}


@pytest.mark.parametrize(("name", "within_mm"), [("abdomen_a", 3.0), ("ct_3mm", 3.5)])
def test_real_abdomens_are_named_and_placed(real: dict[str, Case], name: str, within_mm: float) -> None:
    outcome = judge("", real[name])
    assert outcome.found == outcome.present
    assert not outcome.wrong
    assert max(outcome.errors_mm) < within_mm
    assert outcome.confidence > 0.9


def test_a_crop_without_anchors_is_found_but_not_believed(real: dict[str, Case]) -> None:
    outcome = judge("", real["crop_L3"])
    assert outcome.found == 1
    assert outcome.confidence < 0.5


def test_a_real_chest_without_anchors_is_not_named_for_sure() -> None:
    spine = locate(spine_cases.dicom("thorax_b"))
    assert len(spine.seeds) >= 7
    assert spine.assignment.confidence < 0.8


@pytest.mark.parametrize("name", ["cap_f74_fracture", "scoliosis", "contrast", "chest_f66"])
def test_simulated_scans_are_named_and_placed(name: str) -> None:
    outcome = judge("", spine_cases.simulated(name))
    assert outcome.found == outcome.present
    assert not outcome.wrong
    assert max(outcome.errors_mm) < 3.0
    assert outcome.confidence > 0.85
