"""Messages to a syslog server: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, octets counted) or TLS (RFC 5425)."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from node import tls as tls_contexts
from node.domain.settings import AuditSettings, TlsSettings

PRIORITY = 10 * 8 + 5
"""Facility 10, security; severity 5, notice (PS3.15 annex A.6)."""
MESSAGE_ID = "DICOM+RFC3881"
TIMEOUT_S = 5.0
_BOM = b"\xef\xbb\xbf"


def frame(body: bytes, host: str, at: datetime) -> bytes:
    """Put the header of RFC 5424 before a message in UTF-8."""
    time = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = f"<{PRIORITY}>1 {time} {host or '-'} vbmd-node {os.getpid()} {MESSAGE_ID} - "
    return header.encode("ascii", "replace") + _BOM + body


class Syslog:
    """A connection that is made when it is needed, and made anew when it breaks. Errors are ``OSError``."""

    def __init__(self, settings: AuditSettings, tls: TlsSettings | None) -> None:
        self._settings = settings
        self._tls = tls
        self._open: socket.socket | None = None

    def send(self, body: bytes, at: datetime) -> None:
        """Send one message. Raises ``OSError`` when it cannot be handed over."""
        framed = frame(body, socket.gethostname(), at)
        if self._settings.transport == "udp":
            self._to_udp(framed)
            return
        counted = b"%d %s" % (len(framed), framed)
        try:
            self._stream().sendall(counted)
        except OSError:
            self.close()  # the server may have ended a connection that nothing was sent over for long
            try:
                self._stream().sendall(counted)
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """End the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _to_udp(self, framed: bytes) -> None:
        host, port = str(self._settings.host), self._settings.port
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            sender.sendto(framed, address)

    def _stream(self) -> socket.socket:
        if self._open is not None and _ended(self._open):
            self.close()
        if self._open is None:
            host = str(self._settings.host)
            plain = socket.create_connection((host, self._settings.port), timeout=TIMEOUT_S)
            self._open = self._secured(plain, host) if self._settings.transport == "tls" else plain
        return self._open

    def _secured(self, plain: socket.socket, host: str) -> socket.socket:
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context
        if self._tls is not None:
            settings = self._tls
            context = lambda: tls_contexts.client_context(settings)  # noqa: E731 - made only where it is needed
        try:
            return context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


def _ended(stream: socket.socket) -> bool:
    """Whether the other side has closed: a syslog server never says anything else."""
    stream.settimeout(0.0)
    try:
        return stream.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        stream.settimeout(TIMEOUT_S)
