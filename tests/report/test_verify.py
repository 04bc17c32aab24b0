"""What does not read back as the findings say is not released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.errors import ReportInvalid
from node.report import bone_density, files, verify, write
from node.report.sr import walk
from tests.report import fixtures
from tests.report.conftest import Written


@pytest.fixture
def released(head_first: Written, out_dir: Path) -> tuple[Path, bone_density.Report]:
    stored, volume = head_first
    job = fixtures.job(stored, out_dir)
    findings = fixtures.warned(volume, stored)
    (path,) = [one.path for one in write(findings, volume, job) if one.kind == "sr"]
    report = files.prepare(findings, volume, job)
    return path, report


def test_what_was_written_passes(released: tuple[Path, bone_density.Report]) -> None:
    verify.bone_density(*released)


def first(dataset: Dataset, kind: str) -> Dataset:
    return next(item for item in walk(dataset) if item.get("ValueType") == kind)


def last_digit(dataset: Dataset) -> None:
    value = first(dataset, "NUM").MeasuredValueSequence[0]
    value.NumericValue = str(round(float(value.NumericValue) + 0.1, 1))


def other_patient(dataset: Dataset) -> None:
    dataset.PatientID = "OTHER"


def other_name(dataset: Dataset) -> None:
    dataset.PatientName = "Mueller^Grete"


def other_image(dataset: Dataset) -> None:
    first(dataset, "SCOORD").ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def no_evidence(dataset: Dataset) -> None:
    del dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def open_outline(dataset: Dataset) -> None:
    item = first(dataset, "SCOORD")
    item.GraphicData = list(item.GraphicData)[:-2]


def mirrored(dataset: Dataset) -> None:
    for item in walk(dataset):
        if item.get("ValueType") == "SCOORD":
            points = list(item.GraphicData)
            item.GraphicData = [fixtures.SIZE + 20 - v if n % 2 == 0 else v for n, v in enumerate(points)]


def no_warning(dataset: Dataset) -> None:
    for item in walk(dataset):
        if item.get("TextValue", "").endswith("[contrast]"):
            item.TextValue = "nothing to see here"


def other_category(dataset: Dataset) -> None:
    for item in walk(dataset):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == "2006":
            item.ConceptCodeSequence[0].CodeValue, item.ConceptCodeSequence[0].CodingSchemeDesignator = (
                "17621005",
                "SCT",
            )


def into_mean(dataset: Dataset) -> None:
    for item in walk(dataset):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == "2008":
            item.ConceptCodeSequence[0].CodeValue = "373066001"


def no_unit(dataset: Dataset) -> None:
    first(dataset, "NUM").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = ""


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (last_digit, "reads 80.1"),
        (other_patient, "PatientID differs"),
        (other_name, "PatientName differs"),
        (other_image, "not of the series"),
        (no_evidence, "evidence"),
        (open_outline, "not closed"),
        (mirrored, "from the measured volume"),
        (no_warning, "warning contrast is missing"),
        (other_category, "category reads normal"),
        (into_mean, "misstated as in the mean"),
        (no_unit, "has no unit"),
    ],
)
def test_harm_is_seen(harm: Callable[[Dataset], None], said: str, released: tuple[Path, bone_density.Report]) -> None:
    path, report = released
    dataset = pydicom.dcmread(path)
    harm(dataset)
    dataset.save_as(path)
    with pytest.raises(ReportInvalid, match=said):
        verify.bone_density(path, report)


def test_changed_pixels_are_seen(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    job = fixtures.job(stored, out_dir)
    findings = fixtures.findings(volume, stored)
    report = files.prepare(findings, volume, job)
    path = write(findings, volume, job)[0].path
    image = pydicom.dcmread(path)
    image.PixelData = image.PixelData[2:] + b"\1\0"
    image.save_as(path)
    with pytest.raises(ReportInvalid, match="pixels differ"):
        verify.reformat_image(path, findings.reformats[0], 0, report)


def test_changed_position_is_seen(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    job = fixtures.job(stored, out_dir)
    findings = fixtures.findings(volume, stored)
    path = write(findings, volume, job)[0].path
    report = files.prepare(findings, volume, job)
    moved = replace(findings.reformats[0], affine_lps_mm=findings.reformats[0].affine_lps_mm + 0.01)
    with pytest.raises(ReportInvalid, match="does not lie where"):
        verify.reformat_image(path, moved, 0, report)


def test_changed_segment_is_seen(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    job = fixtures.job(stored, out_dir)
    findings = fixtures.findings(volume, stored)
    (path,) = [one.path for one in write(findings, volume, job) if one.kind == "segmentation"]
    report = files.prepare(findings, volume, job)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:-1] + bytes([dataset.PixelData[-1] ^ 1])
    dataset.save_as(path)
    with pytest.raises(ReportInvalid, match="pixels, not"):
        verify.segmentation(path, report)
