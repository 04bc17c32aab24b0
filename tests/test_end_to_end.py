"""A study sent by dcmsend to ``vbmd-node serve`` comes back from Orthanc as a report with the right numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.demo.pacs import Orthanc
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from node.report import SrSummary, summary
from node.synthetic import dicom, torso
from node.synthetic.presets import presets
from node.synthetic.truth import SyntheticCase
from tests import running

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("end-to-end")]
RULES = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
"""
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MEASURED = ("abdomen-mindways", "abdomen-ha", "chest-low-dose", "feet-first", "prone", "rolled")
REFUSED = {"no-phantom": "phantom-not-found", "ends-at-T12": "levels-outside-scan"}


@dataclass(frozen=True)
class Walk:
    """What came of all studies."""

    cases: dict[str, SyntheticCase]
    rows: dict[str, SeriesStatus]
    reports: dict[str, SrSummary]
    archive: Orthanc

    def report(self, name: str) -> SrSummary:
        return self.reports[dicom.study_uid(self.cases[name].spec, dicom.SeriesLook())]

    def row(self, name: str) -> SeriesStatus:
        study = dicom.study_uid(self.cases[name].spec, dicom.SeriesLook())
        return next(row for row in self.rows.values() if row.study_instance_uid == study)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    chosen = presets(matrix=256, spacing_mm=2.0)
    cases = {}
    with running.orthanc(folder / "pacs") as archive:
        config = running.configuration(folder / "node", archive.port, RULES)
        with running.serving(config):
            for name in (*MEASURED, *REFUSED):
                cases[name] = torso.make(chosen[name])
                dicom.write(cases[name], folder / name)
                running.dcmsend(config, folder / name)
            rows = running.wait_until_ended(config, len(cases))
        reports = {}
        for path in archive.reports():
            reports[study_of(path)] = summary(path)
        yield Walk(cases, rows, reports, archive)


def study_of(path: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


@pytest.mark.parametrize("name", MEASURED)
def test_the_mean_in_the_report_is_within_3_mg_of_truth(walk: Walk, name: str) -> None:
    truth = walk.cases[name].truth
    expected = sum(truth.levels[level].vbmd_mg_cm3 for level in ("L1", "L2")) / 2
    assert float(walk.report(name).mean_vbmd_mg_cm3 or "nan") == pytest.approx(expected, abs=3.0)


@pytest.mark.parametrize("name", MEASURED)
def test_the_mean_is_of_l1_and_l2(walk: Walk, name: str) -> None:
    assert walk.report(name).mean_of == "Mean of L1, L2"


@pytest.mark.parametrize(("name", "reason"), sorted(REFUSED.items()))
def test_what_cannot_be_measured_is_reported_with_its_reason(walk: Walk, name: str, reason: str) -> None:
    assert walk.report(name).refusal_reason == reason


def test_every_series_is_delivered(walk: Walk) -> None:
    assert {row.state for row in walk.rows.values()} == {State.DELIVERED}


def test_sagittal_images_arrive_with_every_measured_study(walk: Walk) -> None:
    images = [sop_class for sop_class in walk.archive.instances().values() if sop_class == CT_IMAGE_STORAGE]
    assert len(images) >= 7 * len(MEASURED)
