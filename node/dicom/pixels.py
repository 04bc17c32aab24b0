"""Stored pixel values of one image or frame, native or compressed (PS3.5 section 8 and annex A), and what they mean."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder

from node.dicom.codestream import ends, stated_size
from node.dicom.elements import SPECIFIC_CHARACTER_SET, Elements
from node.dicom.header import NUMBER_OF_FRAMES, PER_FRAME, SHARED, attribute
from node.dicom.stream import UNPARSEABLE, Encoded, ObjectUnreadable, opened
from node.errors import ImageUndecodable, UnsuitableSeries

Stored = NDArray[Any]

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
RLE = "1.2.840.10008.1.2.5"

_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = (0x7FE0, 0x0010)
_LONG_VRS = (b"OB", b"OW", b"UN", b"OD", b"OF", b"OL", b"OV")
_TRANSFORMATION = attribute("PixelValueTransformationSequence")
_SLOPE, _INTERCEPT, _TYPE = attribute("RescaleSlope"), attribute("RescaleIntercept"), attribute("RescaleType")
_ROWS, _COLUMNS, _SAMPLES = attribute("Rows"), attribute("Columns"), attribute("SamplesPerPixel")
_ALLOCATED, _STORED, _HIGH_BIT = attribute("BitsAllocated"), attribute("BitsStored"), attribute("HighBit")
_SIGNED, _PHOTOMETRIC = attribute("PixelRepresentation"), attribute("PhotometricInterpretation")
_PADDING, _PADDING_LIMIT = attribute("PixelPaddingValue"), attribute("PixelPaddingRangeLimit")
_TAGS = [
    SPECIFIC_CHARACTER_SET,
    *(_SLOPE, _INTERCEPT, _TYPE, _ROWS, _COLUMNS, _SAMPLES, _PHOTOMETRIC, _ALLOCATED, _STORED, _HIGH_BIT, _SIGNED),
    *(_PADDING, _PADDING_LIMIT, NUMBER_OF_FRAMES, SHARED, PER_FRAME),
]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How stored values are encoded (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric_interpretation: str
    padding: tuple[int, int] | None
    """Stored values, from and to, that stand for nothing (PS3.3 C.7.5.1.1.2)."""

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.bits_allocated // 8

    def dtype(self, little_endian: bool) -> np.dtype[Any]:
        return np.dtype(f"{'<' if little_endian else '>'}{'i' if self.signed else 'u'}{self.bits_allocated // 8}")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded image."""

    index: int
    """0-based within its object."""
    stored: Stored
    """(rows, columns). Unused high bits are cleared or sign-extended; padding values are as in ``padding``."""
    slope: float
    """HU = slope · stored + intercept (PS3.3 C.11.1)."""
    intercept_hu: float
    padding: tuple[int, int] | None


def frames(path: Path, indices: Sequence[int]) -> Iterator[Frame]:
    """Decode frames (0-based, ascending) of a CT object.

    Raises ``ImageUndecodable`` (missing, truncated or undecodable pixel data) or ``UnsuitableSeries`` (not in HU).
    """
    try:
        with opened(path) as encoded:
            elements, implicit = encoded.elements(_TAGS)
            form = _format(elements)
            groups = [*elements.items(PER_FRAME)]
            for index, stored in _decoded(encoded, implicit, form, elements.integer(NUMBER_OF_FRAMES) or 1, indices):
                group = groups[index] if index < len(groups) else None
                slope, intercept = _rescale(elements, group)
                yield Frame(index, _used_bits(stored, form), slope, intercept, form.padding)
    except (ObjectUnreadable, OSError) as error:
        raise ImageUndecodable(f"An image cannot be read: {error}.", {"file": path.name}) from error


def _format(elements: Elements) -> PixelFormat:
    rows, columns, allocated = (elements.integer(tag) or 0 for tag in (_ROWS, _COLUMNS, _ALLOCATED))
    stored = elements.integer(_STORED) or allocated
    high_bit = elements.integer(_HIGH_BIT)
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated or rows < 1 or columns < 1:
        raise ImageUndecodable(
            f"An image of {rows} x {columns} with {stored} of {allocated} bits cannot be decoded.",
            {"rows": rows, "columns": columns, "bits_allocated": allocated, "bits_stored": stored},
        )
    samples, photometric = elements.integer(_SAMPLES) or 1, elements.text(_PHOTOMETRIC) or "MONOCHROME2"
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        raise UnsuitableSeries(
            f"The images are in colour ({photometric}).", {"photometric_interpretation": photometric}
        )
    signed = elements.integer(_SIGNED) == 1
    valid_high_bit = high_bit is not None and stored - 1 <= high_bit < allocated
    return PixelFormat(
        rows=rows,
        columns=columns,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit if valid_high_bit and high_bit is not None else stored - 1,
        signed=signed,
        photometric_interpretation=photometric,
        padding=_padding(elements, allocated, signed),
    )


def _padding(elements: Elements, bits: int, signed: bool) -> tuple[int, int] | None:
    """Padding range, whether it was written as US or as SS."""
    value = elements.integer(_PADDING)
    if value is None:
        return None
    limit = elements.integer(_PADDING_LIMIT)
    ends = [end % (1 << bits) for end in (value, value if limit is None else limit)]
    if signed:
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    return min(ends), max(ends)


def _rescale(elements: Elements, frame_group: Elements | None) -> tuple[float, float]:
    place = elements
    for group in (frame_group, elements.first(SHARED)):
        macro = group.first(_TRANSFORMATION) if group else None
        if macro is not None:
            place = macro
            break
    slope, intercept, unit = place.number(_SLOPE), place.number(_INTERCEPT), place.text(_TYPE)
    if slope is None or intercept is None or slope == 0:
        raise UnsuitableSeries("The images do not say how stored values become Hounsfield units.", {})
    if unit not in (None, "HU", "US"):  # US: unspecified
        raise UnsuitableSeries(f"Pixel values are in {unit}, not in Hounsfield units.", {"rescale_type": unit})
    return slope, intercept


def _decoded(
    encoded: Encoded, implicit: bool, form: PixelFormat, count: int, indices: Sequence[int]
) -> Iterator[tuple[int, Stored]]:
    length = _pixel_data_length(encoded, implicit)
    native = encoded.transfer_syntax_uid in NATIVE
    if length == _UNDEFINED_LENGTH and native:
        raise ImageUndecodable(
            "Compressed pixel data is labelled as uncompressed.", {"transfer_syntax_uid": encoded.transfer_syntax_uid}
        )
    if native or length != _UNDEFINED_LENGTH:  # some writers label uncompressed data as compressed
        yield from _native(encoded, form, length, indices)
    else:
        yield from _compressed(encoded, form, count, indices)


def _pixel_data_length(encoded: Encoded, implicit: bool) -> int:
    """Length of the pixel data, whose first byte the stream then stands at."""
    endian = "<" if encoded.little_endian else ">"
    head = encoded.stream.read(8)
    if len(head) < 8 or struct.unpack(f"{endian}HH", head[:4]) != _PIXEL_DATA:
        raise ImageUndecodable("An image has no pixel data.", {})
    if implicit:
        return int(struct.unpack(f"{endian}L", head[4:])[0])
    if head[4:6] in _LONG_VRS:
        tail = encoded.stream.read(4)
        return int(struct.unpack(f"{endian}L", tail)[0]) if len(tail) == 4 else 0
    return int(struct.unpack(f"{endian}H", head[6:])[0])


def _native(encoded: Encoded, form: PixelFormat, length: int, indices: Sequence[int]) -> Iterator[tuple[int, Stored]]:
    start = encoded.stream.tell()
    size = form.frame_bytes
    for index in indices:
        data = b""
        if length >= (index + 1) * size:
            encoded.stream.seek(start + index * size)
            data = encoded.stream.read(size)
        if len(data) < size:
            raise ImageUndecodable(
                "Pixel data is truncated.", {"bytes": max(0, length - index * size), "wanted": size, "frame": index + 1}
            )
        yield index, np.frombuffer(data, dtype=form.dtype(encoded.little_endian)).reshape(form.rows, form.columns)


def _compressed(
    encoded: Encoded, form: PixelFormat, count: int, indices: Sequence[int]
) -> Iterator[tuple[int, Stored]]:
    wanted, syntax = set(indices), encoded.transfer_syntax_uid
    try:
        for index, data in enumerate(_fragments(encoded.stream, count)):
            if index in wanted:
                wanted.discard(index)
                yield index, _decompressed(data, syntax, form)
    except UNPARSEABLE as error:
        raise ImageUndecodable(
            f"Compressed pixel data cannot be decoded ({type(error).__name__}).", {"transfer_syntax_uid": syntax}
        ) from error
    if wanted:
        raise ImageUndecodable(
            "Compressed pixel data is truncated.", {"frames_missing": len(wanted), "transfer_syntax_uid": syntax}
        )


def _fragments(stream: BinaryIO, count: int) -> Iterator[bytes]:
    return generate_frames(stream, number_of_frames=count)


def _decompressed(data: bytes, syntax: str, form: PixelFormat) -> Stored:
    if syntax == RLE:
        return _run_length(data, form)
    found = stated_size(data)
    if found != (form.rows, form.columns, 1):
        raise ImageUndecodable(
            "Compressed pixel data states another size than the header, or none.",
            {"stated": list(found or ()), "wanted": [form.rows, form.columns, 1], "transfer_syntax_uid": syntax},
        )
    if data[:2] == b"\xff\xd8" and not ends(data):
        raise ImageUndecodable("Compressed pixel data is truncated.", {"transfer_syntax_uid": syntax})
    decoder = _DECODERS.get(syntax)
    if decoder is None:
        raise ImageUndecodable(f"No decoder is known for transfer syntax {syntax}.", {"transfer_syntax_uid": syntax})
    decoded = decoder(data)
    return decoded.astype(f"u{form.bits_allocated // 8}").view(form.dtype(sys.byteorder == "little"))


_DECODERS: dict[str, Callable[[bytes], Stored]] = {
    "1.2.840.10008.1.2.4.50": imagecodecs.jpeg_decode,
    "1.2.840.10008.1.2.4.51": imagecodecs.jpeg_decode,
    "1.2.840.10008.1.2.4.57": imagecodecs.jpeg_decode,
    "1.2.840.10008.1.2.4.70": imagecodecs.jpeg_decode,
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.81": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.90": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.91": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.201": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.202": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.203": imagecodecs.jpeg2k_decode,
}
"""They let other threads run, and raise on damaged data where others end the process. What they return as signed or
unsigned follows the codestream; the header decides (PS3.5 8.2)."""


def _run_length(data: bytes, form: PixelFormat) -> Stored:
    options: dict[str, Any] = {
        "rows": form.rows,
        "columns": form.columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": form.photometric_interpretation,
        "bits_allocated": form.bits_allocated,
        "bits_stored": form.bits_stored,
        "pixel_representation": int(form.signed),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    array, _ = get_decoder(RLE).as_array(encapsulate([data], has_bot=False), raw=True, **options)
    return array


def _used_bits(stored: Stored, form: PixelFormat) -> Stored:
    """Drop bits outside BitsStored (old writers kept overlays there), but never change a padding value."""
    spare = form.bits_allocated - form.high_bit - 1
    shift = form.high_bit + 1 - form.bits_stored
    lowest = -(1 << (form.bits_stored - 1)) if form.signed else 0
    highest = lowest + (1 << form.bits_stored) - 1
    if shift == 0 and (spare == 0 or (lowest <= int(stored.min()) and int(stored.max()) <= highest)):
        return stored
    used = (stored << spare) >> (spare + shift)
    if form.padding is not None:
        from_, to = form.padding
        used = np.where((stored >= from_) & (stored <= to), stored, used)
    return used
