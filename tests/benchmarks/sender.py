"""A bare C-STORE sender with a tuned stack (TCP_NODELAY, quick acknowledgement): ``HOST PORT FILE...``

Prints how many objects were answered with success, and when it began and ended (monotonic clock, seconds). Written
against PS3.8 section 9.3 and PS3.7 section 9.3.1, with nothing between the file and the socket, so that the server is
what is measured.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path

from pydicom import dcmread

_CONTEXT = 1
_EXPLICIT = "1.2.840.10008.1.2.1"
_LARGEST_PDU = 131_072


def main(host: str, port: int, *names: str) -> None:
    files = [_load(Path(name)) for name in names]
    begun = time.monotonic()
    with socket.create_connection((host, port), timeout=60) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = _associate(link, files[0][0])
        stored = sum(_store(link, limit, number, *file) == 0 for number, file in enumerate(files))
        link.sendall(struct.pack(">BBL4x", 5, 0, 4))
        _receive(link)
    print(stored, begun, time.monotonic())


def _load(path: Path) -> tuple[str, str, bytes]:
    content = path.read_bytes()
    meta_length = struct.unpack_from("<L", content, 140)[0]
    meta = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), content[144 + meta_length :]


def _associate(link: socket.socket, sop_class: str) -> int:
    context = struct.pack(">B3x", _CONTEXT) + _item(0x30, sop_class.encode()) + _item(0x40, _EXPLICIT.encode())
    user = _item(0x51, struct.pack(">L", _LARGEST_PDU)) + _item(0x52, b"2.25.1")
    items = _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    body = struct.pack(">HH16s16s32x", 1, 0, b"BENCH".ljust(16), b"BENCHSCU".ljust(16)) + items
    link.sendall(struct.pack(">BBL", 1, 0, len(body)) + body)
    kind, answer = _receive(link)
    if kind != 2:
        raise SystemExit("the association was not accepted")
    place = answer.index(b"\x51\x00\x00\x04")
    announced = struct.unpack_from(">L", answer, place + 4)[0]
    return min(announced or _LARGEST_PDU, _LARGEST_PDU)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _store(link: socket.socket, limit: int, number: int, sop_class: str, sop_instance: str, dataset: bytes) -> int:
    elements = b"".join(
        (
            _element(0x0002, sop_class.encode() + b"\0" * (len(sop_class) % 2)),
            _element(0x0100, struct.pack("<H", 0x0001)),
            _element(0x0110, struct.pack("<H", number % 65536)),
            _element(0x0700, struct.pack("<H", 0)),
            _element(0x0800, struct.pack("<H", 0x0001)),
            _element(0x1000, sop_instance.encode() + b"\0" * (len(sop_instance) % 2)),
        )
    )
    _send(link, _element(0x0000, struct.pack("<L", len(elements))) + elements, limit, 1)
    _send(link, dataset, limit, 0)
    _, answer = _receive(link)
    place = answer.index(struct.pack("<HHL", 0, 0x0900, 2))
    status: int = struct.unpack_from("<H", answer, place + 8)[0]
    return status


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, element, len(value)) + value


def _send(link: socket.socket, message: bytes, limit: int, command: int) -> None:
    size = limit - 6
    for start in range(0, len(message), size):
        part = message[start : start + size]
        last = 2 if start + size >= len(message) else 0
        head = struct.pack(">BBLLBB", 4, 0, len(part) + 6, len(part) + 2, _CONTEXT, command | last)
        link.sendall(head + part)


def _receive(link: socket.socket) -> tuple[int, bytes]:
    kind, length = struct.unpack(">BxL", _exactly(link, 6))
    return kind, _exactly(link, length)


def _exactly(link: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = link.recv(count - len(received))
        if not part:
            raise SystemExit("the server closed the connection")
        received += part
    return bytes(received)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
