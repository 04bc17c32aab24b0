"""Patient and study survive into every output, whatever they were written in."""

from __future__ import annotations

import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.domain.job import Kind
from node.domain.settings import Output, ReportSettings
from node.report import summary, write
from node.report.identity import UNKNOWN_MOMENT, moment, taken
from node.report.rejection import reject
from tests.peers import peer
from tests.report import fixtures
from tests.report.fixtures import Patient

ALL: tuple[Output, ...] = (*ReportSettings().outputs, "summary-pdf")
GB2312 = b"\x1b$)A"
"""Escape sequence of ISO-IR 58 (PS3.3 C.12.1.1.2)."""
NAMES = {
    "none": Patient(None, "Mueller^Grete", "CT Abdomen"),
    "none, though Latin": Patient(None, "Müller^Grete", "Prüfung"),
    "ISO_IR 100": Patient("ISO_IR 100", "Müller^Grete", "Prüfung"),
    "ISO_IR 144": Patient("ISO_IR 144", "Иванова^Анна", "КТ органов брюшной полости"),
    "ISO_IR 192": Patient("ISO_IR 192", "Wang^XiaoDong=王^小东", "腹部 CT – 平扫"),
    "GB18030": Patient("GB18030", "Wang^XiaoDong=王^小东", "腹部平扫 誠 俓"),
    "GBK": Patient("GBK", "Wang^XiaoDong=王^小东", "腹部平扫"),
    "Korean": Patient(["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "복부 CT"),
    "Chinese, ISO 2022": Patient(
        ["", "ISO 2022 IR 58"],
        "Zhang^XiaoDong=张^小东",
        "腹部平扫",
        raw=tuple(
            (keyword, b"Zhang^XiaoDong=" + GB2312 + "张".encode("gb2312") + b"^" + GB2312 + "小东".encode("gb2312"))
            for keyword in ("PatientName", "ReferringPhysicianName")
        )
        + (("StudyDescription", GB2312 + "腹部平扫".encode("gb2312")),),
    ),
    "half-width katakana": Patient(["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "腹部CT"),
    "Latin-1 and Cyrillic": Patient(["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller^Иван", "Prüfung"),
    "several": Patient(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "腹部CT"),
}


def outputs(folder: Path, patient: Patient) -> list[Dataset]:
    stored, volume = fixtures.single_frames(folder / "source", patient=patient)
    findings = fixtures.findings(volume, stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        objects = write(findings, volume, fixtures.job(stored, folder / "out"))
    return [pydicom.dcmread(one.path) for one in objects]


def everything(folder: Path, patient: Patient) -> dict[str, list[Path]]:
    """One study of every kind of output: all of a measured series, the report of a refused one, and a withdrawal."""
    stored, volume = fixtures.single_frames(folder / "source", patient=patient)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = fixtures.job(stored, folder / "out", report=ReportSettings(outputs=ALL))
        objects = write(fixtures.findings(volume, stored), volume, job)
        refused = fixtures.job(stored, folder / "refused", report=ReportSettings(outputs=("bone-density",)))
        (why,) = write(fixtures.refused(volume, stored), volume, refused)
        note = reject([one.path for one in objects], folder / "note", "Dr^A", "wrong patient", "safety")
    found: dict[str, list[Path]] = {"refused": [why.path], "withdrawal": [note.path]}
    for one in objects:
        found.setdefault(one.kind, []).append(one.path)
    return found


@pytest.mark.peer
@pytest.mark.parametrize("charset", NAMES)
def test_names_survive_in_every_output(charset: str, tmp_path: Path) -> None:
    patient = NAMES[charset]
    made = everything(tmp_path, patient)
    assert set(made) == {*get_args(Kind), "refused"}
    paths = [path for kind in made.values() for path in kind]
    for dataset in map(pydicom.dcmread, paths):
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert str(dataset.PatientName) == patient.name
        assert str(dataset.ReferringPhysicianName) == patient.name
        assert dataset.StudyDescription == patient.description
    command = [peer("dcmdump"), "+U8", "+P", "PatientName", "+P", "StudyDescription", *map(str, paths)]
    dumped = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout.decode("utf-8")
    assert dumped.count(f"[{patient.name}]") == dumped.count(f"[{patient.description}]") == len(paths)
    for path in (*made["sr"], *made["heights"], *made["refused"], *made["withdrawal"]):
        shown = subprocess.run([peer("dsrdump"), "-Dv", "+U8", str(path)], capture_output=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
        assert patient.name in shown.stdout.decode("utf-8")


def test_every_output_says_what_it_is(tmp_path: Path) -> None:
    """Modality, series number, description and qualification of every kind."""
    stated = {
        kind: {
            (one.Modality, one.SeriesNumber, one.SeriesDescription, one.ContentQualification)
            for one in map(pydicom.dcmread, paths)
        }
        for kind, paths in everything(tmp_path, Patient()).items()
    }
    assert stated == {
        "sagittal": {("CT", 9001, "Spine sagittal (derived)", "RESEARCH")},
        "sr": {("SR", 9002, "Bone density (QCT)", "RESEARCH")},
        "segmentation": {("SEG", 9003, "Vertebrae (segmentation)", "RESEARCH")},
        "heights": {("SR", 9004, "Vertebral heights, for review", "RESEARCH")},
        "curved": {("OT", 9005, "Spine curved sagittal (derived)", "RESEARCH")},
        "key-image": {("OT", 9007, "Spine, labelled", "RESEARCH")},
        "summary": {("OT", 9008, "Bone density summary", "RESEARCH")},
        "summary-pdf": {("DOC", 9009, "Bone density summary (PDF)", "RESEARCH")},
        "refused": {("SR", 9002, "Bone density (QCT): not measured", "RESEARCH")},
        "withdrawal": {("KO", 9990, "Withdrawn", "RESEARCH")},
    }


def test_reports_are_unverified_and_claim_no_more_than_was_measured(tmp_path: Path) -> None:
    made = everything(tmp_path, Patient())
    flags = {}
    for kind in ("sr", "heights", "refused"):
        report = pydicom.dcmread(made[kind][0])
        flags[kind] = (report.VerificationFlag, report.CompletionFlag, report.get("CompletionFlagDescription"))
    assert flags == {
        "sr": ("UNVERIFIED", "COMPLETE", None),
        "heights": ("UNVERIFIED", "COMPLETE", None),
        "refused": ("UNVERIFIED", "PARTIAL", "not measured: phantom-not-found"),
    }


def test_a_mean_of_one_vertebra_is_partial(tmp_path: Path) -> None:
    stored, volume = fixtures.single_frames(tmp_path / "source")
    found = replace(fixtures.findings(volume, stored), mean_levels=("L2",))
    objects = write(found, volume, fixtures.job(stored, tmp_path / "out"))
    report = pydicom.dcmread(next(one.path for one in objects if one.kind == "sr"))
    assert (report.CompletionFlag, report.CompletionFlagDescription) == ("PARTIAL", "mean of L2 alone")


def test_phantom_serial_outside_ascii_survives_a_plain_source(tmp_path: Path) -> None:
    outputs(tmp_path, NAMES["none"])
    assert "serial S-1 ä" in str(summary(tmp_path / "out" / "bone-density.dcm").phantom)


def test_identifiers_and_dates_are_those_of_the_study(tmp_path: Path) -> None:
    for dataset in outputs(tmp_path, Patient()):
        assert (dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex) == ("TEST-1", "19500102", "F")
        assert (dataset.StudyInstanceUID, dataset.AccessionNumber) == (fixtures.STUDY, "A77")
        assert (dataset.StudyDate, dataset.StudyTime, dataset.PatientAge) == ("20240305", "091500", "074Y")


def test_outputs_are_series_of_their_own(tmp_path: Path) -> None:
    series = {dataset.SeriesInstanceUID: dataset.SeriesNumber for dataset in outputs(tmp_path, Patient())}
    assert fixtures.SERIES not in series
    assert sorted(series.values()) == [9001, 9002, 9003, 9004, 9005, 9007, 9008]


def test_absent_attributes_are_empty_where_they_must_be_present(tmp_path: Path) -> None:
    missing = Patient(drop=("PatientID", "PatientSex", "AccessionNumber", "StudyID", "ReferringPhysicianName"))
    for dataset in outputs(tmp_path, missing):
        assert all(keyword in dataset and not dataset[keyword].value for keyword in missing.drop)


def test_scanner_is_named_as_contributing_equipment(tmp_path: Path) -> None:
    for dataset in outputs(tmp_path, Patient()):
        assert dataset.Manufacturer == "vbmd-node project"
        assert dataset.ContributingEquipmentSequence[0].ManufacturerModelName == "Scanner 9"


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_attribute_that_cannot_be_decoded_is_left_out() -> None:
    source = Dataset()
    source.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag("PatientSize"), "DS", 6, b"tall\xff ", 0, False, True))
    assert taken(source, "PatientSize") is None


def test_values_against_the_rules_are_kept_as_they_are(tmp_path: Path) -> None:
    stored, volume = fixtures.single_frames(tmp_path / "source")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in stored:
            source = pydicom.dcmread(item.path)
            source.PatientSex, source.PatientBirthDate, source.AccessionNumber = "W", "1950-01-02", "A" * 20
            source.save_as(item.path)
        objects = write(fixtures.findings(volume, stored), volume, fixtures.job(stored, tmp_path / "out"))
        for one in objects:
            dataset = pydicom.dcmread(one.path)
            assert (dataset.PatientSex, dataset.PatientBirthDate, dataset.AccessionNumber) == (
                "W",
                "1950-01-02",
                "A" * 20,
            )


def test_moment_falls_back_from_acquisition_to_study() -> None:
    source = Dataset()
    source.StudyDate, source.StudyTime = "20200102", "1503"
    assert (moment(source, None).date, moment(source, None).time) == ("20200102", "150300")


def test_moment_of_a_combined_stamp() -> None:
    source = Dataset()
    source.AcquisitionDateTime = "20200102150405.123+0100"
    assert (moment(source, None).date, moment(source, None).time) == ("20200102", "150405")


def test_moment_of_a_source_without_dates_is_the_stated_one() -> None:
    assert (moment(Dataset(), None).date, moment(Dataset(), None).time) == UNKNOWN_MOMENT
