"""The connection of one association: it waits instead of looking, and takes back what was read too early."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import Any

from pynetdicom.transport import AssociationSocket

LONGEST_PDU_BYTES = 64 << 20
"""Some peers ignore the maximum they are told; beyond this a length is taken for a lie."""
_AHEAD_BYTES = 128 << 10
WAIT_S = 0.05
"""Longest sleep: timers and the order to end are looked at this often."""


class EndOfConnection(ConnectionError):
    """The peer, or we, closed the connection."""


class WakefulSocket(AssociationSocket):
    """Waits for data instead of looking whether there is some; ``wake`` ends the wait."""

    def __init__(self, assoc: Any, client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._poll = select.poll()
        self._poll.register(client_socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        self._given_back = bytearray()
        self._ahead = memoryview(bytearray(_AHEAD_BYTES))
        """What has come and is not read yet lies between ``_start`` and ``_end``. Used again and again: fresh memory
        costs more than what is copied into it."""
        self._start = self._end = 0

    def wake(self) -> None:
        """Make ``ready`` return soon."""
        try:
            self._waker.send(b"\0")
        except OSError:
            return  # it is awake already

    @property
    def ready(self) -> bool:
        """Wait a moment for data; return whether there is some."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if self._given_back or self._start < self._end:
            return True
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        number = connection.fileno()
        if number < 0:
            self.event_queue.put("Evt17")  # transport connection closed (PS3.8 table 9-10)
            return False
        found = [descriptor for descriptor, _ in self._poll.poll(WAIT_S * 1000)]
        if self._woken.fileno() in found:
            self._woken.recv(4096)
        return number in found

    def let_sleep(self) -> None:
        """Close what woke it; nobody waits any more."""
        self._waker.close()
        self._woken.close()

    @property
    def given_back(self) -> bool:
        """Whether something that was given back has not been read again."""
        return bool(self._given_back)

    def give_back(self, content: bytes | bytearray) -> None:
        """Let this be read once more, before what comes over the connection."""
        self._given_back += content

    def acknowledge(self) -> None:
        """Send the acknowledgement of what has been read now, not with the answer (Linux; it is reset by reading)."""
        if self.socket is not None and hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):  # the peer is gone; reading will say so
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def hang_up(self) -> None:
        """Close with data unread: the peer sees a reset."""
        self._given_back.clear()
        self._start = self._end = 0
        if self.socket is not None:
            self.socket.close()

    def some(self, most: int) -> memoryview:
        """Wait for bytes; return those that have come, at most so many. They are there until the next are asked for.

        Raises ``OSError`` when the connection ends.
        """
        if self._given_back:
            given = bytearray(self._given_back[:most])
            del self._given_back[:most]
            return memoryview(given)
        if self._start == self._end:
            self._receive()
        start, self._start = self._start, min(self._start + most, self._end)
        return self._ahead[start : self._start]

    def exactly(self, count: int) -> bytes:
        """Read so many bytes. Raises ``OSError`` when the connection ends before."""
        read = bytes(self.some(count)) if count else b""
        while len(read) < count:
            read += self.some(count - len(read))
        return read

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or fewer when the connection ends.

        Memory grows with what arrives, not with what was announced. Raises ``OSError`` for a length beyond all measure.
        """
        if nr_bytes > LONGEST_PDU_BYTES:
            raise OSError(f"a PDU of {nr_bytes} bytes is announced")
        received = bytearray()
        with suppress(EndOfConnection):
            while len(received) < nr_bytes:
                received += self.some(nr_bytes - len(received))
        return received

    def _receive(self) -> None:
        if self.socket is None:
            raise EndOfConnection("the connection is closed")
        self._start, self._end = 0, self.socket.recv_into(self._ahead)
        if not self._end:
            raise EndOfConnection("the peer closed the connection")
        self.acknowledge()
