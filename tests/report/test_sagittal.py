"""The sagittal images: true geometry, true Hounsfield units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from node.domain.spine import Reformat
from node.errors import ReportInvalid
from node.report import write
from tests.report import fixtures
from tests.report.conftest import Written


def images(series: Written, out_dir: Path, reformat: Reformat | None = None) -> list[pydicom.Dataset]:
    stored, volume = series
    findings = fixtures.findings(volume, stored)
    if reformat is not None:
        findings = replace(findings, reformats=(reformat,))
    objects = write(findings, volume, fixtures.job(stored, out_dir))
    return [pydicom.dcmread(one.path) for one in objects if one.kind == "sagittal"]


def test_pixels_are_hounsfield_units(any_series: Written, out_dir: Path) -> None:
    reformat = fixtures.reformat(any_series[1])
    for index, image in enumerate(images(any_series, out_dir)):
        hu = image.pixel_array * int(image.RescaleSlope) + int(image.RescaleIntercept)
        assert np.array_equal(hu, reformat.hu[index])


def test_orientation_is_sagittal_head_up(any_series: Written, out_dir: Path) -> None:
    for image in images(any_series, out_dir):
        assert [float(value) for value in image.ImageOrientationPatient] == [0, 1, 0, 0, 0, -1]


def test_pixel_lies_where_the_patient_has_it(any_series: Written, out_dir: Path) -> None:
    volume = any_series[1]
    image = images(any_series, out_dir)[1]
    k, j, i = fixtures.BODY_CENTRE_KJI["L1"]
    x, y, z = volume.lps_mm([k, j, i])
    position, spacing = image.ImagePositionPatient, image.PixelSpacing
    column, row = (y - position[1]) / spacing[1], (position[2] - z) / spacing[0]
    assert image.pixel_array[round(row), round(column)] == volume.hu[k, j, 32]
    assert abs(x - position[0]) <= fixtures.SPACING_MM[2] + 1e-6


def test_series_shares_the_frame_of_reference(head_first: Written, out_dir: Path) -> None:
    assert {image.FrameOfReferenceUID for image in images(head_first, out_dir)} == {fixtures.FRAME_OF_REFERENCE}


def test_images_are_called_derived(head_first: Written, out_dir: Path) -> None:
    for image in images(head_first, out_dir):
        assert list(image.ImageType) == ["DERIVED", "SECONDARY", "REFORMATTED"]
        assert image.DerivationCodeSequence[0].CodeValue == "113072"


def test_every_slice_is_named_as_source(head_first: Written, out_dir: Path) -> None:
    (first, *_) = images(head_first, out_dir)
    named = {item.ReferencedSOPInstanceUID for item in first.SourceImageSequence}
    assert named == {item.header.sop_instance_uid for item in head_first[0]}


def test_thickness_and_distance_are_stated(head_first: Written, out_dir: Path) -> None:
    for image in images(head_first, out_dir):
        assert (float(image.SliceThickness), float(image.SpacingBetweenSlices)) == (6.0, 6.0)


def test_window_shows_bone(head_first: Written, out_dir: Path) -> None:
    for image in images(head_first, out_dir):
        assert (int(image.WindowCenter[0]), int(image.WindowWidth[0])) == (300, 1500)


def test_a_second_window_shows_soft_tissue(head_first: Written, out_dir: Path) -> None:
    for image in images(head_first, out_dir):
        assert (int(image.WindowCenter[1]), int(image.WindowWidth[1])) == (50, 400)
        assert list(image.WindowCenterWidthExplanation) == ["Bone", "Soft tissue"]


def test_images_from_thick_slices_say_so(head_first: Written, out_dir: Path) -> None:
    thick = replace(fixtures.reformat(head_first[1]), slice_mm=5.0)
    for image in images(head_first, out_dir, thick):
        assert image.ImageComments == "Made from slices of 5 mm: not reliable for fractures."


def test_images_from_thin_slices_say_nothing(head_first: Written, out_dir: Path) -> None:
    thin = replace(fixtures.reformat(head_first[1]), slice_mm=3.0)
    assert not any("ImageComments" in image for image in images(head_first, out_dir, thin))


def test_compressed_source_is_still_called_lossy(tmp_path: Path, out_dir: Path) -> None:
    stored, volume = fixtures.single_frames(tmp_path)
    for item in stored:
        source = pydicom.dcmread(item.path)
        source.LossyImageCompression, source.LossyImageCompressionRatio = "01", "8"
        source.save_as(item.path)
    assert {image.LossyImageCompression for image in images((stored, volume), out_dir)} == {"01"}


def test_oblique_stack_keeps_its_geometry(head_first: Written, out_dir: Path) -> None:
    plain = fixtures.reformat(head_first[1])
    turn = np.deg2rad(10)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    affine = plain.affine_lps_mm.copy()
    affine[:3, :3] = rotation @ affine[:3, :3]
    image = images(head_first, out_dir, Reformat("sagittal", plain.hu, affine, plain.thickness_mm))[0]
    assert [float(v) for v in image.ImageOrientationPatient[:3]] == pytest.approx([-np.sin(turn), np.cos(turn), 0])
    assert float(image.SpacingBetweenSlices) == pytest.approx(6.0)


def test_sheared_planes_are_refused(head_first: Written, out_dir: Path) -> None:
    plain = fixtures.reformat(head_first[1])
    affine = plain.affine_lps_mm.copy()
    affine[1, 1] += 1.0
    with pytest.raises(ReportInvalid, match="right angles"):
        images(head_first, out_dir, Reformat("sagittal", plain.hu, affine, plain.thickness_mm))


def test_acquisition_is_stated_for_every_source(any_series: Written, out_dir: Path) -> None:
    """Also for a multi-frame source, which says it elsewhere."""
    for image in images(any_series, out_dir):
        assert (float(image.KVP), image.ConvolutionKernel) == (120.0, "STANDARD")
