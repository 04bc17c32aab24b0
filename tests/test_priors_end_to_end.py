"""Two studies of one patient, two nodes that share nothing but the archive: the second report names the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pydicom
import pytest

from node.ledger.records import SeriesStatus
from node.report import SrSummary, is_bone_density, summary
from node.report.sr import walk
from node.synthetic import dicom
from node.synthetic.dicom import SeriesLook
from node.synthetic.spec import Fracture, TorsoSpec
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests import running
from tests.synthetic.measured import SMALL

pytestmark = [pytest.mark.peer]
ARCHIVE = {f"DicomAlwaysAllow{verb}": True for verb in ("Find", "Get")}
RULES = """
[priors]
archive = "pacs"

[measure]
time_limit_s = 900

[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
"""
OLD_FRACTURE = {"T11": Fracture("wedge", 0.3)}
FIRST = replace(
    SMALL,
    study_date="20230102",
    age_years=50,
    vbmd_mg_cm3=130.0,
    fractures=OLD_FRACTURE,
    top=("T8", 0.0),
    bottom=("S1", -25.0),
)
SECOND = replace(
    FIRST, study_date="20250102", age_years=52, vbmd_mg_cm3=105.0, last_rib_length_mm=36.0, bottom=("L4", 0.0)
)
"""Alone its levels cannot be told: short last ribs look like processes (tests/test_names_in_doubt.py)."""


@dataclass(frozen=True)
class Followed:
    """What came of the second study."""

    first: SyntheticCase
    second: SyntheticCase
    row: SeriesStatus
    dataset: pydicom.Dataset
    report: SrSummary
    log: str

    def said(self, code: str) -> list[str]:
        """Texts under one of the node's own concepts."""
        items = [item for item in walk(self.dataset) if item.get("ConceptNameCodeSequence")]
        return [
            str(item.get("TextValue") or item.ConceptCodeSequence[0].CodeMeaning)
            for item in items
            if item.ConceptNameCodeSequence[0].get("CodeValue") == code
        ]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("followed")
    with running.orthanc(folder / "pacs", ARCHIVE) as archive:
        cases = {name: make(spec) for name, spec in (("first", FIRST), ("second", SECOND))}
        rows, configs = {}, {}
        for name, case in cases.items():
            configs[name] = running.configuration(folder / name, archive.port, RULES)
            dicom.write(case, folder / f"{name}-images", look=SeriesLook(study=name))
            with running.serving(configs[name]):
                running.dcmsend(configs[name], folder / f"{name}-images")
                (rows[name],) = running.wait_until_ended(configs[name], 1).values()
        (path,) = [
            one
            for one in archive.reports()
            if is_bone_density(one) and pydicom.dcmread(one).StudyDate == SECOND.study_date
        ]
        log = configs["second"].file.with_name("node.log").read_text()
        yield Followed(cases["first"], cases["second"], rows["second"], pydicom.dcmread(path), summary(path), log)


def _true_mean(case: SyntheticCase) -> float:
    return sum(case.truth.levels[level].vbmd_mg_cm3 for level in ("L1", "L2")) / 2


def test_the_column_is_recognised_and_keeps_its_names(followed: Followed) -> None:
    assert followed.report.measured, followed.report.refusal
    assert followed.report.mean_of == "Mean of L1, L2"
    assert any("has the names of the report of 2023-01-02" in one for one in followed.report.level_assignment)
    assert float(followed.report.mean_vbmd_mg_cm3 or "nan") == pytest.approx(_true_mean(followed.second), abs=3.0)


def test_the_change_is_that_of_the_bones(followed: Followed) -> None:
    (said,) = followed.said("2031")
    assert said.startswith("Since 2023-01-02: -")
    change = float(said.split(":")[1].split()[0])
    assert change == pytest.approx(_true_mean(followed.second) - _true_mean(followed.first), abs=3.0)


def test_a_loss_of_a_fifth_exceeds_the_least_significant_change(followed: Followed) -> None:
    assert followed.said("2032") == ["Yes"]


def test_nothing_says_that_priors_are_missing(followed: Followed) -> None:
    assert not any("priors-incomplete" in one for one in followed.report.warnings)


def test_the_log_tells_what_was_found_and_no_patient(followed: Followed) -> None:
    assert "priors-looked-up" in followed.log
    assert not any(word in followed.log for word in (f"SYN{FIRST.seed:07d}", "19730101", "Torso"))


def test_both_studies_are_of_one_patient() -> None:
    same = [(spec.seed, int(spec.study_date[:4]) - spec.age_years) for spec in (FIRST, SECOND)]
    assert same[0] == same[1]
    assert isinstance(SECOND, TorsoSpec)
