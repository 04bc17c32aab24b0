"""Files → Volume: geometry, Hounsfield units, encodings, faults."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.read import volume
from node.domain.instance import Series
from node.domain.volume import OUTSIDE_FIELD_HU
from node.errors import ImageUndecodable, IncompleteSeries, IrregularSeries, UnsuitableSeries
from tests.dicom.writer import LEGACY_CT, Scan, enhanced, images, pattern, recode, save, series_of, write

SCAN = Scan(pattern())
POSITIONS = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
}


def expected_at(scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """LPS of each stored voxel by PS3.3 C.7.6.2.1.1, and its HU."""
    k, j, i = np.indices(scan.hu.shape)
    row, column = np.array(scan.orientation[:3]), np.array(scan.orientation[3:])
    lps = (
        np.array(scan.origin)
        + k[..., None] * np.array(scan.step)
        + i[..., None] * scan.spacing[1] * row
        + j[..., None] * scan.spacing[0] * column
    )
    return lps, scan.hu


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("step", [2.0, -2.0])
def test_every_voxel_lies_where_the_header_says(tmp_path: Path, position: str, step: float) -> None:
    scan = replace(SCAN, orientation=POSITIONS[position], step=(0.0, 0.0, step))
    found = volume(write(tmp_path, images(scan)))
    lps, hu = expected_at(scan)
    index = found.index_kji(lps)
    assert index == pytest.approx(np.rint(index), abs=1e-6)
    k, j, i = np.moveaxis(np.rint(index).astype(int), -1, 0)
    assert np.array_equal(found.hu[k, j, i], hu)


@pytest.mark.parametrize("position", POSITIONS)
def test_axes_run_to_head_back_and_left(tmp_path: Path, position: str) -> None:
    found = volume(write(tmp_path, images(replace(SCAN, orientation=POSITIONS[position], step=(0.0, 0.0, -2.0)))))
    k, j, i = found.affine_lps_mm[:3, :3].T
    assert k[2] > 0
    assert j[1] > 0
    assert i[0] > 0
    assert found.hu.flags.c_contiguous
    assert not found.hu.flags.writeable


def test_sources_follow_the_slices(tmp_path: Path) -> None:
    found = volume(write(tmp_path, images(replace(SCAN, step=(0.0, 0.0, -2.0)))))
    assert [source.sop_instance_uid.split(".")[-1] for source in found.sources] == [str(n) for n in range(12, 0, -1)]
    assert found.sources[0].frame_number is None


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes(tmp_path: Path, syntax: UID, signed: bool) -> None:
    scan = replace(SCAN, signed=signed, intercept=0.0 if signed else -1024.0)
    assert np.array_equal(volume(write(tmp_path, images(scan), syntax)).hu, SCAN.hu)


COMPRESSED = {
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_syntaxes(tmp_path: Path, name: str, signed: bool) -> None:
    hu = np.tile(pattern(), (1, 4, 4))  # JPEG 2000 needs more than a few pixels
    scan = replace(SCAN, hu=hu, signed=signed, intercept=0.0 if signed else -1024.0)
    paths = [recode(save(ds, tmp_path / f"{k}.dcm"), COMPRESSED[name]) for k, ds in enumerate(images(scan))]
    series = series_of(paths)
    assert series.instances[0].header.transfer_syntax_uid == COMPRESSED[name]
    assert np.array_equal(volume(series).hu, hu)


def test_twelve_bits_stored(tmp_path: Path) -> None:
    assert np.array_equal(volume(write(tmp_path, images(replace(SCAN, bits_stored=12)))).hu, SCAN.hu)


def test_bits_above_those_stored_are_dropped(tmp_path: Path) -> None:
    """Old scanners kept an overlay in bit 15."""
    datasets = images(replace(SCAN, bits_stored=12))
    for ds in datasets:
        ds.PixelData = (np.frombuffer(ds.PixelData, dtype="<u2") | 0x8000).tobytes()
    assert np.array_equal(volume(write(tmp_path, datasets)).hu, SCAN.hu)


def test_signed_value_in_twelve_bits_is_sign_extended(tmp_path: Path) -> None:
    datasets = images(replace(SCAN, bits_stored=12, signed=True, intercept=0.0))
    for ds in datasets:
        ds.PixelData = (np.frombuffer(ds.PixelData, dtype="<u2") & 0x0FFF).tobytes()
    assert np.array_equal(volume(write(tmp_path, datasets)).hu, SCAN.hu)


def test_each_image_has_its_own_rescale(tmp_path: Path) -> None:
    datasets = []
    for k, slope in enumerate([1.0, 0.5, 0.25] * 4):
        ds = images(replace(SCAN, slope=slope, intercept=-2000.0 + k))[k]
        datasets.append(ds)
    assert np.array_equal(volume(write(tmp_path, datasets)).hu, SCAN.hu)


def test_values_beyond_int16_are_clipped_not_wrapped(tmp_path: Path) -> None:
    datasets = images(SCAN)
    for ds in datasets:
        ds.PixelData = np.full(80, 65535, dtype="<u2").tobytes()
    assert volume(write(tmp_path, datasets)).hu.max() == 32767


@pytest.mark.parametrize(("padding", "signed"), [(-2000, True), (63536, False)])
def test_declared_padding_is_outside_the_field(tmp_path: Path, padding: int, signed: bool) -> None:
    """GE pads with -2000, with a padding value that may be written signed or unsigned."""
    datasets = images(replace(SCAN, signed=signed))
    for ds in datasets:
        values = np.frombuffer(ds.PixelData, dtype="<i2").copy()
        values[:3] = -2000
        ds.PixelData, ds.PixelPaddingValue = values.tobytes(), padding
    hu = volume(write(tmp_path, datasets)).hu
    assert (hu[:, 0, :3] == OUTSIDE_FIELD_HU).all()
    assert np.array_equal(hu[:, 1:], SCAN.hu[:, 1:])


def test_padding_that_does_not_fit_in_the_bits_stored(tmp_path: Path) -> None:
    datasets = images(replace(SCAN, bits_stored=12))
    for ds in datasets:
        values = np.frombuffer(ds.PixelData, dtype="<u2").copy()
        values[0] = 63536
        ds.PixelData, ds.PixelPaddingValue = values.tobytes(), 63536
    assert (volume(write(tmp_path, datasets)).hu[:, 0, 0] == OUTSIDE_FIELD_HU).all()


def test_undeclared_padding_far_below_air(tmp_path: Path) -> None:
    hu = pattern()
    hu[:, 0, 0] = -3024
    found = volume(write(tmp_path, images(replace(SCAN, hu=hu, signed=True))))
    assert (found.hu[:, 0, 0] == OUTSIDE_FIELD_HU).all()
    assert (found.hu == OUTSIDE_FIELD_HU).sum() == 12


def test_padding_like_air_counts_from_the_edge_only(tmp_path: Path) -> None:
    hu = np.maximum(pattern(), -1000)
    hu[:, :, :2] = -1024
    hu[:, 4, 5] = -1024
    found = volume(write(tmp_path, images(replace(SCAN, hu=hu, attributes={"PixelPaddingValue": 0}))))
    assert (found.hu[:, :, :2] == OUTSIDE_FIELD_HU).all()
    assert (found.hu[:, 4, 5] == -1024).all()


def test_undeclared_corners_of_a_circular_field(tmp_path: Path) -> None:
    y, x = np.ogrid[:32, :32]
    outside = (y - 15.5) ** 2 + (x - 15.5) ** 2 > 16**2
    hu = np.random.default_rng(1).normal(0, 20, (12, 32, 32)).astype(np.int16)
    hu[:, outside] = -1024
    found = volume(write(tmp_path, images(replace(SCAN, hu=hu)))).hu
    assert (found[:, 0, 0] == OUTSIDE_FIELD_HU).all()
    inside = (y - 15.5) ** 2 + (x - 15.5) ** 2 < 15**2
    assert np.array_equal(found[:, inside], hu[:, inside])


def test_noisy_corners_are_left_alone(tmp_path: Path) -> None:
    hu = np.random.default_rng(1).normal(-1000, 10, (12, 32, 32)).clip(-1024).astype(np.int16)
    assert np.array_equal(volume(write(tmp_path, images(replace(SCAN, hu=hu)))).hu, hu)


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.2.1", LEGACY_CT])
def test_multi_frame_in_any_order_of_frames(tmp_path: Path, sop_class: str) -> None:
    order = [3, 1, 0, 2, *range(11, 3, -1)]
    series = series_of([save(enhanced(replace(SCAN, sop_class=sop_class), order), tmp_path / "x")])
    found = volume(series)
    assert np.array_equal(found.hu, SCAN.hu)
    assert [source.frame_number for source in found.sources] == [order.index(k) + 1 for k in range(12)]


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_multi_frame(tmp_path: Path, name: str) -> None:
    hu = np.tile(pattern(), (1, 4, 4))
    path = recode(save(enhanced(replace(SCAN, hu=hu)), tmp_path / "x"), COMPRESSED[name])
    assert np.array_equal(volume(series_of([path])).hu, hu)


def test_multi_frame_with_a_rescale_for_each_frame(tmp_path: Path) -> None:
    ds = enhanced(SCAN)
    transformation = ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
    del ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for k, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        own = deepcopy(transformation)
        own.RescaleIntercept = -1024 + k
        group.PixelValueTransformationSequence = [own]
    found = volume(series_of([save(ds, tmp_path / "x")]))
    assert np.array_equal(found.hu, SCAN.hu + np.arange(12, dtype=np.int16)[:, None, None])


def tilted(degrees: float, gradient_per_mm: float = 4.0) -> Scan:
    """A field that grows linearly toward the head, scanned with a tilted gantry and a straight table."""
    angle = np.radians(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))
    scan = Scan(np.zeros((40, 30, 20), dtype=np.int16), orientation=orientation, signed=True, intercept=0.0)
    lps, _ = expected_at(scan)
    return replace(scan, hu=np.rint(gradient_per_mm * lps[..., 2]).astype(np.int16))


@pytest.mark.parametrize("degrees", [-20.0, 18.5])
def test_gantry_tilt_is_resampled_to_an_upright_grid(tmp_path: Path, degrees: float) -> None:
    found = volume(write(tmp_path, images(tilted(degrees))))
    axes = found.affine_lps_mm[:3, :3] / np.linalg.norm(found.affine_lps_mm[:3, :3], axis=0)
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-6)
    inside = found.hu != OUTSIDE_FIELD_HU
    z = found.lps_mm(np.moveaxis(np.indices(found.hu.shape), 0, -1))[..., 2]
    assert inside.mean() > 0.6
    assert np.abs(found.hu - 4.0 * z)[inside].max() <= 1.5


def test_tilted_stack_names_the_nearest_image_of_each_slice(tmp_path: Path) -> None:
    found = volume(write(tmp_path, images(tilted(18.5))))
    numbers = [int(source.sop_instance_uid.split(".")[-1]) for source in found.sources]
    middle = found.lps_mm([[k, 15, 10] for k in range(len(numbers))])[:, 2]
    nearest = -100.0 + 2.0 * (np.array(numbers) - 1) - np.sin(np.radians(18.5)) * 15
    assert np.abs(nearest - middle)[3:-3].max() <= 1.01


def test_identical_images_at_one_position(tmp_path: Path) -> None:
    datasets = images(SCAN)
    again = images(SCAN)[4]
    again.SOPInstanceUID += ".9"
    assert np.array_equal(volume(write(tmp_path, [*datasets, again])).hu, SCAN.hu)


def test_different_images_at_one_position(tmp_path: Path) -> None:
    datasets = images(SCAN)
    again = images(replace(SCAN, hu=SCAN.hu + 1))[4]
    again.SOPInstanceUID += ".9"
    with pytest.raises(IrregularSeries, match="Two different images lie at the same position"):
        volume(write(tmp_path, [*datasets, again]))


def test_one_uid_for_two_different_objects(tmp_path: Path) -> None:
    series = write(tmp_path, images(SCAN))
    other = replace(series.instances[0], digest="another")
    with pytest.raises(IrregularSeries, match="arrived more than once"):
        volume(Series("1", "1.1", (*series.instances, other)))


def test_missing_slice(tmp_path: Path) -> None:
    datasets = images(SCAN)
    del datasets[5]
    with pytest.raises(IncompleteSeries, match="1 slice is missing"):
        volume(write(tmp_path, datasets))


def test_truncated_pixel_data(tmp_path: Path) -> None:
    series = write(tmp_path, images(SCAN))
    path = series.instances[3].path
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ImageUndecodable, match="truncated"):
        volume(series)


def test_missing_pixel_data(tmp_path: Path) -> None:
    datasets = images(SCAN)
    del datasets[3].PixelData
    with pytest.raises(ImageUndecodable, match="no pixel data"):
        volume(write(tmp_path, datasets))


def test_file_that_has_gone(tmp_path: Path) -> None:
    series = write(tmp_path, images(SCAN))
    series.instances[0].path.unlink()
    with pytest.raises(ImageUndecodable, match="cannot be read"):
        volume(series)


def test_damaged_compressed_data(tmp_path: Path) -> None:
    hu = np.tile(pattern(), (1, 4, 4))
    paths = [
        recode(save(ds, tmp_path / f"{k}.dcm"), COMPRESSED["JPEG 2000"])
        for k, ds in enumerate(images(replace(SCAN, hu=hu)))
    ]
    series = series_of(paths)
    content = paths[2].read_bytes()
    start = content.index(b"\xff\x4f\xff\x51")
    paths[2].write_bytes(content[: start + 20] + b"\0" * (len(content) - start - 20))
    with pytest.raises(ImageUndecodable, match="cannot be decoded"):
        volume(series)


def test_compressed_data_labelled_as_uncompressed(tmp_path: Path) -> None:
    hu = np.tile(pattern(), (1, 4, 4))
    paths = [
        recode(save(ds, tmp_path / f"{k}.dcm"), COMPRESSED["JPEG-LS"])
        for k, ds in enumerate(images(replace(SCAN, hu=hu)))
    ]
    for path in paths:
        old, new = b"UI\x16\x001.2.840.10008.1.2.4.80", b"UI\x16\x001.2.840.10008.1.2.1\0\0\0"
        path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(ImageUndecodable, match="labelled as uncompressed"):
        volume(series_of(paths))


def test_colour(tmp_path: Path) -> None:
    with pytest.raises(UnsuitableSeries, match="colour"):
        volume(write(tmp_path, images(replace(SCAN, attributes={"PhotometricInterpretation": "RGB"}))))


def test_values_that_are_not_hounsfield_units(tmp_path: Path) -> None:
    with pytest.raises(UnsuitableSeries, match="MGML"):
        volume(write(tmp_path, images(replace(SCAN, attributes={"RescaleType": "MGML"}))))


def test_images_without_rescale(tmp_path: Path) -> None:
    datasets = images(SCAN)
    for ds in datasets:
        del ds.RescaleIntercept
    with pytest.raises(UnsuitableSeries, match="Hounsfield"):
        volume(write(tmp_path, datasets))
