"""The file meta information that is put before a dataset as sent (PS3.10 section 7.1)."""

from __future__ import annotations

import struct

IMPLEMENTATION_CLASS_UID = "2.25.118033545703336054424832756117084320064"
IMPLEMENTATION_VERSION_NAME = "VBMD_NODE_1"


def prefix(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> bytes:
    """Return preamble, "DICM" and file meta information; explicit VR little endian, as PS3.10 wants it."""
    elements = b"".join(
        (
            struct.pack("<HH2sHL2s", 2, 0x0001, b"OB", 0, 2, b"\0\1"),
            _uid(0x0002, sop_class_uid),
            _uid(0x0003, sop_instance_uid),
            _uid(0x0010, transfer_syntax_uid),
            _uid(0x0012, IMPLEMENTATION_CLASS_UID),
            _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _text(0x0016, b"AE", source_ae_title),
        )
    )
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


def _uid(element: int, uid: str) -> bytes:
    return _short(element, b"UI", uid.encode("ascii", "replace"), b"\0")


def _text(element: int, vr: bytes, text: str) -> bytes:
    return _short(element, vr, text.encode("ascii", "replace"), b" ")


def _short(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    value += pad * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value
