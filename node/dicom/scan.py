"""Folders, zips and single files → series, for measuring without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.dicom.header import read_header
from node.dicom.stream import ObjectUnreadable, seek_dataset
from node.domain.instance import Series, StoredInstance

MAX_UNPACKED_BYTES = 32 << 30
"""Of one zip; more is refused as a bomb (32 GiB is some 60,000 images of 512 x 512)."""
MAX_MEMBERS = 200_000

_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is part of no series, and why."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    name: str
    """What to call it: its path, or archive and member."""


def collect(paths: Iterable[Path], scratch: Path) -> tuple[tuple[Series, ...], tuple[Skipped, ...]]:
    """Find all DICOM series under ``paths``; nothing in the files stops the search.

    Zips are unpacked into the folder ``scratch``, which the caller owns and the series then refer to; names inside it
    are never used as paths. Series come in order of their UIDs. Raises ``OSError`` when ``scratch`` cannot be written.
    """
    skipped: list[Skipped] = []
    by_series: dict[tuple[str, str], dict[tuple[str, str], StoredInstance]] = defaultdict(dict)
    for found in _files(paths, scratch, skipped):
        try:
            instance = _instance(found.path)
        except (ObjectUnreadable, OSError) as error:
            skipped.append(Skipped(found.name, _sentence(error)))
            continue
        header = instance.header
        if header.sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
            skipped.append(Skipped(found.name, "this is a DICOMDIR, not an image"))
            continue
        series = by_series[header.study_instance_uid, header.series_instance_uid]
        if series.setdefault((header.sop_instance_uid, instance.digest), instance) is not instance:
            skipped.append(Skipped(found.name, "the same object was found before"))
    return tuple(Series(*uids, tuple(found.values())) for uids, found in sorted(by_series.items())), tuple(skipped)


def _instance(path: Path) -> StoredInstance:
    header = read_header(path)
    with path.open("rb") as stream:
        seek_dataset(stream)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return StoredInstance(path, header, digest)


def _files(paths: Iterable[Path], scratch: Path, skipped: list[Skipped]) -> Iterator[_Found]:
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            skipped.append(Skipped(str(path), "there is no such file or folder"))
            continue
        for file in _walk(path):
            resolved = file.resolve()
            if resolved in seen:
                continue
            seen.add(resolved)
            if _is_zip(file):
                yield from _unpacked(file, scratch, skipped)
            else:
                yield _Found(file, str(file))


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, names, files in os.walk(path):
        names.sort()
        yield from (file for name in sorted(files) if (file := Path(folder, name)).is_file())


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def _unpacked(archive: Path, scratch: Path, skipped: list[Skipped]) -> Iterator[_Found]:
    """Members of a zip. A damaged one is skipped; a full disk is not, since half a series must not be measured."""
    try:
        bundle = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        skipped.append(Skipped(str(archive), f"it cannot be unpacked ({error})"))
        return
    with bundle:
        members = [member for member in bundle.infolist() if not member.is_dir()]
        size = sum(member.file_size for member in members)
        if len(members) > MAX_MEMBERS or size > MAX_UNPACKED_BYTES:
            skipped.append(Skipped(str(archive), f"it would unpack to {len(members)} files of {size} bytes: too much"))
            return
        folder = _new_folder(scratch)
        for number, member in enumerate(members):
            name, target = f"{archive}:{member.filename}", folder / f"{number:06d}"
            try:
                _extract(bundle, member, target)
            except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                skipped.append(Skipped(name, f"it cannot be unpacked ({error})"))
            else:
                yield _Found(target, name)


def _extract(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """The size that the directory states is the most that is written: ``zipfile`` stops reading there."""
    with bundle.open(member) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)


def _new_folder(scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in scratch.iterdir())
    while True:
        folder = scratch / f"zip-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
