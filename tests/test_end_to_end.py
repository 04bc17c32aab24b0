"""A study sent by dcmsend to ``vbmd-node serve`` comes back from Orthanc as a report with the right numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pytest

from node.demo.pacs import Orthanc
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from node.report import SrSummary, is_bone_density, summary
from node.synthetic import dicom, study, torso
from node.synthetic.presets import presets
from node.synthetic.truth import SyntheticCase
from tests import running

pytestmark = [pytest.mark.peer]
RULES = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
"""
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SPECS = presets(matrix=256, spacing_mm=2.0)
SHORT = replace(SPECS["abdomen-mindways"], top=("T10", 16.0))
Write = Callable[[SyntheticCase, Path], object]

MEASURED: dict[str, tuple[torso.TorsoSpec, Write]] = {
    **{
        name: (SPECS[name], dicom.write)
        for name in ("abdomen-mindways", "abdomen-ha", "chest-low-dose", "feet-first", "prone", "rolled")
    },
    "enhanced, JPEG 2000": (
        replace(SHORT, seed=31),
        lambda case, folder: dicom.write(case, folder, multiframe="enhanced", syntax="jpeg-2000"),
    ),
    "JPEG-LS, slices in any order": (
        replace(SHORT, seed=32),
        lambda case, folder: dicom.write(case, folder, syntax="jpeg-ls", faults=("shuffled-numbers",)),
    ),
    "with companions": (
        replace(SHORT, seed=33),
        lambda case, folder: study.write_study(
            case, folder, ("localizer", "thick", "sharp", "dose-report", "dose-screen")
        ),
    ),
}
REFUSED: dict[str, tuple[torso.TorsoSpec, Write, str]] = {
    "no-phantom": (SPECS["no-phantom"], dicom.write, "phantom-not-found"),
    "ends-at-T12": (SPECS["ends-at-T12"], dicom.write, "levels-outside-scan"),
    "a block of slices is missing": (
        replace(SHORT, seed=34),
        lambda case, folder: dicom.write(case, folder, faults=("missing-block",)),
        "incomplete-series",
    ),
}


@dataclass(frozen=True)
class Walk:
    """What came of all studies, by name."""

    cases: dict[str, SyntheticCase]
    rows: dict[str, list[SeriesStatus]]
    reports: dict[str, list[SrSummary]]
    archive: Orthanc

    def report(self, name: str) -> SrSummary:
        (only,) = self.reports[name]
        return only


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    cases: dict[str, SyntheticCase] = {}
    studies: dict[str, str] = {}
    series = 0
    with running.orthanc(folder / "pacs") as archive:
        config = running.configuration(folder / "node", archive.port, RULES)
        with running.serving(config):
            for number, (name, (spec, write, *_)) in enumerate({**MEASURED, **REFUSED}.items()):
                source = folder / f"study-{number}"
                cases[name] = torso.make(spec)
                write(cases[name], source)
                found = [header(path) for path in source.rglob("*.dcm")]
                studies[str(found[0].StudyInstanceUID)] = name
                series += len({one.SeriesInstanceUID for one in found})
                running.dcmsend(config, source)
            ended = running.wait_until_ended(config, series)
        rows: dict[str, list[SeriesStatus]] = {name: [] for name in cases}
        for row in ended.values():
            rows[studies[row.study_instance_uid]].append(row)
        reports: dict[str, list[SrSummary]] = {name: [] for name in cases}
        for path in archive.reports():
            if is_bone_density(path):
                reports[studies[str(header(path).StudyInstanceUID)]].append(summary(path))
        yield Walk(cases, rows, reports, archive)


def header(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"])


@pytest.mark.parametrize("name", MEASURED)
def test_the_mean_in_the_report_is_within_3_mg_of_truth(walk: Walk, name: str) -> None:
    truth = walk.cases[name].truth
    expected = sum(truth.levels[level].vbmd_mg_cm3 for level in ("L1", "L2")) / 2
    assert float(walk.report(name).mean_vbmd_mg_cm3 or "nan") == pytest.approx(expected, abs=3.0)


@pytest.mark.parametrize("name", MEASURED)
def test_the_mean_is_of_l1_and_l2(walk: Walk, name: str) -> None:
    assert walk.report(name).mean_of == "Mean of L1, L2"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_reported_with_its_reason(walk: Walk, name: str) -> None:
    assert walk.report(name).refusal_reason == REFUSED[name][2]


def test_every_selected_series_is_delivered(walk: Walk) -> None:
    selected = [row for rows in walk.rows.values() for row in rows if row.job_id]
    assert {row.state for row in selected} == {State.DELIVERED}


def test_companions_are_ignored_each_with_its_reason(walk: Walk) -> None:
    ignored = sorted(row.reason for row in walk.rows["with companions"] if row.state is State.IGNORED)
    assert ignored == ["better-series", "dose-report", "dose-report", "localizer", "no-rule-matched"]


def test_sagittal_images_arrive_with_every_measured_study(walk: Walk) -> None:
    images = [sop_class for sop_class in walk.archive.instances().values() if sop_class == CT_IMAGE_STORAGE]
    assert len(images) >= 7 * len(MEASURED)
