"""What is written: readable, valid, faithful, and faulty where asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from node.dicom import read, scan
from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.errors import ImageUndecodable, IncompleteSeries, IrregularSeries, StudyRefused
from node.synthetic import dicom
from node.synthetic.encode import SYNTAXES
from node.synthetic.faults import Fault
from node.synthetic.study import write_study
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests.peers import peer
from tests.synthetic.measured import small


@pytest.fixture(scope="module")
def case() -> SyntheticCase:
    return make(small(matrix=96, spacing_mm=4.0, thickness_mm=4.0, contrast="portal"))


def back(folder: Path, scratch: Path) -> Volume:
    """The only series of a folder as the node reads it."""
    series, skipped = scan.collect([folder], scratch)
    assert not skipped
    (one,) = series
    return read.volume(one)


def errors(path: Path) -> list[str]:
    """Error lines of dciodvfy."""
    ran = subprocess.run([peer("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
    return [row for row in (ran.stdout + ran.stderr).splitlines() if row.startswith("Error")]


def same(volume: Volume, case: SyntheticCase) -> bool:
    """Whether a volume read back holds the case's voxels (padding aside)."""
    known = volume.hu != OUTSIDE_FIELD_HU
    return known.mean() > 0.7 and np.array_equal(volume.hu[known], case.hu[known])


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_every_patient_position_reads_back_in_patient_coordinates(position: str, tmp_path: Path) -> None:
    made = make(small(matrix=96, spacing_mm=4.0, thickness_mm=4.0, patient_position=position))
    dicom.write(made, tmp_path / "out")
    volume = back(tmp_path / "out", tmp_path)
    assert np.allclose(volume.affine_lps_mm, made.affine_lps_mm, atol=1e-3)
    assert same(volume, made)


def test_prone_images_are_stored_with_the_couch_below(tmp_path: Path) -> None:
    made = make(small(matrix=32, spacing_mm=20.0, patient_position="HFP"))
    ds = dcmread(dicom.write(made, tmp_path)[0])
    assert [float(v) for v in ds.ImageOrientationPatient] == [-1, 0, 0, 0, -1, 0]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_transfer_syntax_holds_the_same_pixels(syntax: str, case: SyntheticCase, tmp_path: Path) -> None:
    paths = dicom.write(case, tmp_path / "out", syntax=syntax)
    assert dcmread(paths[0]).file_meta.TransferSyntaxUID == SYNTAXES[syntax]
    assert same(back(tmp_path / "out", tmp_path), case)


@pytest.mark.parametrize("kind", ["enhanced", "legacy"])
def test_multi_frame_objects_hold_the_same_volume(kind: str, case: SyntheticCase, tmp_path: Path) -> None:
    paths = dicom.write(case, tmp_path / "out", multiframe=kind)  # type: ignore[arg-type]
    assert len(paths) == 1
    volume = back(tmp_path / "out", tmp_path)
    assert np.allclose(volume.affine_lps_mm, case.affine_lps_mm, atol=1e-3)
    assert same(volume, case)


@pytest.mark.parametrize("kind", ["enhanced", "legacy"])
@pytest.mark.parametrize("syntax", ["rle", "jpeg-ls", "jpeg-2000", "jpeg-lossless"])
def test_multi_frame_objects_may_be_compressed(kind: str, syntax: str, case: SyntheticCase, tmp_path: Path) -> None:
    dicom.write(case, tmp_path / "out", multiframe=kind, syntax=syntax)  # type: ignore[arg-type]
    assert same(back(tmp_path / "out", tmp_path), case)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["no", "enhanced", "legacy"])
def test_images_have_no_error_in_the_eyes_of_dciodvfy(kind: str, case: SyntheticCase, tmp_path: Path) -> None:
    paths = dicom.write(case, tmp_path, multiframe=kind)  # type: ignore[arg-type]
    assert errors(paths[0]) == []


@pytest.mark.peer
def test_companions_have_no_error_in_the_eyes_of_dciodvfy(case: SyntheticCase, tmp_path: Path) -> None:
    written = write_study(case, tmp_path, ("localizer", "thick", "sharp", "dose-report", "dose-screen"))
    assert {name: errors(paths[0]) for name, paths in written.items()} == {name: [] for name in written}


def test_a_study_shares_its_uid_and_its_frame_of_reference(case: SyntheticCase, tmp_path: Path) -> None:
    written = write_study(case, tmp_path, ("localizer", "sharp", "dose-report"))
    heads = {name: dcmread(paths[0], stop_before_pixels=True) for name, paths in written.items()}
    assert len({ds.StudyInstanceUID for ds in heads.values()}) == 1
    assert len({ds.SeriesInstanceUID for ds in heads.values()}) == len(heads)
    assert len({heads[name].FrameOfReferenceUID for name in ("main", "localizer", "sharp")}) == 1


def test_the_same_case_gives_the_same_files(case: SyntheticCase, tmp_path: Path) -> None:
    once, again = dicom.write(case, tmp_path / "a"), dicom.write(case, tmp_path / "b")
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_the_header_says_what_the_spec_says(tmp_path: Path) -> None:
    made = make(small(matrix=32, spacing_mm=20.0, kvp=100.0, kernel="sharp", station_name="CT9", contrast="portal"))
    ds = dcmread(dicom.write(made, tmp_path)[0])
    said = (float(ds.KVP), ds.ConvolutionKernel, ds.StationName, ds.DeviceSerialNumber, ds.PatientPosition)
    assert said == (100.0, "B60f", "CT9", "10001", "HFS")
    assert ds.ContrastBolusAgent


FATAL: list[tuple[Fault, type[StudyRefused]]] = [
    ("missing-slice", IncompleteSeries),
    ("missing-block", IncompleteSeries),
    ("irregular-spacing", IrregularSeries),
    ("mixed-orientation", IrregularSeries),
    ("mixed-size", IrregularSeries),
    ("mixed-frame-of-reference", IrregularSeries),
    ("no-pixels", ImageUndecodable),
    ("truncated-pixels", ImageUndecodable),
]


@pytest.mark.parametrize(("fault", "refusal"), FATAL)
def test_a_fatal_fault_is_one_that_the_reader_refuses(
    fault: Fault, refusal: type[StudyRefused], case: SyntheticCase, tmp_path: Path
) -> None:
    dicom.write(case, tmp_path / "out", faults=(fault,))
    with pytest.raises(StudyRefused) as refused:
        back(tmp_path / "out", tmp_path)
    assert refused.value.reason in {refusal.reason, "irregular-series"}


@pytest.mark.parametrize("fault", ["shuffled-numbers", "equal-numbers", "reversed", "sparse-header"])
def test_a_harmless_fault_leaves_the_volume_as_it_is(fault: Fault, case: SyntheticCase, tmp_path: Path) -> None:
    dicom.write(case, tmp_path / "out", faults=(fault,))
    volume = back(tmp_path / "out", tmp_path)
    assert np.allclose(volume.affine_lps_mm, case.affine_lps_mm, atol=1e-3)


def test_a_tilted_gantry_tilts_the_images_and_not_their_positions(tmp_path: Path) -> None:
    made = make(small(matrix=32, spacing_mm=20.0, gantry_tilt_deg=12.0))
    first, second = (dcmread(path) for path in dicom.write(made, tmp_path)[:2])
    step = np.array(second.ImagePositionPatient, float) - np.array(first.ImagePositionPatient, float)
    assert np.allclose(step, (0, 0, -20.0), atol=1e-3)
    assert float(first.ImageOrientationPatient[5]) == pytest.approx(np.sin(np.radians(12.0)), abs=1e-6)
