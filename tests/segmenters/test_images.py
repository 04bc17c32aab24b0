"""Volumes and label images keep their places through files and grids."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.errors import SegmenterFailed
from node.segmenters import images
from tests.segmenters import painted


def test_a_file_holds_the_volume_where_it_lies(tmp_path: Path) -> None:
    volume = painted.volume()
    images.save(volume, tmp_path / "ct.nii")
    image = sitk.ReadImage(str(tmp_path / "ct.nii"))
    k, j, i = np.argwhere(volume.hu == 900)[100]
    place = volume.lps_mm([k, j, i])
    assert image.TransformIndexToPhysicalPoint((int(i), int(j), int(k))) == pytest.approx(tuple(place), abs=1e-3)
    assert image[int(i), int(j), int(k)] == 900


def test_nifti_runs_to_the_right_and_front(tmp_path: Path) -> None:
    """The file's own axes, read without ITK: NIfTI counts right, anterior and superior positive."""
    volume = painted.volume()
    images.save(volume, tmp_path / "ct.nii")
    raw = (tmp_path / "ct.nii").read_bytes()
    rows = np.frombuffer(raw[280:328], "<f4").reshape(3, 4)
    corner = volume.lps_mm([0, 0, 0])
    assert rows[:, 3] == pytest.approx([-corner[0], -corner[1], corner[2]], abs=1e-3)


def test_what_was_not_reconstructed_is_air() -> None:
    volume = painted.volume()
    hu = volume.hu.copy()
    hu[0] = OUTSIDE_FIELD_HU
    made = Volume(hu, volume.affine_lps_mm.copy(), "2.25.1", volume.sources)
    assert sitk.GetArrayFromImage(images.image_of(made))[0].max() == images.AIR_HU


@pytest.mark.parametrize("letters", ["RAS", "LPS", "PIR", "SAL"])
def test_labels_in_any_orientation_are_laid_as_a_volume(tmp_path: Path, letters: str) -> None:
    volume = painted.volume()
    turned = sitk.DICOMOrient(images.image_of(volume), letters)
    sitk.WriteImage(turned, str(tmp_path / "labels.nii.gz"))
    found = images.read_labels(tmp_path / "labels.nii.gz", {1: "L1"})
    assert np.array_equal(found.labels, volume.hu)
    assert found.affine_lps_mm == pytest.approx(volume.affine_lps_mm, abs=1e-3)


def test_names_come_from_the_header_where_it_has_them(tmp_path: Path) -> None:
    """The extension that TotalSegmentator writes: code 0, an XML table of labels."""
    plain = tmp_path / "plain.nii"
    sitk.WriteImage(images.image_of(painted.volume()), str(plain))
    raw = bytearray(plain.read_bytes())
    xml = b'<LabelTable><Label Key="7" Red="1.0"><![CDATA[vertebrae_L6]]></Label>\n</LabelTable>'
    xml += b" " * (-(len(xml) + 8) % 16)
    start = 352 + 8 + len(xml)
    raw[108:112] = struct.pack("<f", start)
    raw[348:352] = b"\1\0\0\0"
    raw[352:352] = struct.pack("<ii", 8 + len(xml), 0) + xml
    path = tmp_path / "named.nii.gz"
    path.write_bytes(gzip.compress(bytes(raw)))
    assert images.names_in(path) == {7: "vertebrae_L6"}
    assert images.names_in(plain) == {}


def test_a_file_that_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(b"nothing")
    with pytest.raises(SegmenterFailed, match="cannot be read"):
        images.read_labels(tmp_path / "x.nii.gz", {})


@pytest.mark.parametrize("letters", ["SPL", "IAR", "LPS", "PSR"])
def test_a_grid_and_back(letters: str) -> None:
    volume = painted.volume()
    found, affine = images.resampled(volume, (2.0, 2.0, 2.0), letters)
    index = np.argwhere(found > 880)
    assert np.linalg.norm(affine[:3, :3], axis=0) == pytest.approx([2.0, 2.0, 2.0])
    lps = (index @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)
    true = volume.lps_mm(np.argwhere(volume.hu == 900)).mean(axis=0)
    assert lps == pytest.approx(true, abs=0.7)
    image = images.as_labels(np.rint(found).astype(np.int16), affine, letters, {})
    again = image.lps_mm(np.argwhere(image.labels > 880).astype(float)).mean(axis=0)
    assert again == pytest.approx(lps, abs=1e-6)
    assert (np.diag(image.affine_lps_mm[:3, :3][:, ::-1]) > 0).all()
