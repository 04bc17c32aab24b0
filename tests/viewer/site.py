"""OHIF as a site of static files, with the DICOMweb of an archive behind the same address."""

from __future__ import annotations

import mimetypes
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_ROOT = "/dicom-web"
_SETTINGS = """
window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 1,
  investigationalUseDialog: { option: 'never' }, showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false, defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'archive', name: 'archive', wadoUriRoot: 'ROOT', qidoRoot: 'ROOT', wadoRoot: 'ROOT',
      qidoSupportsIncludeField: false, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true, supportsFuzzyMatching: false, supportsWildcard: true, singlepart: 'bulkdata',
    },
  }],
};
""".replace("ROOT", _ROOT).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Path
    archive: str

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with a file, with the settings, or with what the archive says."""
        path = self.path.partition("?")[0]
        if path.startswith(_ROOT):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(200, _SETTINGS, "text/javascript")
        else:
            file = (self.site / path.lstrip("/")).resolve()
            known = file.is_file() and file.is_relative_to(self.site.resolve())
            file = file if known else self.site / "index.html"
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file)[0]
            self._answer(200, file.read_bytes(), kind or "application/octet-stream")

    def _pass_on(self) -> None:
        kept = {name: self.headers[name] for name in ("Accept", "Host") if name in self.headers}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(self.archive + self.path, headers=kept), timeout=60) as answer:
                kind = answer.headers.get("Content-Type", "application/octet-stream")
                self._answer(answer.status, answer.read(), kind)
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read(), "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(site: Path, archive_port: int) -> Iterator[str]:
    """Serve on a free loopback port until the block ends; gives the address."""
    handler = type("Handler", (_Handler,), {"site": site, "archive": f"http://127.0.0.1:{archive_port}"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
