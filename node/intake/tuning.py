"""What makes pynetdicom's acceptor fast and its sockets mortal.

Stock senders write small segments without TCP_NODELAY, and a receiver that delays its acknowledgements then costs 40 ms
per object: the acknowledgement is sent at once after every PDU. The loops of pynetdicom poll; short delays pay.
"""

from __future__ import annotations

import socket
from typing import Any

from pynetdicom import evt

MAXIMUM_PDU_BYTES = 1 << 20
"""Announced maximum length of a P-DATA-TF PDU: large, since each PDU has its cost; finite, since memory is."""

_POLL_S = 0.0002
_BUFFER_BYTES = 1 << 20


def handlers(network_timeout_s: float) -> list[Any]:
    """Return the event handlers to be bound to a server."""
    return [
        (evt.EVT_CONN_OPEN, _on_open, [network_timeout_s]),
        (evt.EVT_PDU_RECV, _acknowledge),
    ]


def _on_open(event: evt.Event, network_timeout_s: float) -> None:
    event.assoc.dul._run_loop_delay = _POLL_S
    connection = _connection(event)
    if connection is None:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    connection.settimeout(network_timeout_s)  # a peer that stops in mid-PDU is not waited for for ever
    _acknowledge(event)


def _acknowledge(event: evt.Event) -> None:
    connection = _connection(event)
    if connection is not None and hasattr(socket, "TCP_QUICKACK"):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            return  # the peer is gone; reading will say so


def _connection(event: evt.Event) -> socket.socket | None:
    wrapper = event.assoc.dul.socket
    return None if wrapper is None else wrapper.socket
