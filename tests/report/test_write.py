"""What is written for one series."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage

from node.domain.findings import Findings
from node.domain.job import OutgoingObject, Predecessor
from node.domain.settings import ReportSettings
from node.domain.volume import Volume
from node.errors import ReportInvalid
from node.report import summary, write
from node.report.read_back import SrSummary
from node.report.sr import walk
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.conftest import Written


def sr_of(objects: tuple[OutgoingObject, ...]) -> Path:
    (path,) = [one.path for one in objects if one.kind == "sr"]
    return path


def written_case(name: str, series: Written, out_dir: Path) -> tuple[OutgoingObject, ...]:
    findings, volume = CASES[name](series)
    return write(findings, volume, fixtures.job(series[0], out_dir))


def report_of(name: str, series: Written, out_dir: Path) -> SrSummary:
    return summary(sr_of(written_case(name, series, out_dir)))


def test_densities_are_printed_with_one_decimal(head_first: Written, out_dir: Path) -> None:
    report = report_of("measured", head_first, out_dir)
    found = {level.level: (level.vbmd_mg_cm3, level.expanded_uncertainty_mg_cm3) for level in report.levels}
    assert found == {"L1": ("112.6", "4.0"), "L2": ("103.2", "4.1")}


def test_mean_and_category_are_reported(head_first: Written, out_dir: Path) -> None:
    report = report_of("measured", head_first, out_dir)
    assert (report.mean_vbmd_mg_cm3, report.mean_of, report.category) == ("107.9", "Mean of L1, L2", "low-bone-mass")


def test_category_comes_with_its_limits(head_first: Written, out_dir: Path) -> None:
    limits = report_of("measured", head_first, out_dir).category_limits
    assert limits is not None
    assert "120" in limits
    assert "80" in limits


def test_material_is_in_the_method(head_first: Written, out_dir: Path) -> None:
    assert "hydroxyapatite" in str(report_of("warned, HA phantom", head_first, out_dir).method)


def test_excluded_level_says_why(head_first: Written, out_dir: Path) -> None:
    report = report_of("warned, HA phantom", head_first, out_dir)
    (l2,) = [level for level in report.levels if level.level == "L2"]
    assert (l2.included_in_mean, l2.exclusion) == (False, "Bone cement in the vertebra. [cement]")


def test_exclusion_without_a_sentence_is_readable(head_first: Written, out_dir: Path) -> None:
    findings, volume = CASES["measured"](head_first)
    left_out = replace(findings.densities["L2"], included_in_mean=False, exclusion_reason="not-a-target-level")
    changed = replace(findings, densities={**findings.densities, "L2": left_out})
    report = summary(sr_of(write(changed, volume, fixtures.job(head_first[0], out_dir))))
    assert report.levels[-1].exclusion == "not a target level [not-a-target-level]"


def test_every_warning_is_reported(head_first: Written, out_dir: Path) -> None:
    warnings = report_of("warned, HA phantom", head_first, out_dir).warnings
    assert [text.rpartition("[")[2] for text in warnings] == ["contrast]", "thresholds-not-validated]"]


def test_characters_outside_latin_survive(head_first: Written, out_dir: Path) -> None:
    warnings = report_of("warned, HA phantom", head_first, out_dir).warnings
    assert "K₂HPO₄ equivalents at 120 kVp – not here; ≈" in warnings[1]


def test_refusal_has_title_reason_message_and_evidence(head_first: Written, out_dir: Path) -> None:
    report = report_of("refused, levels found", head_first, out_dir)
    assert (report.title, report.measured) == ("Bone density not measured", False)
    assert report.refusal_reason == "phantom-not-found"
    assert report.refusal == "No calibration phantom lies in the scan. [phantom-not-found]"
    assert report.evidence == ("below: [1.5, null]", "rods_seen: 0", "why: 空")


def test_refused_study_keeps_attenuation_and_heights(head_first: Written, out_dir: Path) -> None:
    levels = {level.level: level for level in report_of("refused, levels found", head_first, out_dir).levels}
    assert (levels["L1"].hu_mean, levels["L1"].height_middle_mm) == ("147.2", "24.0")


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("refused")])
def test_refused_study_has_no_density_anywhere(name: str, head_first: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case(name, head_first, out_dir)))
    units = [i.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue for i in numbers(dataset)]
    assert "mg/cm3" not in units


def numbers(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [item for item in walk(dataset) if item.get("ValueType") == "NUM"]


def test_refused_calibration_stays_as_evidence(head_first: Written, out_dir: Path) -> None:
    report = report_of("refused, poor calibration", head_first, out_dir)
    assert report.phantom is not None
    assert len(report.rods) == 3


def test_refused_study_sends_its_page_and_no_other_image(head_first: Written, out_dir: Path) -> None:
    assert [one.kind for one in written_case("refused, levels found", head_first, out_dir)] == ["summary", "sr"]


def test_refusal_that_is_not_to_be_reported_sends_nothing(head_first: Written, out_dir: Path) -> None:
    findings, volume = CASES["refused, levels found"](head_first)
    assert write(findings, volume, fixtures.job(head_first[0], out_dir, report_refusals=False)) == ()


def test_images_go_before_the_report(head_first: Written, out_dir: Path) -> None:
    objects = written_case("measured", head_first, out_dir)
    kinds = [one.kind for one in sorted(objects, key=lambda one: one.order)]
    pictures = ["sagittal"] * 3 + ["curved"] + ["key-image"] * 4 + ["summary"]
    assert kinds == [*pictures, "segmentation", "heights", "sr"]


def test_objects_say_what_the_files_hold(any_series: Written, out_dir: Path) -> None:
    for one in written_case("measured", any_series, out_dir):
        dataset = pydicom.dcmread(one.path)
        assert (one.sop_class_uid, one.sop_instance_uid) == (dataset.SOPClassUID, dataset.SOPInstanceUID)


def test_same_job_gives_the_same_bytes(head_first: Written, tmp_path: Path) -> None:
    first = written_case("warned, HA phantom", head_first, tmp_path / "a")
    second = written_case("warned, HA phantom", head_first, tmp_path / "b")
    assert [a.path.read_bytes() for a in first] == [b.path.read_bytes() for b in second]


def test_writing_again_into_the_same_folder_is_harmless(head_first: Written, out_dir: Path) -> None:
    assert written_case("measured", head_first, out_dir) == written_case("measured", head_first, out_dir)


def test_nothing_unfinished_is_left(head_first: Written, out_dir: Path) -> None:
    objects = written_case("measured", head_first, out_dir)
    assert set(out_dir.iterdir()) == {one.path for one in objects}


def test_outputs_are_dated_like_the_acquisition(head_first: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case("measured", head_first, out_dir)))
    assert (dataset.ContentDate, dataset.ContentTime) == ("20240305", "091730")


def test_outputs_are_dated_as_told(head_first: Written, out_dir: Path) -> None:
    findings, volume = CASES["measured"](head_first)
    objects = write(findings, volume, fixtures.job(head_first[0], out_dir), datetime(2025, 2, 3, 4, 5, 6))
    for one in objects:
        dataset = pydicom.dcmread(one.path)
        assert (dataset.ContentDate, dataset.ContentTime) == ("20250203", "040506")


def test_report_is_complete_and_unverified(head_first: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case("measured", head_first, out_dir)))
    assert (dataset.CompletionFlag, dataset.VerificationFlag) == ("COMPLETE", "UNVERIFIED")


def test_library_holds_only_the_images_with_outlines(head_first: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case("measured", head_first, out_dir)))
    (library,) = [item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"]
    listed = {uid for uid, _ in references(library)}
    outlined = {uid for uid, under in references(dataset) if under == "SELECTED FROM"}
    assert outlined <= listed
    assert len(listed) == 6  # three slices of each VOI


def references(dataset: pydicom.Dataset) -> list[tuple[str, str]]:
    return [
        (item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, item.RelationshipType)
        for item in walk(dataset)
        if item.get("ValueType") == "IMAGE"
    ]


def test_every_group_is_led_by_an_image_of_its_own(head_first: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case("measured", head_first, out_dir)))
    leads = []
    for item in walk(dataset):
        outlines = [child for child in walk(item) if child.get("ValueType") == "SCOORD"]
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == "125007":
            leads.append(outlines[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    assert len(leads) == len(set(leads)) == 3


def lps_of_outline(scoord: pydicom.Dataset, series: Written) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Points of an outline in LPS by the file's own header."""
    reference = scoord.ContentSequence[0].ReferencedSOPSequence[0]
    (path,) = [i.path for i in series[0] if i.header.sop_instance_uid == reference.ReferencedSOPInstanceUID]
    image = pydicom.dcmread(path, stop_before_pixels=True)
    if "PerFrameFunctionalGroupsSequence" in image:
        group = image.PerFrameFunctionalGroupsSequence[int(reference.ReferencedFrameNumber) - 1]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        orientation = group.PlaneOrientationSequence[0].ImageOrientationPatient
        spacing = group.PixelMeasuresSequence[0].PixelSpacing
    else:
        position, orientation, spacing = image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
    points = np.array(scoord.GraphicData).reshape(-1, 2)[:-1] - 0.5
    row, column = np.array(orientation[:3]) * spacing[1], np.array(orientation[3:]) * spacing[0]
    return np.asarray(np.array(position) + points[:, :1] * row + points[:, 1:] * column, dtype=np.float64)


def test_outlines_lie_on_the_vertebra_however_the_files_lie(any_series: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case("measured", any_series, out_dir)))
    (group,) = [
        item
        for item in walk(dataset)
        if any(child.get("TextValue") == "L1 trabecular VOI" for child in item.get("ContentSequence", ()))
    ]
    outline = next(lps_of_outline(i, any_series) for i in walk(group) if i.get("ValueType") == "SCOORD")
    centre = (outline.min(axis=0) + outline.max(axis=0)) / 2
    assert centre == pytest.approx(any_series[1].lps_mm(fixtures.BODY_CENTRE_KJI["L1"]), abs=1e-6)


def test_enhanced_images_are_referred_to_by_frame(enhanced: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(sr_of(written_case("measured", enhanced, out_dir)))
    outlined = [item for item in walk(dataset) if item.get("RelationshipType") == "SELECTED FROM"]
    in_voi = {source.frame_number for level in (15, 22, 31) for source in enhanced[1].sources[level - 3 : level + 5]}
    frames = {int(item.ReferencedSOPSequence[0].ReferencedFrameNumber) for item in outlined}
    assert frames
    assert frames <= in_voi


@pytest.mark.parametrize("name", CASES)
def test_numbers_of_report_and_json_agree(name: str, head_first: Written, out_dir: Path) -> None:
    from node.report import result

    findings, _ = CASES[name](head_first)
    report = report_of(name, head_first, out_dir)
    levels = json.loads(json.dumps(result(findings, [])))["levels"]
    for level in report.levels:
        of_json = levels[level.level]
        voi = of_json["voi"] or {"hu_mean": None, "hu_sd": None, "volume_mm3": None}
        assert rounded(of_json["vbmd_mg_cm3"], 1) == level.vbmd_mg_cm3
        assert rounded(of_json["vbmd_expanded_uncertainty_mg_cm3"], 1) == level.expanded_uncertainty_mg_cm3
        assert rounded(voi["hu_mean"], 1) == level.hu_mean
        assert rounded(voi["hu_sd"], 1) == level.hu_sd
        assert rounded(voi["volume_mm3"], 0) == level.voi_volume_mm3


def rounded(value: float | None, decimals: int) -> str | None:
    return None if value is None else f"{value:.{decimals}f}"


def test_number_that_is_none_is_refused(head_first: Written, out_dir: Path) -> None:
    findings, volume = CASES["measured"](head_first)
    broken = replace(findings, densities={"L1": replace(findings.densities["L1"], vbmd_mg_cm3=float("nan"))})
    with pytest.raises(ReportInvalid, match="nan"):
        write(broken, volume, fixtures.job(head_first[0], out_dir))


def test_voi_beside_all_images_is_refused(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    findings = fixtures.findings(volume, stored)
    far = replace_affine(volume)
    with pytest.raises(ReportInvalid):
        write(findings, far, fixtures.job(stored, out_dir))


def replace_affine(volume: Volume) -> Volume:
    affine = volume.affine_lps_mm.copy()
    affine[2, 3] += 5000
    return Volume(volume.hu, affine, volume.frame_of_reference_uid, volume.sources)


def test_source_that_is_gone_is_said(tmp_path: Path, out_dir: Path) -> None:
    stored, volume = fixtures.single_frames(tmp_path / "source")
    findings: Findings = fixtures.findings(volume, stored)
    for item in stored:
        item.path.unlink()
    with pytest.raises(ReportInvalid, match="can no longer be read"):
        write(findings, volume, fixtures.job(stored, out_dir))


def test_report_on_more_slices_names_the_one_it_replaces(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    before = Predecessor("sr", fixtures.STUDY, "2.25.11", "1.2.840.10008.5.1.4.1.1.88.33", "2.25.12")
    objects = write(fixtures.findings(volume, stored), volume, fixtures.job(stored, out_dir, predecessors=(before,)))
    (study,) = pydicom.dcmread(sr_of(objects)).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert (series.SeriesInstanceUID, series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == (
        "2.25.11",
        "2.25.12",
    )


def test_site_can_ask_for_comprehensive_3d(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    job = fixtures.job(stored, out_dir, report=ReportSettings(sr_class="comprehensive-3d"))
    objects = write(fixtures.findings(volume, stored), volume, job)
    classes = {one.sop_class_uid for one in objects if one.kind in ("sr", "heights")}
    assert classes == {Comprehensive3DSRStorage}


@pytest.mark.parametrize("kind", ["sr", "heights"])
def test_both_classes_hold_the_same(kind: str, head_first: Written, tmp_path: Path) -> None:
    stored, volume = head_first
    read = []
    for sr_class in ("comprehensive", "comprehensive-3d"):
        job = fixtures.job(stored, tmp_path / sr_class, report=ReportSettings(sr_class=sr_class))
        objects = write(fixtures.warned(volume, stored), volume, job)
        dataset = pydicom.dcmread(next(one.path for one in objects if one.kind == kind))
        del dataset.SOPClassUID
        read.append(dataset)
    assert read[0] == read[1]


def test_destination_that_takes_no_pictures_is_named(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    only = {"ris": ("bone-density", "segmentation")}
    objects = write(
        fixtures.findings(volume, stored), volume, fixtures.job(stored, out_dir, report=ReportSettings(only=only))
    )
    assert {one.kind for one in objects if not one.not_for} == {"sr", "segmentation"}
