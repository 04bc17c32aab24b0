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
READ_BYTES = 1 << 20
"""Memory is taken in pieces of this size, as they are filled."""
WAIT_S = 0.05
"""Longest sleep: timers and the order to end are looked at this often."""


class WakefulSocket(AssociationSocket):
    """Waits for data instead of looking whether there is some; ``wake`` ends the wait."""

    def __init__(self, assoc: Any, client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._poll = select.poll()
        self._poll.register(client_socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        self._wait_for_all = 0 if isinstance(client_socket, ssl.SSLSocket) else socket.MSG_WAITALL
        self._given_back = bytearray()

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
        if self._given_back:
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
        if self.socket is not None:
            self.socket.close()

    def fill(self, place: memoryview) -> None:
        """Read until ``place`` is full. Raises ``OSError`` when the connection ends before."""
        count = self._again(place)
        while count < len(place):
            if self.socket is None:
                raise ConnectionError("the connection is closed")
            read = self.socket.recv_into(place[count:], 0, self._wait_for_all)
            if not read:
                raise ConnectionError("the peer closed the connection")
            count += read

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer when the connection ends.

        Memory grows with what arrives, not with what was announced. Raises ``OSError`` for a length beyond all measure.
        """
        if nr_bytes > LONGEST_PDU_BYTES:
            raise OSError(f"a PDU of {nr_bytes} bytes is announced")
        received = bytearray()
        while self.socket is not None and len(received) < nr_bytes:
            piece = bytearray(min(nr_bytes - len(received), READ_BYTES))
            with memoryview(piece) as place:
                read = self._again(place) or self.socket.recv_into(place)
            if not read:
                break
            received += piece[:read] if read < len(piece) else piece
        return received

    def _again(self, place: memoryview) -> int:
        """Read what was given back. Returns how many bytes."""
        count = min(len(place), len(self._given_back))
        place[:count] = self._given_back[:count]
        del self._given_back[:count]
        return count
