"""The whole node is killed with SIGKILL again and again; nothing acknowledged is lost, nothing is reported twice."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from node.ledger import Ledger, sqlite_url
from node.ledger.states import State
from tests.fake_pacs import ABORT, FakePacs, fake_pacs
from tests.intake.objects import COMPREHENSIVE_SR, CT_IMAGE, ct_slice
from tests.workflow.house import wait_until
from tests.workflow.measurements import report_uid

KILLS = int(os.environ.get("VBMD_TEST_KILLS", "3"))
STUDIES = int(os.environ.get("VBMD_TEST_STUDIES", "4"))
SLICES = 3
RESUMED_S = 20.0
"""Within which an interrupted measurement is under way again after the start."""


class Victim:
    """A node in a process of its own that can be killed and started again."""

    def __init__(self, folder: Path, pacs: FakePacs, function: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._folder = folder
        self._command = [str(folder), str(self.port), str(pacs.port), f"tests.workflow.measurements:{function}"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder.parent / "node.log").open("ab") as output:
            command = [sys.executable, "-m", "tests.workflow.serve", *self._command]
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder.parent / "node.log").read_text()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> int:
        """Ask it to end, once it listens: before, it cannot be asked. Returns its exit status."""
        assert self._process is not None
        wait_until(self._listening, 60)
        self._process.terminate()
        return self._process.wait(timeout=30)


@contextmanager
def victim(folder: Path, pacs: FakePacs, function: str = "succeed") -> Iterator[Victim]:
    node = Victim(folder / "node", pacs, function)
    node.start()
    try:
        yield node
    finally:
        if node._process is not None and node._process.poll() is None:
            node.kill()


def send_until_acknowledged(port: int, dataset: Dataset, limit_s: float = 120.0) -> None:
    """Send as a patient scanner would: again, until success is answered."""
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(CT_IMAGE)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        link = entity.associate("127.0.0.1", port, ae_title="NODE")
        if link.is_established:
            try:
                answer = link.send_c_store(dataset)
            except (RuntimeError, ValueError):
                answer = Dataset()
            if link.is_established:
                link.release()
            if answer.get("Status") == 0x0000:
                return
        time.sleep(0.2)
    raise AssertionError("no success was answered in time")


def _slice(study: int, number: int) -> Dataset:
    dataset = ct_slice(study, 1, number)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def test_nothing_acknowledged_is_lost_and_nothing_reported_twice(tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged: list[str] = []

    def send_all(port: int) -> None:
        for dataset in (_slice(study, number) for study in range(1, STUDIES + 1) for number in range(SLICES)):
            send_until_acknowledged(port, dataset)
            acknowledged.append(str(dataset.SOPInstanceUID))
            time.sleep(chance.random() * 0.6)

    def moody(_number: int, _sop_class: str) -> int:
        return chance.choices([0x0000, 0xA700, ABORT], [0.7, 0.2, 0.1])[0]

    with fake_pacs(moody) as pacs, victim(tmp_path, pacs) as node:
        sender = threading.Thread(target=send_all, args=(node.port,))
        sender.start()
        for _ in range(KILLS):
            time.sleep(2.0 + chance.random() * 4.0)
            node.kill()
            node.start()
        sender.join(timeout=300)
        ledger = Ledger(sqlite_url(tmp_path / "node" / "ledger.sqlite"))
        complete = (STUDIES, {State.DELIVERED})
        wait_until(lambda: (len(rows := ledger.status()), {row.state for row in rows}) == complete, 180, ledger.counts)
        assert node.stop() == 0
        rows, reports = ledger.status(), [d.SOPInstanceUID for d in pacs.stored if d.SOPClassUID == COMPREHENSIVE_SR]
        ledger.close()
    assert len(acknowledged) == STUDIES * SLICES
    assert sum(row.instances for row in rows) == len(acknowledged)
    assert len(list((tmp_path / "node" / "spool").rglob("*.dcm"))) == len(acknowledged)
    assert {report_uid(str(row.job_id)) for row in rows} <= set(reports)
    assert all(row.deliveries[0].stored == row.deliveries[0].total == 2 for row in rows)
    assert "Traceback" not in (tmp_path / "node.log").read_text()


def test_a_measurement_cut_off_by_sigkill_is_made_again_within_the_stated_time(tmp_path: Path) -> None:
    starts = tmp_path / "node" / "outbox" / "starts.log"
    with fake_pacs() as pacs, victim(tmp_path, pacs, "slowly") as node:
        send_until_acknowledged(node.port, _slice(1, 1))
        wait_until(starts.exists, 60)
        child = int(starts.read_text().split()[0])
        node.kill()
        wait_until(lambda: not Path(f"/proc/{child}").exists(), 10)
        begun = time.monotonic()
        node.start()
        wait_until(lambda: len(starts.read_text().split()) == 2, 60)
        resumed_after_s = time.monotonic() - begun
        pacs.wait_for(2, 60)
    assert len(starts.read_text().split()) == 2
    assert resumed_after_s < RESUMED_S
