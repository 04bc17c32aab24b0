"""Folders, zips and files → series."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from node.dicom import scan
from node.dicom.read import volume
from node.dicom.scan import collect
from tests.dicom.writer import Scan, images, pattern, save, write

SCAN = Scan(pattern())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two series of one study and one of another, in nested folders."""
    write(tmp_path / "a" / "one", images(SCAN))
    write(tmp_path / "a" / "two", images(replace(SCAN, series=3)))
    write(tmp_path / "b", images(replace(SCAN, study=2)))
    return tmp_path


def test_series_of_several_studies(folder: Path, tmp_path: Path) -> None:
    series, skipped = collect([folder], tmp_path / "scratch")
    assert [(one.series_instance_uid[-3:], len(one.instances)) for one in series] == [
        ("1.2", 12), ("1.3", 12), ("2.2", 12),
    ]  # fmt: skip
    assert skipped == ()


def test_single_files(folder: Path, tmp_path: Path) -> None:
    series, _ = collect(sorted((folder / "b").iterdir())[:3], tmp_path / "scratch")
    assert [len(one.instances) for one in series] == [3]


def test_junk_is_skipped_with_a_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "b" / "notes.txt").write_text("nothing")
    (folder / "b" / "empty").touch()
    (folder / "b" / "loop").symlink_to(folder)
    series, skipped = collect([folder, tmp_path / "absent"], tmp_path / "scratch")
    assert len(series) == 3
    assert {Path(one.name).name for one in skipped} == {"notes.txt", "empty", "absent"}


def test_same_file_twice_counts_once(folder: Path, tmp_path: Path) -> None:
    series, _ = collect([folder / "b", folder / "b"], tmp_path / "scratch")
    assert [len(one.instances) for one in series] == [12]


def test_copies_count_once(folder: Path, tmp_path: Path) -> None:
    write(folder / "copy", images(replace(SCAN, study=2)))
    series, skipped = collect([folder / "b", folder / "copy"], tmp_path / "scratch")
    assert [len(one.instances) for one in series] == [12]
    assert len(skipped) == 12


def test_digest_is_that_of_the_dataset_alone(tmp_path: Path) -> None:
    """Another file meta information does not make another object."""
    path = save(images(SCAN)[0], tmp_path / "x")
    other = tmp_path / "y"
    other.write_bytes(b"\1" * 128 + path.read_bytes()[128:])
    (one,), skipped = collect([path, other], tmp_path / "scratch")
    assert len(one.instances) == 1
    assert skipped[0].message == "the same object was found before"


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in sorted(folder.rglob("*.dcm")):
            bundle.write(path, f"{prefix}{path.relative_to(folder)}")
    return archive


def test_zip(folder: Path, tmp_path: Path) -> None:
    series, _ = collect([zipped(folder, tmp_path / "all.zip")], tmp_path / "scratch")
    assert [len(one.instances) for one in series] == [12, 12, 12]
    assert volume(series[0]).hu.shape == (12, 8, 10)


def test_zip_in_a_folder_with_other_files(folder: Path, tmp_path: Path) -> None:
    zipped(folder / "b", folder / "b.zip")
    series, _ = collect([folder / "a", folder / "b.zip"], tmp_path / "scratch")
    assert len(series) == 3


def test_names_in_a_zip_do_not_leave_the_scratch_folder(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder / "b", tmp_path / "evil.zip", prefix="../../../escaped/")
    scratch = tmp_path / "deep" / "scratch"
    series, _ = collect([archive], scratch)
    assert len(series[0].instances) == 12
    assert all(instance.path.is_relative_to(scratch) for instance in series[0].instances)
    assert not list(tmp_path.rglob("escaped"))


def test_bomb(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_UNPACKED_BYTES", 1000)
    series, skipped = collect([zipped(folder, tmp_path / "all.zip")], tmp_path / "scratch")
    assert series == ()
    assert "too much" in skipped[0].message


def test_damaged_zip(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "all.zip")
    archive.write_bytes(archive.read_bytes()[:2000])
    series, skipped = collect([archive], tmp_path / "scratch")
    assert series == ()
    assert "cannot be unpacked" in skipped[0].message


def test_damaged_member(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder / "b", tmp_path / "b.zip")
    content = bytearray(archive.read_bytes())
    content[200:260] = b"\xff" * 60
    archive.write_bytes(bytes(content))
    series, skipped = collect([archive], tmp_path / "scratch")
    assert len(series[0].instances) == 11
    assert len(skipped) == 1
