"""What makes pynetdicom's acceptor fast and its sockets mortal.

Stock senders write small segments without TCP_NODELAY, and a receiver that delays its acknowledgements then costs 40 ms
per object: the acknowledgement is sent at once after every PDU. pynetdicom's two threads per association look for work
at short intervals; on a busy machine each look costs a turn in the scheduler's queue, so here they sleep until there is
something to do.
"""

from __future__ import annotations

import queue
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom import _config, evt, status
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket

from node import log

MAXIMUM_PDU_BYTES = 1 << 20
"""Announced maximum length of a P-DATA-TF PDU: large, since each PDU has its cost; finite, since memory is."""

MOST_CONNECTIONS = 512
"""Open connections, whether they have become associations or not: further ones are closed at once."""

_LONGEST_PDU_BYTES = 64 << 20
"""Some peers ignore the maximum they are told; beyond this a length is taken for a lie."""
_READ_BYTES = 1 << 20
_MOST_WAITING_MESSAGES = 4
"""Of a peer that does not wait for answers: then nothing more is read of it, until there is room."""
_HANDSHAKE_S = 10.0
_WAIT_S = 0.05
"""Longest sleep: timers and the order to end are looked at this often."""
_POLL_S = 0.0001
_BUFFER_BYTES = 1 << 20


_log = log.get(__name__)


def handlers(network_timeout_s: float, largest_object_bytes: int, ended: Callable[[Association], None]) -> list[Any]:
    """Return the event handlers to be bound to a server; ``ended`` is called once for every connection."""
    return [
        (evt.EVT_CONN_OPEN, _on_open, [network_timeout_s, ended]),
        (evt.EVT_PDU_RECV, _on_pdu, [largest_object_bytes]),
    ]


class LazyHandshake:
    """An SSL context whose handshake is left to the connection's own thread: a slow peer must not block the door."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> ssl.SSLSocket:
        """Return the connection as a TLS connection that has not shaken hands yet."""
        return self._context.wrap_socket(connection, server_side=server_side, do_handshake_on_connect=False)


def silence() -> None:
    """Keep pynetdicom from writing out every PDU and message for logs that nobody reads (process-wide)."""
    _config.LOG_HANDLER_LEVEL = "none"


def forget_other_services() -> None:
    """Give up 3 MB of status codes of services that the door does not offer: for a process that only receives."""
    served = (status.GENERAL_STATUS, status.STORAGE_SERVICE_CLASS_STATUS)
    for name, codes in vars(status).items():
        if name.endswith("_STATUS") and not any(codes is one for one in served):
            codes.clear()


def _on_open(event: evt.Event, network_timeout_s: float, ended: Callable[[Association], None]) -> None:
    """Exchange the queues and the socket of an association, and guard its threads, before they start."""
    association = event.assoc
    provider, dimse = association.dul, association.dimse
    threads: tuple[Any, Any] = association, provider
    for thread, after in zip(threads, (lambda: _leave(association, ended), lambda: _close(association)), strict=True):
        thread._target = _guarded(thread._target, after, str(association.requestor.address))
    if provider.socket is None or provider.socket.socket is None:
        return
    connection = provider.socket.socket
    if _crowded() or not _shaken_hands(connection, str(association.requestor.address)):
        connection.close()
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    _give_up_after(connection, network_timeout_s)
    acknowledge(connection)
    provider._run_loop_delay = _POLL_S
    provider.event_queue = queue.Queue()  # the new socket announces the connection again
    wakeful = WakefulSocket(association, client_socket=connection)
    provider.socket = wakeful
    provider.to_provider_queue = _NoticedQueue(wakeful.wake)
    dimse.msg_queue = _PatientQueue(provider)
    provider.to_user_queue = _NoticedQueue(lambda: dimse.msg_queue.put((None, None)))


def _guarded(run: Callable[[], None], after: Callable[[], None], host: str) -> Callable[[], None]:
    """What a peer sends may end a thread of pynetdicom with any exception: this association ends, and leaves nothing.

    The text of the exception may quote what was sent, and is dropped.
    """

    def guarded() -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - the outermost loop of an association
            _log.warning("association-broken", host=host, error=type(error).__name__)
        finally:
            after()

    return guarded


def _leave(association: Association, ended: Callable[[Association], None]) -> None:
    """The thread that serves has ended, always the later to know: nothing will be stored any more."""
    association.dul.kill_dul()
    ended(association)


def _close(association: Association) -> None:
    """Leave no socket open and nobody waiting when the last thread that reads has ended."""
    wrapper = association.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        wrapper._shutdown_socket()
        wrapper.socket.close()
    if isinstance(wrapper, WakefulSocket):
        wrapper.let_sleep()
    if association.requestor.primitive is None:
        association.dul.to_user_queue.put(None)  # ends the wait for an association request


def _crowded() -> bool:
    return sum(isinstance(thread, Association) for thread in threading.enumerate()) > MOST_CONNECTIONS


def _shaken_hands(connection: socket.socket, host: str) -> bool:
    if not isinstance(connection, ssl.SSLSocket):
        return True
    connection.settimeout(_HANDSHAKE_S)
    try:
        connection.do_handshake()
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
        _log.warning("tls-handshake-failed", host=host, why=reason)
        return False
    return True


def _give_up_after(connection: socket.socket, seconds: float) -> None:
    """Wait so long for a peer that stops in mid-PDU. The kernel keeps the time: Python would ask before every read."""
    if isinstance(connection, ssl.SSLSocket):  # which takes the kernel's "not yet" for a reason to try again
        connection.settimeout(seconds)
        return
    timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def _on_pdu(event: evt.Event, largest_object_bytes: int) -> None:
    """Acknowledge; end an association whose message has grown beyond all measure (it may have no end)."""
    wrapper, message = event.assoc.dul.socket, event.assoc.dimse.message
    if wrapper is None or wrapper.socket is None:
        return
    acknowledge(wrapper.socket)
    if message is not None and message.data_set is not None and message.data_set.tell() > largest_object_bytes:
        _log.warning("object-too-large", limit_mb=largest_object_bytes / 1e6)
        wrapper.socket.close()  # with data unread: the peer sees a reset


def acknowledge(connection: socket.socket) -> None:
    """Send the acknowledgement of what has been read now, not with the answer (Linux only; it is reset by reading)."""
    if hasattr(socket, "TCP_QUICKACK"):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            return  # the peer is gone; reading will say so


class WakefulSocket(AssociationSocket):
    """Waits for data instead of looking whether there is some; ``wake`` ends the wait."""

    def __init__(self, assoc: Any, client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._poll = select.poll()
        self._poll.register(client_socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

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
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        number = connection.fileno()
        if number < 0:
            self.event_queue.put("Evt17")  # transport connection closed (PS3.8 table 9-10)
            return False
        found = [descriptor for descriptor, _ in self._poll.poll(_WAIT_S * 1000)]
        if self._woken.fileno() in found:
            self._woken.recv(4096)
        return number in found

    def let_sleep(self) -> None:
        """Close what woke it; nobody waits any more."""
        self._waker.close()
        self._woken.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer when the connection ends.

        Memory grows with what arrives, not with what was announced. Raises ``OSError`` for a length beyond all measure.
        """
        connection = self.socket
        if nr_bytes > _LONGEST_PDU_BYTES:
            raise OSError(f"a PDU of {nr_bytes} bytes is announced")
        received = bytearray(min(nr_bytes, _READ_BYTES))
        count = 0
        while connection is not None and count < nr_bytes:
            if count == len(received):
                received.extend(bytes(min(nr_bytes - count, _READ_BYTES)))
            with memoryview(received) as view:
                read = connection.recv_into(view[count:])
            if not read:
                break
            count += read
        del received[count:]
        return received


class _NoticedQueue(queue.Queue[Any]):
    """Tells somebody that something was put into it."""

    def __init__(self, notice: Callable[[], None]) -> None:
        super().__init__()
        self._notice = notice

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._notice()


class _PatientQueue(queue.Queue[Any]):
    """Waits a moment where it is asked not to wait, and holds back a peer that is far ahead of the answers."""

    def __init__(self, provider: DULServiceProvider) -> None:
        super().__init__()
        self._provider = provider

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return super().get(True, timeout if block else _WAIT_S)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        while item[0] is not None and self.qsize() >= _MOST_WAITING_MESSAGES and self._is_served():
            time.sleep(_POLL_S * 10)
        super().put(item, block, timeout)

    def _is_served(self) -> bool:
        association = self._provider.assoc
        return association.is_alive() and not self._provider._kill_thread
