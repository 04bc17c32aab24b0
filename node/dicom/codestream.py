"""What a compressed image says of itself, to be compared with the header before any decoder sees the data.

A damaged or hostile codestream may claim 65,535 x 65,535 pixels, and decoders believe it for seconds and gigabytes.
"""

from __future__ import annotations

import struct

_JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
"""Start-of-frame markers of JPEG (ITU-T T.81 table B.1) and JPEG-LS (T.87 C.1.1)."""
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


def stated_size(data: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, components) of a JPEG, JPEG-LS or JPEG 2000 codestream; ``None`` when it does not say."""
    if data[:4] == b"\xff\x4f\xff\x51":
        return _jpeg2000(data)
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    return None


def ends(data: bytes) -> bool:
    """Whether a JPEG or JPEG-LS codestream has its end marker; a decoder of JPEG-LS searches long for a lost one."""
    return data.rstrip(b"\0").endswith(b"\xff\xd9")


def _jpeg2000(data: bytes) -> tuple[int, int, int] | None:
    """SIZ marker segment, which comes first (ITU-T T.800 A.5.1)."""
    if len(data) < 42:
        return None
    right, bottom, left, top = struct.unpack(">4L", data[8:24])
    (components,) = struct.unpack(">H", data[40:42])
    return bottom - top, right - left, components


def _jpeg(data: bytes) -> tuple[int, int, int] | None:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        if marker in _JPEG_FRAMES:
            if position + 10 > len(data):
                return None
            rows, columns, components = struct.unpack(">HHB", data[position + 5 : position + 10])
            return rows, columns, components
        position += 2 + length
    return None
