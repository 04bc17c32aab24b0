"""What makes pynetdicom's acceptor fast and its sockets mortal.

Stock senders write small segments without TCP_NODELAY, and a receiver that delays its acknowledgements then costs 40 ms
per object: the acknowledgement is sent as soon as something has been read. pynetdicom's two threads per association
look for work at short intervals; on a busy machine each look costs a turn in the scheduler's queue, so here they sleep
until there is something to do. C-STORE requests do not reach them at all (``express``).
"""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom import _config, evt, status
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from node import log
from node.intake.express import ExpressLane, StoreRequest, Taking
from node.intake.link import WAIT_S, WakefulSocket

MAXIMUM_PDU_BYTES = 1 << 20
"""Announced maximum length of a P-DATA-TF PDU: large, since each PDU has its cost; finite, since memory is."""

MOST_CONNECTIONS = 512
"""Open connections, whether they have become associations or not: further ones are closed at once."""

_MOST_WAITING_MESSAGES = 4
"""Of a peer that does not wait for answers: then nothing more is read of it, until there is room."""
_HANDSHAKE_S = 10.0
_LAST_OBJECT_S = 5.0
"""An object that is being stored when the node ends its association is waited for so long."""
_POLL_S = 0.0001
_BUFFER_BYTES = 1 << 20


_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """How connections are served."""

    network_timeout_s: float
    largest_object_bytes: int
    store: Callable[[Association, StoreRequest], Taking]
    """Begins to take an object; never raises."""
    ended: Callable[[Association], None]
    """Called once for every connection, when nothing more will be stored."""


def handlers(serving: Serving) -> list[Any]:
    """Return the event handlers to be bound to a server."""
    return [(evt.EVT_CONN_OPEN, _on_open, [serving]), (evt.EVT_PDU_RECV, _on_pdu, [serving.largest_object_bytes])]


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


def _on_open(event: evt.Event, serving: Serving) -> None:
    """Exchange the queues and the socket of an association, and guard its threads, before they start."""
    association = event.assoc
    provider, dimse = association.dul, association.dimse
    threads: tuple[Any, Any] = association, provider
    for thread, after in zip(
        threads, (lambda: _leave(association, serving.ended), lambda: _close(association)), strict=True
    ):
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
    _give_up_after(connection, serving.network_timeout_s)
    provider._run_loop_delay = _POLL_S
    provider.event_queue = queue.Queue()  # the new socket announces the connection again
    wakeful = WakefulSocket(association, client_socket=connection)
    provider.socket = wakeful
    wakeful.acknowledge()
    lane = ExpressLane(association, wakeful, serving.largest_object_bytes, serving.store)
    hooked: Any = provider
    hooked._read_pdu_data = lane.read
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
    """The thread that serves has ended: nothing will be stored any more when the one that reads has ended too."""
    association.dul.kill_dul()
    if association.dul.is_alive():
        association.dul.join(_LAST_OBJECT_S)
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
    if not isinstance(wrapper, WakefulSocket):
        return
    wrapper.acknowledge()
    if message is not None and message.data_set is not None and message.data_set.tell() > largest_object_bytes:
        _log.warning("object-too-large", limit_mb=largest_object_bytes / 1e6)
        wrapper.hang_up()


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
        return super().get(True, timeout if block else WAIT_S)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        while item[0] is not None and self.qsize() >= _MOST_WAITING_MESSAGES and self._is_served():
            time.sleep(_POLL_S * 10)
        super().put(item, block, timeout)

    def _is_served(self) -> bool:
        association = self._provider.assoc
        return association.is_alive() and not self._provider._kill_thread
