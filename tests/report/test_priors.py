"""Earlier results, read out of their reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pydicom
import pytest

from node.domain.job import Predecessor, Provenance
from node.domain.prior import Change, NotComparable
from node.report import judge, priors, write
from node.report.rejection import reject
from node.report.sr import walk
from tests.report import fixtures
from tests.report.conftest import Written
from tests.report.test_write import sr_of, written_case


def reports(written: Written, out_dir: Path, case: str = "measured") -> list[Path]:
    return [one.path for one in written_case(case, written, out_dir) if one.kind in ("sr", "heights")]


def test_mean_and_levels_come_back(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir))
    assert (prior.mean_vbmd_mg_cm3, prior.mean_levels) == (107.9, ("L1", "L2"))
    assert prior.vbmd_mg_cm3 == {"L1": 112.6, "L2": 103.2}
    assert prior.study_date == date(2024, 3, 5)


def test_material_is_told_by_its_code(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir, "warned, HA phantom"))
    assert (prior.material, prior.asynchronous, prior.kvp) == ("CaHA", False, 100.0)


def test_heights_join_their_study(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir))
    assert prior.heights_mm["L2"] == (26.0, 24.0, 25.2)


@pytest.mark.parametrize("case", ["refused, levels found", "refused, never read"])
def test_refusals_are_no_results(case: str, head_first: Written, out_dir: Path) -> None:
    assert priors(reports(head_first, out_dir, case)) == ()


def test_what_is_gone_or_no_report_is_left_out(head_first: Written, out_dir: Path) -> None:
    good = reports(head_first, out_dir)
    image = head_first[0][0].path
    assert len(priors([out_dir / "gone.dcm", image, Path("/dev/null"), *good])) == 1


def changed(path: Path, out: Path, **attributes: object) -> Path:
    """A copy of a report with other attributes."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    out.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(out)
    return out


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"StudyInstanceUID": "1.2.9"}, []),
        ({"StudyInstanceUID": "1.2.9", "IssuerOfPatientID": "elsewhere"}, []),
        ({}, ["own-study"]),
        ({"StudyInstanceUID": "1.2.9", "PatientID": "TEST-2"}, ["other-patient"]),
        ({"StudyInstanceUID": "1.2.9", "PatientBirthDate": "19500103"}, ["other-patient"]),
        ({"StudyInstanceUID": "1.2.9", "PatientBirthDate": ""}, ["other-patient"]),
        ({"StudyInstanceUID": "1.2.9", "PatientSex": "M"}, ["other-patient"]),
        ({"StudyInstanceUID": "1.2.9", "Modality": "OT"}, ["no-report"]),
        ({"StudyInstanceUID": "1.2.9", "StudyDate": ""}, ["invalid"]),
    ],
)
def test_only_the_same_patients_other_studies_count(
    attributes: dict[str, object], why: list[str], head_first: Written, out_dir: Path
) -> None:
    (path, *_) = [one.path for one in written_case("measured", head_first, out_dir) if one.kind == "sr"]
    judged = judge([changed(path, out_dir / "copy" / "1.dcm", **attributes)], image=head_first[0][0].path)
    assert (len(judged.results), list(judged.left_out)) == (0 if why else 1, why)


def test_another_issuer_is_another_patient(tmp_path: Path, head_first: Written, out_dir: Path) -> None:
    (path, *_) = [one.path for one in written_case("measured", head_first, out_dir) if one.kind == "sr"]
    image = changed(head_first[0][0].path, tmp_path / "image.dcm", IssuerOfPatientID="here")
    report = changed(path, tmp_path / "report.dcm", StudyInstanceUID="1.2.9", IssuerOfPatientID="elsewhere")
    assert judge([report], image=image).left_out == ("other-patient",)


def test_a_foreign_report_is_left_out(head_first: Written, out_dir: Path) -> None:
    path = reports(head_first, out_dir)[-1]
    dataset = pydicom.dcmread(path)
    dataset.ContentSequence = list(dataset.ContentSequence)[:3]
    dataset.save_as(out_dir / "foreign.dcm")
    assert judge([out_dir / "foreign.dcm"]).left_out == ("not-of-this-node",)


@pytest.mark.parametrize("value", ["1e9", "-4000", "nan"])
def test_a_number_out_of_all_bounds_makes_a_report_invalid(value: str, head_first: Written, out_dir: Path) -> None:
    path = next(one.path for one in written_case("measured", head_first, out_dir) if one.kind == "sr")
    raw = path.read_bytes()
    text = b"107.9 " if b"107.9 " in raw else b"107.9"
    path.write_bytes(raw.replace(text, value.encode().ljust(len(text))[: len(text)]))
    assert judge([path]).results == ()


def test_a_report_that_was_taken_back_is_no_prior(head_first: Written, out_dir: Path) -> None:
    found = reports(head_first, out_dir)
    density = next(path for path in found if "density" in path.name)
    note = reject([density], out_dir / "note", "Dr. A", "wrong patient", "safety")
    judged = judge([*found, note.path])
    assert (judged.results, judged.left_out) == ((), ("withdrawn-or-replaced",))


def test_a_report_that_was_replaced_is_no_prior(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    old = next(one for one in written_case("measured", head_first, out_dir / "old") if one.kind == "sr")
    predecessor = Predecessor(
        "sr", fixtures.STUDY, str(old.series_instance_uid), old.sop_class_uid, old.sop_instance_uid
    )
    job = fixtures.job(stored, out_dir / "new", predecessors=(predecessor,), provenance=Provenance("0.2", "cd" * 32))
    new = next(one for one in write(fixtures.findings(volume, stored), volume, job) if one.kind == "sr")
    judged = judge([new.path, old.path])
    assert [one.sop_instance_uid for one in judged.results] == [new.sop_instance_uid]
    assert judged.left_out == ("withdrawn-or-replaced",)


def test_what_a_scan_was_made_with_comes_back(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir))
    assert (prior.kernel, prior.contrast, prior.scanner) == ("STANDARD", False, "CT1")
    (warned,) = priors(reports(head_first, out_dir / "warned", "warned, HA phantom"))
    assert warned.contrast is True


def test_change_is_reported(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    (prior,) = priors(reports(head_first, out_dir / "before"))
    change = Change(prior, (), -8.0, -6.9, -3.4, 5.2, True)
    elsewhere = Change(replace(prior, material="CaHA"), (NotComparable("material", "the earlier density is in CaHA"),))
    findings = fixtures.findings(volume, stored, changes=(change, elsewhere))
    objects = write(findings, volume, fixtures.job(stored, out_dir))
    said = [str(i.TextValue) for i in walk(pydicom.dcmread(sr_of(objects))) if "Since 2024" in str(i.get("TextValue"))]
    assert said == [
        "Since 2024-03-05: -8.0 mg/cm³ (-6.9 %; -3.4 % a year); least significant change 5.2 mg/cm³",
        "Since 2024-03-05: not compared, because the earlier density is in CaHA",
    ]
