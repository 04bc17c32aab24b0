"""C-STORE the short way: a request is read off the connection, stored and answered in the one thread that reads.

pynetdicom decodes every PDU, joins the fragments, and passes each message through two queues and two threads: more work
than storing is. It keeps the association, and what is no C-STORE request is given back to it unread.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pynetdicom.association import Association
from pynetdicom.presentation import AllStoragePresentationContexts

from node import log
from node.intake.link import LONGEST_PDU_BYTES, WakefulSocket

_P_DATA = 4
_DATA_TRANSFER = "Sta6"
"""State of an association that is established (PS3.8 section 9.2.1)."""
_COMMAND, _LAST = 1, 2
"""Bits of the message control header (PS3.8 annex E.2)."""
_C_STORE_RQ, _C_STORE_RSP, _NO_DATASET = 0x0001, 0x8001, 0x0101
_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_DATASET_TYPE, _STATUS, _ERROR_COMMENT, _SOP_INSTANCE = 0x0800, 0x0900, 0x0902, 0x1000
_LONGEST_COMMAND_BYTES = 1 << 16
_STORAGE = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE request (PS3.7 section 9.3.1.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """Status and error comment of the response (PS3.7 section 9.3.1.2, annex C)."""

    status: int
    comment: str = ""


class Taking(Protocol):
    """Takes the dataset of a request as it arrives. Nothing of it raises."""

    def add(self, piece: memoryview) -> None:
        """Take the next bytes, which are not there any more when this has returned."""

    def answer(self) -> StoreAnswer:
        """Finish: everything has arrived."""

    def abandon(self) -> None:
        """Drop: the rest will not arrive."""


class _NotOurs(Exception):
    """Something else than was expected; what was read of it is given back."""


class _Malformed(Exception):
    """A PDU that cannot be what it says."""


class _Ended(Exception):
    """The connection is no more."""


class ExpressLane:
    """Reads for one association. ``store`` begins to take an object, and never raises."""

    def __init__(
        self,
        association: Association,
        link: WakefulSocket,
        largest_object_bytes: int,
        store: Callable[[Association, StoreRequest], Taking],
    ) -> None:
        self._association = association
        self._link = link
        self._largest_object_bytes = largest_object_bytes
        self._store = store
        self._provider = association.dul
        self._read_otherwise = association.dul._read_pdu_data
        self._left = 0
        """Bytes of the present PDU that have not been read."""
        self._seen: bytearray | None = None
        """What has been read of a message that is not known to be a C-STORE request yet."""
        self._syntaxes: dict[int, str] = {}

    def read(self) -> None:
        """Read what has come: C-STORE requests as long as they come, or one PDU of anything else."""
        if not self._is_mine():
            self._read_otherwise()
            return
        try:
            self._serve()
        except _NotOurs:
            self._link.give_back(self._seen or b"")
            self._seen, self._left = None, 0
            self._read_otherwise()
        except _Malformed:
            self._provider.event_queue.put("Evt19")  # unrecognised or invalid PDU (PS3.8 table 9-10)
        except (_Ended, OSError):
            self._provider.event_queue.put("Evt17")  # transport connection closed

    def _is_mine(self) -> bool:
        """Whether a message begins here, on an association that is open, and nothing is left to be read otherwise."""
        state = self._provider.state_machine.current_state
        return state == _DATA_TRANSFER and self._association.dimse.message is None and not self._link.given_back

    def _serve(self) -> None:
        while True:
            self._one()
            orders = not self._provider.to_provider_queue.empty() or self._provider._kill_thread
            if not self._left and (orders or not self._link.ready):
                return

    def _one(self) -> None:
        """Take one request. Raises ``_NotOurs`` where it is none, ``_Malformed``, ``_Ended``."""
        self._seen = bytearray(struct.pack(">BxL", _P_DATA, self._left) if self._left else b"")
        context, command = self._command()
        syntax = self._syntax(context)
        kind, message = _short(command, _COMMAND_FIELD), _short(command, _MESSAGE_ID)
        if syntax is None or kind != _C_STORE_RQ or message is None:
            raise _NotOurs
        self._seen = None
        asked = StoreRequest(_text(command, _SOP_CLASS), _text(command, _SOP_INSTANCE), syntax)
        taking = self._store(self._association, asked)
        try:
            if _short(command, _DATASET_TYPE) != _NO_DATASET:
                self._dataset(context, taking)
        except BaseException:
            taking.abandon()
            raise
        timer = self._provider._idle_timer
        timer.stop()  # a slow disk is no idle peer
        answer = taking.answer()
        timer.restart()
        self._link.send(_response(context, command, message, answer, self._association.requestor.maximum_length))
        self._link.acknowledge()

    def _command(self) -> tuple[int, dict[int, bytes]]:
        """Read a command set. Returns its presentation context ID and its elements."""
        first, command = None, bytearray()
        while True:
            context, control, size = self._fragment()
            if not control & _COMMAND or first not in (None, context) or len(command) + size > _LONGEST_COMMAND_BYTES:
                raise _NotOurs
            first = context
            command += self._exactly(size)
            if control & _LAST:
                return context, _elements(command)

    def _dataset(self, context: int, taking: Taking) -> None:
        """Read a dataset."""
        arrived, last = 0, 0
        while not last:
            other, control, size = self._fragment()
            if other != context or control & _COMMAND:
                raise self._refused(size + self._left)
            arrived, last = arrived + size, control & _LAST
            if arrived > self._largest_object_bytes:
                _log.warning("object-too-large", limit_mb=self._largest_object_bytes / 1e6)
                self._link.hang_up()
                raise _Ended
            while size:
                piece = self._link.some(size)
                taking.add(piece)
                size -= len(piece)

    def _fragment(self) -> tuple[int, int, int]:
        """Read the head of the next presentation data value (PS3.8 section 9.3.5.1).

        Returns presentation context ID, message control header and the fragment's size in bytes.
        """
        if not self._left:
            self._begin_pdu()
        if self._left < 6:
            raise self._refused(self._left)
        length, context, control = struct.unpack(">LBB", self._exactly(6))
        self._left -= 6
        if not 2 <= length <= self._left + 2:
            raise self._refused(self._left)
        self._left -= length - 2
        return context, control, length - 2

    def _begin_pdu(self) -> None:
        head = self._exactly(6)
        self._provider._idle_timer.restart()
        kind, left = struct.unpack(">BxL", head)
        if kind != _P_DATA:
            self._seen = self._seen or bytearray(head)  # in the midst of a dataset, nothing had to be remembered
            raise _NotOurs
        if left > LONGEST_PDU_BYTES:
            raise _Ended
        self._left = left

    def _exactly(self, count: int) -> bytes:
        """Read so many bytes, and remember them while the message may not be ours."""
        read = self._link.exactly(count)
        if self._seen is not None:
            self._seen += read
        return read

    def _refused(self, rest: int) -> Exception:
        """What to raise for a PDU that is not as it must be, of which so many bytes are still to come."""
        if self._seen is not None:
            return _NotOurs()
        self._left = 0
        while rest > 0:
            rest -= len(self._link.some(rest))
        return _Malformed()

    def _syntax(self, context: int) -> str | None:
        """Transfer syntax of an accepted presentation context for storage."""
        if not self._syntaxes:
            self._syntaxes = {
                number: str(accepted.transfer_syntax[0])
                for number, accepted in self._association._accepted_cx.items()
                if str(accepted.abstract_syntax) in _STORAGE and accepted.transfer_syntax
            }
        return self._syntaxes.get(context)


def _elements(command: bytes | bytearray) -> dict[int, bytes]:
    """Return a command set's values by element number; it is in implicit VR little endian (PS3.7 section 6.3.1)."""
    found, place = {}, 0
    while place < len(command):
        if len(command) - place < 8:
            raise _NotOurs
        group, element, length = struct.unpack_from("<HHL", command, place)
        place += 8
        if group != 0 or length > len(command) - place:
            raise _NotOurs
        found[element] = bytes(command[place : place + length])
        place += length
    return found


def _short(command: dict[int, bytes], element: int) -> int | None:
    value = command.get(element, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _text(command: dict[int, bytes], element: int) -> str:
    return command.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")


def _response(
    context: int, asked: dict[int, bytes], message: int, answer: StoreAnswer, largest_pdu: int | None
) -> bytes:
    """Return the PDUs of a C-STORE response, none longer than the peer takes (0: of any length)."""
    comment = answer.comment.encode("ascii", "replace")[:64]
    values = {
        _SOP_CLASS: asked.get(_SOP_CLASS, b""),
        _COMMAND_FIELD: struct.pack("<H", _C_STORE_RSP),
        _RESPONDED_TO: struct.pack("<H", message),
        _DATASET_TYPE: struct.pack("<H", _NO_DATASET),
        _STATUS: struct.pack("<H", answer.status),
        **({_ERROR_COMMENT: comment + b" " * (len(comment) % 2)} if comment else {}),
        _SOP_INSTANCE: asked.get(_SOP_INSTANCE, b""),
    }
    elements = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in values.items())
    response = struct.pack("<HHLL", 0, 0, 4, len(elements)) + elements
    room = max(largest_pdu - 6, 1) if largest_pdu else len(response)
    parts = [response[start : start + room] for start in range(0, len(response), room)]
    controls = [_COMMAND] * (len(parts) - 1) + [_COMMAND | _LAST]
    return b"".join(
        struct.pack(">BxLLBB", _P_DATA, len(part) + 6, len(part) + 2, context, control) + part
        for part, control in zip(parts, controls, strict=True)
    )
