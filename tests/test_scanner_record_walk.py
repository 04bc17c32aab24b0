"""A scanner's QA scan arrives by C-STORE, and later patients without a phantom are measured by its record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pytest

from node import report
from node.config import Config
from node.ledger import Ledger
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from node.synthetic import dicom, phantoms, qa_scenes, torso
from node.synthetic.presets import presets
from node.synthetic.qa_scenes import QaSpec, scan_spec
from tests.running import configuration, dcmsend, orthanc, serving, wait_until_ended

RULES = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
phantoms = ["mindways-model3-4541a"]
asynchronous = true
"""


def write_esp(folder: Path) -> str:
    spec = scan_spec(1, phantoms.MINDWAYS_5, matrix=192, spacing_mm=2.5, thickness_mm=2.5, study_date="20250106")
    dicom.write(qa_scenes.make(QaSpec(spec)).case, folder)
    return series_of(folder)


def write_patient(folder: Path, serial: str, seed: int) -> str:
    spec = replace(
        presets(192, 2.5)["no-phantom"],
        seed=seed,
        device_serial_number=serial,
        manufacturer="SIEMENS",
        study_date="20250201",
        top=("T11", 16.0),
    )
    dicom.write(torso.make(spec), folder)
    return series_of(folder)


def series_of(folder: Path) -> str:
    return str(pydicom.dcmread(next(folder.rglob("*.dcm")), stop_before_pixels=True).SeriesInstanceUID)


@dataclass(frozen=True)
class Walk:
    config: Config
    ended: dict[str, SeriesStatus]
    qa: str
    same_scanner: str
    other_scanner: str
    reports: dict[str, str]
    """Text of the bone density report by the study it belongs to."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("record")
    qa = write_esp(folder / "esp")
    same = write_patient(folder / "same", "SN-1001", 5)
    other = write_patient(folder / "other", "SN-2002", 6)
    with orthanc(folder / "pacs") as archive:
        config = configuration(folder / "node", archive.port, RULES, quiet_period_s=1.0)
        with serving(config):
            dcmsend(config, folder / "esp")
            wait_until_ended(config, 1)
            dcmsend(config, folder / "same", folder / "other")
            ended = wait_until_ended(config, 3)
        texts = {
            str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID): path.read_text(errors="replace")
            for path in archive.reports()
            if report.is_bone_density(path)
        }
    studies = {
        series_of(folder / name): str(pydicom.dcmread(next((folder / name).rglob("*.dcm"))).StudyInstanceUID)
        for name in ("esp", "same", "other")
    }
    return Walk(config, ended, qa, same, other, {one: texts.get(studies[one], "") for one in (qa, same, other)})


def test_the_qa_scan_is_recorded_for_its_scanner(walk: Walk) -> None:
    ledger = Ledger(walk.config.database)
    scans = ledger.quality_record().scans
    ledger.close()
    assert [(one.record.key.scanner, one.record.qa_phantom) for one in scans if one.record.kind == "qa"] == [
        ("SN-1001", "esp-nominal")
    ]


def test_the_qa_scan_ends_as_explained(walk: Walk) -> None:
    assert walk.ended[walk.qa].reason == "qa-scan"


def test_no_report_of_a_qa_scan_reaches_the_archive(walk: Walk) -> None:
    assert walk.reports[walk.qa] == ""


def test_a_patient_of_the_same_scanner_is_measured_without_a_phantom(walk: Walk) -> None:
    assert walk.ended[walk.same_scanner].state is State.DELIVERED


def test_the_report_says_asynchronous(walk: Walk) -> None:
    assert "asynchronous" in walk.reports[walk.same_scanner].lower()


def test_another_scanner_borrows_nothing(walk: Walk) -> None:
    assert "phantom" in walk.ended[walk.other_scanner].reason
