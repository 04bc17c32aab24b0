"""Attributes of an encoded dataset, read without trusting the writer.

Values are taken from the undecoded elements and converted here, so that a wrong VR, an unknown character set or a
malformed number costs that one attribute and nothing else.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

SPECIFIC_CHARACTER_SET = 0x00080005
_BINARY_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FD": "d", "FL": "f"}
_DELIMITERS = {0x5C, 0x0A, 0x0D, 0x0C}
_ESCAPES = re.compile("\x1b[ -/]+[0-~]")
"""Escape sequences of ISO/IEC 2022 that pydicom leaves in the text of some sets, as of ISO 2022 IR 58."""
_MALFORMED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    NotImplementedError,
    EOFError,
    OSError,
    struct.error,
)
"""What the decoding of one malformed element raises."""


class Elements:
    """Tolerant, read-only view of a dataset or sequence item. Tags are integers (0xGGGGEEEE)."""

    __slots__ = ("_dataset", "_encodings", "_endian")

    def __init__(self, dataset: Dataset, *, parent: Elements | None = None, little_endian: bool = True) -> None:
        self._dataset = dataset
        self._endian: str = parent._endian if parent else "<" if little_endian else ">"
        self._encodings: list[str] = parent._encodings if parent else ["iso8859"]
        names = self._text(SPECIFIC_CHARACTER_SET, ["ascii"]).split("\\")
        if any(names):
            self._encodings = [python_encoding.get(name.strip(), "iso8859") for name in names]

    def __contains__(self, tag: int) -> bool:
        return tag in self._dataset

    def texts(self, tag: int) -> tuple[str, ...]:
        """Values of a text attribute without padding; empty when absent, empty, or not text."""
        text = self._text(tag, self._encodings)
        return tuple(_clean(part) for part in text.split("\\")) if text else ()

    def text(self, tag: int) -> str | None:
        """All values joined by a backslash, as in the file; ``None`` when absent or empty."""
        return "\\".join(self.texts(tag)).strip("\\ ") or None

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Finite values of a numeric attribute; empty when absent or when any value is not a number."""
        element = self._element(tag)
        if element is None:
            return ()
        if isinstance(element, DataElement):
            return _finite(element.value if element.VM > 1 else (element.value,))
        vr = element.VR if element.VR not in (None, "UN") else _dictionary_vr(tag)
        value = element.value or b""
        code = _BINARY_NUMBERS.get(vr or "")
        if code and len(value) % struct.calcsize(f"<{code}") == 0:
            count = len(value) // struct.calcsize(f"<{code}")
            return _finite(struct.unpack(f"{self._endian}{count}{code}", value))
        parts = [part.strip(b" \0").replace(b",", b".") for part in value.split(b"\\")]
        return _finite(part.decode("ascii", "replace") for part in parts if part)

    def number(self, tag: int) -> float | None:
        """First value of a numeric attribute."""
        return next(iter(self.numbers(tag)), None)

    def integer(self, tag: int) -> int | None:
        """First value of a numeric attribute if it is whole."""
        value = self.number(tag)
        return int(value) if value is not None and value == int(value) else None

    def raw(self, tag: int) -> bytes | None:
        """Undecoded value."""
        element = self._element(tag)
        return element.value if isinstance(element, RawDataElement) else None

    def items(self, tag: int) -> Iterator[Elements]:
        """Items of a sequence; none when it is absent or cannot be parsed."""
        if tag not in self._dataset:
            return
        try:
            items = list(self._dataset[tag].value or ())
        except _MALFORMED:
            return
        for item in items:
            if isinstance(item, Dataset):
                yield Elements(item, parent=self)

    def first(self, *path: int) -> Elements | None:
        """The first item of a sequence, of a sequence in it, and so on."""
        here: Elements | None = self
        for tag in path:
            here = next(here.items(tag), None) if here else None
        return here

    def _element(self, tag: int) -> RawDataElement | DataElement | None:
        return self._dataset.get_item(tag, keep_deferred=True)

    def _text(self, tag: int, encodings: list[str]) -> str:
        element = self._element(tag)
        if isinstance(element, RawDataElement):
            return _decode((element.value or b"").strip(b" \0"), encodings)
        value = element.value if isinstance(element, DataElement) else ""
        return value if isinstance(value, str) else ""


def _decode(value: bytes, encodings: list[str]) -> str:
    try:
        value.decode(encodings[0])
        return _ESCAPES.sub("", decode_bytes(value, encodings, _DELIMITERS))
    except _MALFORMED:
        return value.decode("iso8859")


def _clean(text: str) -> str:
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text.strip()


def _dictionary_vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag).split(" ")[0]
    except KeyError:
        return None


def _finite(values: object) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)  # type: ignore[attr-defined]
    except _MALFORMED:
        return ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()
