"""The HTTP endpoint: ``/health`` (the process lives), ``/ready`` (it can do its work), ``/metrics``. GET alone.

It shows counts and names of scanners and archives, and no patient data; it has no password, so it listens on loopback
unless the configuration says otherwise.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from node import log

Page = Callable[[], tuple[int, str, bytes]]
"""Status, content type, body."""

_log = log.get(__name__)


def as_json(status: int, document: object) -> tuple[int, str, bytes]:
    """Return a page that is JSON."""
    return status, "application/json", json.dumps(document).encode()


class Endpoint:
    """Answers from ``start`` to ``stop``."""

    def __init__(self, bind: str, port: int, pages: dict[str, Page]) -> None:
        self._server = _Server((bind, port), pages)
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        _log.info("http-listening", port=self.port)

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], pages: dict[str, Page]) -> None:
        self.pages = pages
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version, sys_version = "vbmd-node", ""

    def do_GET(self) -> None:  # the name that http.server calls
        page = self.server.pages.get(self.path.partition("?")[0])
        try:
            status, kind, body = as_json(404, {"error": "not found"}) if page is None else page()
        except Exception as error:  # noqa: BLE001 - one request must not end the endpoint
            _log.error("http-error", error=type(error).__name__, exc_info=True)
            status, kind, body = as_json(500, {"error": type(error).__name__})
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not logged: monitoring asks every few seconds."""
