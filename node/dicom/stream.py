"""Open a DICOM object, in a file or in memory, at the first byte of its dataset."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from node.dicom.elements import Elements
from node.errors import NodeError

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"

MAX_INFLATED_BYTES = 2 << 30
"""A deflated dataset larger than this is refused (2 GiB: 4,000 images of 512 x 512)."""

PIXEL_DATA_GROUP = 0x7FE00000
_PREAMBLE = 128
_TRANSFER_SYNTAX_UID = 0x00020010

UNPARSEABLE = (
    InvalidDicomError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    LookupError,
    OverflowError,
    RuntimeError,  # and RecursionError
    NotImplementedError,
    EOFError,
    OSError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What parsing a malformed dataset raises."""


class ObjectUnreadable(NodeError):
    """The bytes are not a DICOM object, or one too damaged to tell what it is."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An object opened at its dataset."""

    stream: BinaryIO
    transfer_syntax_uid: str
    meta: Elements
    """File meta information; empty for a bare dataset."""

    @property
    def little_endian(self) -> bool:
        return self.transfer_syntax_uid != EXPLICIT_BIG_ENDIAN

    def elements(self, tags: list[int]) -> tuple[Elements, bool]:
        """Read the attributes ``tags`` up to the pixel data, where the stream then stands.

        Returns them and whether the dataset is in implicit VR. Raises ``ObjectUnreadable``.
        """
        implicit = self.transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
        try:
            dataset = read_dataset(
                self.stream,
                implicit,
                self.little_endian,
                stop_when=_at_pixel_data,
                specific_tags=list(tags),
            )
        except UNPARSEABLE as error:
            raise ObjectUnreadable(f"the dataset cannot be parsed ({type(error).__name__})") from error
        return Elements(dataset, little_endian=self.little_endian), bool(dataset.original_encoding[0])


@contextmanager
def opened(source: Path | bytes | BinaryIO, transfer_syntax_uid: str | None = None) -> Iterator[Encoded]:
    """Open a DICOM file, or a bare dataset whose ``transfer_syntax_uid`` is known from the association.

    A Part 10 header wins over ``transfer_syntax_uid``. A bare dataset of unknown syntax is guessed (files written
    before Part 10 existed). Raises ``ObjectUnreadable``; ``OSError`` when the file cannot be opened.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield _encoded(stream, transfer_syntax_uid)
    else:
        yield _encoded(
            BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source, transfer_syntax_uid
        )


def seek_dataset(stream: BinaryIO) -> Elements:
    """Move past preamble and file meta information, if there is any, and return the latter.

    Raises ``ObjectUnreadable``.
    """
    start = stream.tell()
    head = stream.read(_PREAMBLE + 4)
    part10 = head[_PREAMBLE:] == b"DICM"
    stream.seek(start + (_PREAMBLE + 4 if part10 else 0))
    return _file_meta(stream) if part10 or head[:2] == b"\x02\x00" else Elements(Dataset())


def _encoded(stream: BinaryIO, transfer_syntax_uid: str | None) -> Encoded:
    meta = seek_dataset(stream)
    syntax = meta.text(_TRANSFER_SYNTAX_UID) or transfer_syntax_uid or _guess(stream)
    if syntax == DEFLATED:
        stream = BytesIO(_inflated(stream.read()))
    return Encoded(stream, syntax, meta)


def _file_meta(stream: BinaryIO) -> Elements:
    try:
        return Elements(read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2))
    except UNPARSEABLE as error:
        raise ObjectUnreadable(f"the file meta information cannot be parsed ({type(error).__name__})") from error


def _guess(stream: BinaryIO) -> str:
    """Syntax of a dataset that does not say: its first element is of group 8 in any image."""
    start = stream.tell()
    head = stream.read(8)
    stream.seek(start)
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if head[:2] == b"\x08\x00":
        return EXPLICIT_LITTLE_ENDIAN if explicit else IMPLICIT_LITTLE_ENDIAN
    if head[:2] == b"\x00\x08" and explicit:
        return EXPLICIT_BIG_ENDIAN
    raise ObjectUnreadable("this is not a DICOM object")


def _inflated(deflated: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(deflated, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise ObjectUnreadable("the deflated dataset is damaged") from error
    if inflater.unconsumed_tail:
        raise ObjectUnreadable("the deflated dataset is larger than is allowed")
    return plain


def _at_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) >= PIXEL_DATA_GROUP
