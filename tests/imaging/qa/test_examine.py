"""QA phantoms are recognised and measured; a patient is never taken for one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from node.domain.phantom import PhantomModel, RodModel
from node.domain.settings import CalibrationLimits
from node.domain.volume import SourceImage, Volume
from node.imaging.qa import Examination, examine
from node.imaging.qa.uniform import look
from node.synthetic import phantoms, qa_scenes, torso
from node.synthetic.presets import presets
from node.synthetic.qa_scenes import QaCase, QaSpec, scan_spec
from tests.benchmarks import phantom_cases
from tests.imaging.phantom import scenes

ESP = PhantomModel(
    "esp", "ESP", None, "CaHA", tuple(RodModel(f"L{n}", d) for n, d in ((1, 50.0), (2, 100.0), (3, 200.0))), kind="qa"
)
CYLINDER = PhantomModel(
    "ha-cylinder", "QA section", None, "CaHA", (RodModel("100", 100.0),), rod_diameter_mm=32.0, kind="qa"
)
QA = (ESP, CYLINDER, replace(phantoms.MINDWAYS_QA, kind="qa"))
UNDER = (phantoms.MINDWAYS_5, phantoms.HA_4_POINT)

SCENES: dict[str, QaSpec] = {
    "ESP on Mindways": QaSpec(scan_spec(3, phantoms.MINDWAYS_5)),
    "ESP on the HA slab, the other way round, tilted": QaSpec(
        scan_spec(4, phantoms.HA_4_POINT), turn_deg=(4.0, 3.0, 5.0), shift_mm=(10.0, 8.0), head_first=False
    ),
    "ESP, sharp kernel, 40 HU of noise, 1.25 mm": QaSpec(
        scan_spec(5, phantoms.MINDWAYS_5, kernel="sharp", noise_hu=40.0, spacing_mm=1.25, thickness_mm=1.25)
    ),
    "ESP in a ring of fat": QaSpec(scan_spec(6, phantoms.MINDWAYS_5, noise_hu=20.0), fat_ring_mm=20.0),
    "ESP at 100 kV, 3 mm slices": QaSpec(
        scan_spec(7, phantoms.MINDWAYS_5, kvp=100.0, spacing_mm=3.0, thickness_mm=3.0)
    ),
    "HA cylinder": QaSpec(scan_spec(8, phantoms.HA_4_POINT), "ha-cylinder"),
    "Mindways QA": QaSpec(scan_spec(9, phantoms.MINDWAYS_5), "mindways-qa"),
}
PHANTOM_OF = {"esp": "esp", "ha-cylinder": "ha-cylinder", "mindways-qa": "mindways-qa-4408"}


@cache
def examined(name: str) -> tuple[QaCase, Examination | None]:
    case = qa_scenes.make(SCENES[name])
    return case, looked_at(case)


def looked_at(case: QaCase, qa: tuple[PhantomModel, ...] = QA) -> Examination | None:
    return examine(case.case.volume(), "HFS", qa, UNDER, CalibrationLimits(), case.case.spec.kvp)


@pytest.mark.parametrize("name", SCENES)
def test_the_phantom_is_identified(name: str) -> None:
    _, found = examined(name)
    assert found is not None
    assert found.qa_phantom is not None
    assert found.qa_phantom.id == PHANTOM_OF[SCENES[name].kind]


@pytest.mark.parametrize("name", SCENES)
def test_every_insert_reads_its_attenuation_within_1_5_hu(name: str) -> None:
    case, found = examined(name)
    assert found is not None
    off = [read.hu_mean - true.hu for read, true in zip(found.inserts, case.inserts, strict=True)]
    assert np.abs(off).max() < 1.5


@pytest.mark.parametrize("name", SCENES)
def test_every_insert_is_read_at_its_place(name: str) -> None:
    case, found = examined(name)
    assert found is not None
    for read, true in zip(found.inserts, case.inserts, strict=True):
        assert read.centre_lps_mm == pytest.approx(true.centre_lps_mm, abs=4.0)


@pytest.mark.parametrize("name", SCENES)
def test_densities_are_those_of_the_calibration_beneath(name: str) -> None:
    """Mindways QA rods have a water density of their own and read their certificate; bone reads by the line."""
    case, found = examined(name)
    assert found is not None
    for read, true in zip(found.inserts, case.inserts, strict=True):
        bone = (true.hu - case.beta_ct) / case.sigma_ct
        expected = true.nominal_mg_cm3 if SCENES[name].kind == "mindways-qa" else bone
        assert read.measured_mg_cm3 == pytest.approx(expected, abs=1.5)


def test_without_a_calibration_phantom_attenuation_is_kept() -> None:
    found = looked_at(qa_scenes.make(QaSpec(scan_spec(10))))
    assert found is not None
    assert found.qa_phantom is ESP
    assert (found.calibration, {one.measured_mg_cm3 for one in found.inserts}) == (None, {None})


def test_a_faulty_calibration_is_kept_with_its_objection() -> None:
    """Water at 30 HU: refused under a patient, and exactly what the record is for."""
    found = looked_at(qa_scenes.make(QaSpec(scan_spec(11, phantoms.MINDWAYS_5, scanner_offset_hu=30.0))))
    assert found is not None
    assert found.calibration is not None
    assert found.calibration.beta_ct == pytest.approx(30.0, abs=1.5)
    assert "poor-calibration" in (found.objection or "")


def test_water_is_no_patient_and_no_known_phantom() -> None:
    found = looked_at(qa_scenes.make(QaSpec(scan_spec(12, phantoms.MINDWAYS_5), "water")))
    assert found is not None
    assert found.qa_phantom is None


def test_a_spine_phantom_cut_by_the_scan_is_not_identified() -> None:
    found = looked_at(qa_scenes.make(QaSpec(scan_spec(13, phantoms.MINDWAYS_5), margin_mm=-34.0)))
    assert found is not None
    assert found.qa_phantom is None


def test_a_phantom_of_other_densities_is_not_identified() -> None:
    other = replace(ESP, rods=tuple(RodModel(f"L{n}", d) for n, d in ((1, 75.0), (2, 150.0), (3, 300.0))))
    found = looked_at(examined("ESP on Mindways")[0], (other,))
    assert found is not None
    assert found.qa_phantom is None


PATIENTS = (
    "abdomen-mindways",
    "chest-low-dose",
    "no-phantom",
    "prone",
    "screws",
    "obese",
    "phantom-cut",
    "ends-at-T12",
)


@pytest.mark.parametrize("name", PATIENTS)
def test_a_patient_is_never_taken_for_a_phantom(name: str) -> None:
    seen = look(torso.make(presets(96, 5.0)[name]).volume())
    assert seen is not None
    assert not seen.is_cast
    assert not seen.may_be_slabs


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5])  # 3, an even ellipse under a sharp kernel, passes for a water phantom
def test_even_a_crude_body_is_a_patient(seed: int) -> None:
    scene = phantom_cases.case(seed)
    volume = scenes.build(scene.recipe).volume
    assert examine(volume, scene.position, QA, scene.configured, CalibrationLimits()) is None


def test_an_empty_scan_shows_nothing() -> None:
    hu = np.full((20, 64, 64), -1000, dtype=np.int16)
    volume = Volume(hu, np.diag([2.0, 5.0, 5.0, 1.0]), "1.2", tuple(SourceImage("1", f"1.{k}") for k in range(20)))
    assert examine(volume, None, QA, UNDER, CalibrationLimits()) is None
