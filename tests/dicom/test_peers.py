"""Files made by DCMTK and real CT of the development data."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from node.dicom.header import read_header
from node.dicom.read import volume
from node.dicom.scan import collect
from node.domain.instance import Series, StoredInstance
from node.domain.volume import OUTSIDE_FIELD_HU
from node.errors import IrregularSeries
from tests.dicom.writer import Scan, images, pattern, save, series_of
from tests.peers import peer
from tests.shared_data import unpacked

CODERS = {
    "dcmcjpeg lossless": ("dcmcjpeg", "+e1", "1.2.840.10008.1.2.4.70"),
    "dcmcjpeg lossless, any predictor": ("dcmcjpeg", "+el", "1.2.840.10008.1.2.4.57"),
    "dcmcjpls": ("dcmcjpls", "+el", "1.2.840.10008.1.2.4.80"),
    "dcmcrle": ("dcmcrle", "+ua", "1.2.840.10008.1.2.5"),
    "dcmconv deflated": ("dcmconv", "+td", "1.2.840.10008.1.2.1.99"),
    "dcmconv big endian": ("dcmconv", "+tb", "1.2.840.10008.1.2.2"),
    "dcmconv implicit": ("dcmconv", "+ti", "1.2.840.10008.1.2"),
    "dcmconv sequences without length": ("dcmconv", "-e", "1.2.840.10008.1.2.1"),
}


@pytest.mark.peer
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", CODERS)
def test_syntaxes_written_by_dcmtk(tmp_path: Path, name: str, signed: bool) -> None:
    program, option, syntax = CODERS[name]
    hu = np.tile(pattern(), (1, 4, 4))
    scan = Scan(hu, signed=signed, intercept=0.0 if signed else -1024.0)
    paths = []
    for k, ds in enumerate(images(scan)):
        source = save(ds, tmp_path / f"{k}.dcm")
        paths.append(tmp_path / f"{k}.{program}")
        subprocess.run([peer(program), option, str(source), str(paths[-1])], check=True, capture_output=True)
    series = series_of(paths)
    assert series.instances[0].header.transfer_syntax_uid == syntax
    assert np.array_equal(volume(series).hu, hu)


def real(name: str) -> Series:
    """The only CT series of a case; UIDs that were blanked are filled in."""
    paths = sorted(path for path in unpacked(name).rglob("*") if path.suffix != ".gz" and path.is_file())
    instances = []
    for path in paths:
        header = read_header(path)
        if not header.study_instance_uid:
            header = replace(header, study_instance_uid="1.1", series_instance_uid="1.2")
        instances.append(StoredInstance(path, header, path.name))
    return Series(instances[0].header.study_instance_uid, instances[0].header.series_instance_uid, tuple(instances))


@pytest.mark.shared_data
def test_five_mm_slices_every_4_25_mm() -> None:
    found = volume(real("abdomen_a"))
    assert found.hu.shape == (99, 512, 512)
    assert found.spacing_mm == pytest.approx((4.25, 0.976562, 0.976562))
    k, j, i = np.rint(found.index_kji([-14.5, 57, -561])).astype(int)  # L1
    assert found.hu[k - 1 : k + 2, j - 6 : j + 7, i - 8 : i + 9].mean() == pytest.approx(181, abs=15)


@pytest.mark.shared_data
def test_padding_of_a_ge_scanner() -> None:
    found = volume(real("abdomen_a"))
    assert found.hu.min() == OUTSIDE_FIELD_HU
    outside = found.hu[50] == OUTSIDE_FIELD_HU
    assert outside.mean() == pytest.approx(1 - np.pi / 4, abs=0.01)


@pytest.mark.shared_data
def test_irregular_spacing_is_refused() -> None:
    with pytest.raises(IrregularSeries, match="uneven"):
        volume(real("head_irregular_spacing"))


@pytest.mark.shared_data
def test_jpeg_2000_of_a_real_scanner() -> None:
    found = volume(real("slab_T11_T12_jpeg2000"))
    assert found.hu.shape == (20, 512, 512)
    assert found.spacing_mm == pytest.approx((2.0, 0.9765625, 0.9765625))
    assert found.hu.min() == -1024
    assert 1000 < found.hu.max() < 3072


@pytest.mark.shared_data
def test_study_of_several_series(tmp_path: Path) -> None:
    series, skipped = collect([unpacked("chest_f66")], tmp_path)
    assert sorted(len(one.instances) for one in series) == [1, 2, 73, 148, 295]
    assert [Path(one.name).name for one in skipped] == ["labels_vertebrae.mha"]
