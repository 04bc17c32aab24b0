"""A note that takes a report back, as written for a real report."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.errors import ReportInvalid
from node.report.rejection import reject
from tests.intake.objects import ct_slice, write
from tests.peers import peer
from tests.report.conftest import Written
from tests.report.test_validators import said
from tests.report.test_write import written_case

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, head_first: Written) -> tuple[Path, ...]:
    return tuple(one.path for one in written_case("measured", head_first, tmp_path_factory.mktemp("report")))


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory, report: tuple[Path, ...]) -> Path:
    folder = tmp_path_factory.mktemp("note")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return reject(report, folder, "ann smith", "The phantom was another one.", "quality", NOW).path


def _texts(note: Dataset) -> list[str]:
    return [str(item.TextValue) for item in note.ContentSequence if item.ValueType == "TEXT"]


def test_its_title_says_rejected_for_quality(note: Path) -> None:
    (title,) = pydicom.dcmread(note).ConceptNameCodeSequence
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113001", "DCM")


def test_its_title_says_rejected_for_safety_where_it_is(report: tuple[Path, ...], tmp_path: Path) -> None:
    written = reject(report, tmp_path, "ann", "Another patient's.", "safety", NOW)
    assert pydicom.dcmread(written.path).ConceptNameCodeSequence[0].CodeValue == "113037"


def test_it_refers_to_every_object(note: Path, report: tuple[Path, ...]) -> None:
    items = pydicom.dcmread(note).ContentSequence
    referred = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in items if "ReferencedSOPSequence" in item
    }
    assert referred == {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in report}


def test_it_says_why(note: Path) -> None:
    assert _texts(pydicom.dcmread(note)) == ["The phantom was another one."]


def test_it_says_who(note: Path) -> None:
    names = [str(item.PersonName) for item in pydicom.dcmread(note).ContentSequence if item.ValueType == "PNAME"]
    assert names == ["ann smith^"]


def test_it_belongs_to_patient_and_study_of_the_report(note: Path, report: tuple[Path, ...]) -> None:
    written, original = pydicom.dcmread(note), pydicom.dcmread(report[0], stop_before_pixels=True)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
        assert written[keyword].value == original[keyword].value


def test_the_same_act_is_the_same_note(report: tuple[Path, ...], note: Path, tmp_path: Path) -> None:
    again = reject(report, tmp_path, "ann smith", "The phantom was another one.", "quality", NOW)
    assert again.sop_instance_uid == pydicom.dcmread(note).SOPInstanceUID


def test_objects_that_lack_what_may_be_empty_are_taken_back_too(tmp_path: Path) -> None:
    bare = write(ct_slice(1, 1, 1), tmp_path / "bare.dcm")
    assert reject([bare], tmp_path, "ann", "Wrong.", "quality", NOW).path.exists()


def test_a_file_that_is_gone_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ReportInvalid, match="no longer kept here"):
        reject([tmp_path / "gone.dcm"], tmp_path, "ann", "Wrong.", "quality", NOW)


@pytest.mark.peer
def test_dciodvfy_is_content(note: Path) -> None:
    lines = [line for line in said(peer("dciodvfy"), note)[1] if line.strip()]
    assert lines == ["KeyObjectSelectionDocument"]
