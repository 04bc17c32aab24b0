"""Pictures without a place in the patient: honest headers, and pixels that are those of the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from node.domain.settings import PageSettings, ReportSettings
from node.report import write
from tests.report import fixtures
from tests.report.conftest import Written


def made(series: Written, out_dir: Path, **changes: object) -> dict[str, list[pydicom.Dataset]]:
    """Written objects by kind; ``changes``: of the job."""
    stored, volume = series
    found: dict[str, list[pydicom.Dataset]] = {}
    for one in write(fixtures.findings(volume, stored), volume, fixtures.job(stored, out_dir, **changes)):
        found.setdefault(one.kind, []).append(pydicom.dcmread(one.path))
    return found


def test_pictures_are_secondary_captures(head_first: Written, out_dir: Path) -> None:
    found = made(head_first, out_dir)
    for kind in ("curved", "key-image", "summary"):
        assert {image.SOPClassUID for image in found[kind]} == {SecondaryCaptureImageStorage}


def test_pictures_claim_no_place_in_the_patient(head_first: Written, out_dir: Path) -> None:
    found = made(head_first, out_dir)
    for image in (*found["curved"], *found["key-image"], *found["summary"]):
        assert not {"ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"} & set(image.dir())


def test_curved_images_hold_hounsfield_units(head_first: Written, out_dir: Path) -> None:
    (image,) = made(head_first, out_dir)["curved"]
    hu = image.pixel_array.astype(int) * int(image.RescaleSlope) + int(image.RescaleIntercept)
    assert np.array_equal(hu, fixtures.curved(head_first[1]).hu[0])
    assert image.BurnedInAnnotation == "NO"


def test_curved_images_have_both_windows(head_first: Written, out_dir: Path) -> None:
    (image,) = made(head_first, out_dir)["curved"]
    assert ([int(v) for v in image.WindowCenter], [int(v) for v in image.WindowWidth]) == ([300, 50], [1500, 400])


def test_curved_images_say_which_way_they_run(head_first: Written, out_dir: Path) -> None:
    (image,) = made(head_first, out_dir)["curved"]
    assert list(image.PatientOrientation) == ["P", "F"]
    assert image.DerivationCodeSequence[0].CodeValue == "113072"
    assert len(image.SourceImageSequence) == fixtures.SLICES


def test_curved_images_of_thick_slices_say_so(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    thick = replace(fixtures.curved(volume), slice_mm=5.0)
    objects = write(fixtures.findings(volume, stored, curved=(thick,)), volume, fixtures.job(stored, out_dir))
    (image,) = (pydicom.dcmread(one.path) for one in objects if one.kind == "curved")
    assert "not reliable for fractures" in image.ImageComments


def test_labelled_images_are_side_front_and_below(head_first: Written, out_dir: Path) -> None:
    images = made(head_first, out_dir)["key-image"]
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4]
    assert {image.PhotometricInterpretation for image in images} == {"RGB"}
    assert {image.BurnedInAnnotation for image in images} == {"YES"}


def test_the_page_is_one_picture_by_default(head_first: Written, out_dir: Path) -> None:
    found = made(head_first, out_dir)
    (image,) = found["summary"]
    assert (image.Rows, image.Columns, image.SamplesPerPixel) == (1600, 1280, 3)
    assert "summary-pdf" not in found


def test_the_page_can_be_a_pdf(head_first: Written, out_dir: Path) -> None:
    found = made(head_first, out_dir, report=ReportSettings(outputs=("summary-pdf",)))
    (document,) = found["summary-pdf"]
    assert document.SOPClassUID == EncapsulatedPDFStorage
    assert document.EncapsulatedDocument.startswith(b"%PDF-")
    assert len(document.EncapsulatedDocument) - document.EncapsulatedDocumentLength in (0, 1)
    assert "summary" not in found


def test_uids_and_bytes_are_the_same_every_time(head_first: Written, tmp_path: Path) -> None:
    both = ReportSettings(outputs=(*ReportSettings().outputs, "summary-pdf"))
    stored, volume = head_first
    findings = fixtures.findings(volume, stored)
    first, second = (
        [one.path.read_bytes() for one in write(findings, volume, fixtures.job(stored, tmp_path / name, report=both))]
        for name in ("a", "b")
    )
    assert first == second


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_series_of_a_page_does_not_depend_on_its_language(
    head_first: Written, tmp_path: Path, language: str
) -> None:
    page = PageSettings(language="zh" if language == "zh" else "en")
    (image,) = made(head_first, tmp_path / language, page=page)["summary"]
    (usual,) = made(head_first, tmp_path / "usual")["summary"]
    assert image.SeriesInstanceUID == usual.SeriesInstanceUID
