"""DICOM on the wire, byte by byte (PS3.8 section 9.3, PS3.7 section 9.3.1): what a peer may send, well formed or not.

Written without any library, so that nothing stands between a test and the socket.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

from pydicom import dcmread

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXT = 1
OUR_LARGEST_PDU = 131_072
A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA, A_RELEASE_RP, A_ABORT = 2, 3, 4, 6, 7
RELEASE = struct.pack(">BBL4x", 5, 0, 4)
ABORT = struct.pack(">BBL4x", 7, 0, 4)


class Closed(Exception):
    """The peer ended the connection."""


def dataset_of(path: Path) -> tuple[str, str, bytes]:
    """Return SOP Class UID, SOP Instance UID and the dataset's bytes of a Part 10 file."""
    content = path.read_bytes()
    meta_length = struct.unpack_from("<L", content, 140)[0]
    meta = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), content[144 + meta_length :]


def connect(port: int, host: str = "127.0.0.1", timeout_s: float = 60.0) -> socket.socket:
    """Open a connection without Nagle's delay."""
    link = socket.create_connection((host, port), timeout=timeout_s)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def associate_rq(
    called: str,
    calling: str,
    sop_class: str = CT_IMAGE,
    *,
    syntax: str = EXPLICIT,
    largest_pdu: int = OUR_LARGEST_PDU,
    window: int = 0,
) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU; ``window`` asks for so many operations at a time (PS3.7 D.3.3.3)."""
    context = struct.pack(">B3x", CONTEXT) + _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode())
    user = _item(0x51, struct.pack(">L", largest_pdu)) + _item(0x52, b"2.25.1")
    if window:
        user += _item(0x53, struct.pack(">HH", window, window))
    items = _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16)) + items
    return struct.pack(">BBL", 1, 0, len(body)) + body


def associate(link: socket.socket, called: str, calling: str, sop_class: str = CT_IMAGE, **options: Any) -> int:
    """Open an association; return the longest PDU that the peer takes. Raises ``Closed`` when it is not accepted."""
    link.sendall(associate_rq(called, calling, sop_class, **options))
    kind, answer = receive(link)
    if kind != A_ASSOCIATE_AC:
        raise Closed(f"the association was not accepted: PDU {kind}")
    place = answer.index(b"\x51\x00\x00\x04")
    announced = struct.unpack_from(">L", answer, place + 4)[0]
    return min(announced or OUR_LARGEST_PDU, OUR_LARGEST_PDU)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def store_rq(number: int, sop_class: str, sop_instance: str) -> bytes:
    """Return the command set of a C-STORE request."""
    elements = b"".join(
        (
            element(0x0002, sop_class.encode() + b"\0" * (len(sop_class) % 2)),
            element(0x0100, struct.pack("<H", 0x0001)),
            element(0x0110, struct.pack("<H", number % 65536)),
            element(0x0700, struct.pack("<H", 0)),
            element(0x0800, struct.pack("<H", 0x0001)),
            element(0x1000, sop_instance.encode() + b"\0" * (len(sop_instance) % 2)),
        )
    )
    return element(0x0000, struct.pack("<L", len(elements))) + elements


def element(number: int, value: bytes) -> bytes:
    """Return one element of a command set (implicit VR little endian)."""
    return struct.pack("<HHL", 0, number, len(value)) + value


def p_data(message: bytes, limit: int, *, command: bool) -> list[bytes]:
    """Return the P-DATA-TF PDUs of one command set or dataset."""
    size, pdus = limit - 6, []
    for start in range(0, max(1, len(message)), size):
        part = message[start : start + size]
        last = 2 if start + size >= len(message) else 0
        head = struct.pack(">BBLLBB", P_DATA, 0, len(part) + 6, len(part) + 2, CONTEXT, int(command) | last)
        pdus.append(head + part)
    return pdus


def send_store(link: socket.socket, limit: int, number: int, sop_class: str, instance: str, dataset: bytes) -> None:
    """Send a C-STORE request; nothing is waited for."""
    for pdu in p_data(store_rq(number, sop_class, instance), limit, command=True):
        link.sendall(pdu)
    for pdu in p_data(dataset, limit, command=False):
        link.sendall(pdu)


def answer_of(link: socket.socket) -> tuple[int, int]:
    """Wait for a C-STORE response; return Message ID Being Responded To and Status."""
    command, last = b"", False
    while not last:
        kind, body = receive(link)
        if kind != P_DATA:
            raise Closed(f"PDU {kind} came instead of an answer")
        command, last = command + body[6:], bool(body[5] & 2)
    return _short(command, 0x0120), _short(command, 0x0900)


def store(link: socket.socket, limit: int, number: int, sop_class: str, instance: str, dataset: bytes) -> int:
    """Send a C-STORE request; return the status of its response."""
    send_store(link, limit, number, sop_class, instance, dataset)
    return answer_of(link)[1]


def _short(command: bytes, number: int) -> int:
    place = command.index(struct.pack("<HHL", 0, number, 2))
    value: int = struct.unpack_from("<H", command, place + 8)[0]
    return value


def release(link: socket.socket) -> None:
    """End the association as it should be ended."""
    link.sendall(RELEASE)
    receive(link)


def receive(link: socket.socket) -> tuple[int, bytes]:
    """Return type and body of the next PDU. Raises ``Closed``."""
    kind, length = struct.unpack(">BxL", _exactly(link, 6))
    return kind, _exactly(link, length)


def _exactly(link: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        try:
            part = link.recv(count - len(received))
        except ConnectionError as error:
            raise Closed("the peer reset the connection") from error
        if not part:
            raise Closed("the peer closed the connection")
        received += part
    return bytes(received)
