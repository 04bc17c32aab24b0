"""A PACS for the demo: Orthanc where it is installed, else a storage SCP of our own. Both listen on loopback ports."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import ThreadedAssociationServer

from node.errors import NodeError

AE_TITLE = "DEMO-PACS"
VERIFICATION = "1.2.840.10008.1.1"
SR_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34")
"""Comprehensive and Comprehensive 3D SR Storage."""


class Pacs(Protocol):
    """What the demo needs of a PACS."""

    name: str
    port: int

    def reports(self) -> tuple[Path, ...]:
        """Return the structured reports that have arrived, as files."""

    def count(self) -> int:
        """Return the number of objects that have arrived."""

    def close(self) -> None:
        """Stop it."""


def free_port() -> int:
    """Return a TCP port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path) -> Pacs:
    """Start Orthanc when it is installed, else our own storage SCP; its data go below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    orthanc = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    return Orthanc(orthanc, folder) if orthanc else OwnPacs(folder)


class OwnPacs:
    """A storage SCP that keeps every object it is sent as a file."""

    def __init__(self, folder: Path) -> None:
        self.name = "a storage SCP of the demo's own"
        self.port = free_port()
        self._folder = folder
        ae = AE(ae_title=AE_TITLE)
        ae.supported_contexts = AllStoragePresentationContexts
        ae.add_supported_context(VERIFICATION)
        self._server = cast(
            ThreadedAssociationServer,
            ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]),
        )

    def _store(self, event: evt.Event) -> int:
        request = cast(C_STORE, event.request)
        kind = "report" if request.AffectedSOPClassUID in SR_CLASSES else "other"
        name = f"{kind}-{hashlib.sha256(str(request.AffectedSOPInstanceUID).encode()).hexdigest()[:16]}"
        partial = self._folder / f"{name}.part"
        partial.write_bytes(event.encoded_dataset())
        partial.rename(self._folder / f"{name}.dcm")
        return 0x0000

    def reports(self) -> tuple[Path, ...]:
        """Return the structured reports that have arrived."""
        return tuple(sorted(self._folder.glob("report-*.dcm")))

    def count(self) -> int:
        """Return the number of objects that have arrived."""
        return len(list(self._folder.glob("*.dcm")))

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()


class Orthanc:
    """A real Orthanc in a process of its own."""

    def __init__(
        self, program: str, folder: Path, plugins: Sequence[str] = (), settings: Mapping[str, Any] | None = None
    ) -> None:
        """Start it. ``settings`` are put over its own: with those of an earlier one it goes on where that stopped."""
        self.name = "Orthanc"
        self._folder = folder
        chosen: dict[str, Any] = {
            "Name": AE_TITLE,
            "DicomAet": AE_TITLE,
            "DicomPort": free_port(),
            "HttpPort": free_port(),
            "StorageDirectory": str(folder / "orthanc"),
            "IndexDirectory": str(folder / "orthanc"),
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "Plugins": list(plugins),
        } | dict(settings or {})
        self.settings: Mapping[str, Any] = chosen
        self.port, self.http_port = int(chosen["DicomPort"]), int(chosen["HttpPort"])
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps(chosen))
        self._log = (folder / "orthanc.log").open("ab")
        self._process = subprocess.Popen([program, str(configuration)], stdout=self._log, stderr=subprocess.STDOUT)
        self._wait_until_up()

    def _wait_until_up(self, limit_s: float = 60.0) -> None:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self._get("/system")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.close()
        raise NodeError(f"Orthanc did not start within {limit_s:.0f} s; see {self._folder / 'orthanc.log'}")

    def _get(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return json.loads(answer.read())

    def _file(self, orthanc_id: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.http_port}/instances/{orthanc_id}/file", timeout=60) as answer:
            content: bytes = answer.read()
            return content

    def instances(self) -> dict[str, str]:
        """Return the SOP Class UID of every instance, by Orthanc's identifier."""
        return {
            identifier: str(self._get(f"/instances/{identifier}/metadata?expand")["SopClassUid"])
            for identifier in self._get("/instances")
        }

    def tags(self) -> list[Mapping[str, Any]]:
        """Return the attributes of every instance, by keyword."""
        return [self._get(f"/instances/{identifier}/simplified-tags") for identifier in self._get("/instances")]

    def reports(self) -> tuple[Path, ...]:
        """Fetch the structured reports over its REST interface."""
        paths = []
        for identifier, sop_class in self.instances().items():
            if sop_class in SR_CLASSES:
                path = self._folder / f"report-{identifier}.dcm"
                path.write_bytes(self._file(identifier))
                paths.append(path)
        return tuple(sorted(paths))

    def count(self) -> int:
        """Return the number of instances held."""
        return int(self._get("/statistics")["CountInstances"])

    def close(self) -> None:
        """Stop the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
