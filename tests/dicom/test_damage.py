"""Damaged objects: whatever the bytes, the answer is a header, pixels, or one of our own errors, and it comes soon."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom import geometry
from node.dicom.codestream import ends, stated_size
from node.dicom.header import read_header
from node.dicom.pixels import frames
from node.dicom.stream import ObjectUnreadable
from node.errors import StudyRefused
from tests.dicom.writer import Scan, enhanced, images, pattern, recode, save

UNCOMPRESSED = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
COMPRESSED = ("1.2.840.10008.1.2.5", *(f"1.2.840.10008.1.2.4.{n}" for n in (70, 80, 90)))
WIDE = Scan(np.tile(pattern(), (1, 4, 4)))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Well-formed objects of every kind."""
    path = tmp_path_factory.mktemp("seeds") / "x"
    found = []
    for syntax in UNCOMPRESSED:
        found.append(save(images(Scan(pattern()))[0], path, syntax).read_bytes())
        found.append(save(enhanced(Scan(pattern())), path, syntax).read_bytes())
    found += [recode(save(images(WIDE)[0], path), syntax).read_bytes() for syntax in COMPRESSED]
    return found


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Change, drop and insert bytes, overwrite lengths, cut off."""
    data = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        at = chance.randrange(min(128, len(data) - 1), len(data))
        kind = chance.random()
        if kind < 0.5:
            data[at] = chance.randrange(256)
        elif kind < 0.65:
            del data[at : at + chance.randrange(1, 40)]
        elif kind < 0.8:
            data[at:at] = chance.randbytes(chance.randrange(1, 20))
        elif kind < 0.9:
            data[at : at + 4] = b"\xff\xff\xff\xff"
        else:
            data = data[: max(2, at)]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
def test_damaged_objects(seeds: list[bytes], tmp_path: Path, seed: int) -> None:
    chance, path = random.Random(seed), tmp_path / "x"
    read, slowest = 0, 0.0
    for _ in range(250):
        path.write_bytes(damaged(chance.choice(seeds), chance))
        start = time.process_time()
        try:
            header = read_header(path)
            list(frames(path, [0]))
            read += 1
            geometry.check([header])
        except (ObjectUnreadable, StudyRefused):
            pass
        slowest = max(slowest, time.process_time() - start)
    assert read > 10
    assert slowest < 2.0


@pytest.mark.filterwarnings("ignore")
def test_random_bytes() -> None:
    chance = random.Random(1)
    for _ in range(300):
        data = chance.randbytes(chance.randrange(400))
        for syntax in (None, *UNCOMPRESSED):
            try:
                read_header(data, transfer_syntax_uid=syntax)
            except ObjectUnreadable:
                continue


def codestream(syntax: str, tmp_path: Path) -> bytes:
    content = recode(save(images(WIDE)[0], tmp_path / "x"), syntax).read_bytes()
    start = max(content.find(b"\xff\xd8\xff"), content.find(b"\xff\x4f\xff\x51"))
    return content[start : content.rindex(b"\xfe\xff\xdd\xe0")]


@pytest.mark.parametrize("syntax", COMPRESSED[1:])
def test_size_stated_in_a_codestream(tmp_path: Path, syntax: str) -> None:
    data = codestream(syntax, tmp_path)
    assert stated_size(data) == (32, 40, 1)
    assert ends(data)
    assert not ends(data[:-4])


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xf7\0\1", b"\xff\xd8\xff\xe0\0\4ab", b"\xff\x4f\xff\x51\0"]
)
def test_codestream_that_states_nothing(data: bytes) -> None:
    assert stated_size(data) is None
