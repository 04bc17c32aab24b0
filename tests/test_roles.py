"""A process of one role: it does its part, and carries no libraries of the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.site import SCANNER, configuration
from tests.intake.objects import ct_series
from tests.peers import peer
from tests.running import wait_for_echo

pytestmark = pytest.mark.peer
MOST_MB = 100.0


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Process id and port of ``serve --role receive``."""
    config = configuration(tmp_path / "node", 104)
    monkeypatch.setattr("tests.running.SCANNER", SCANNER)
    command = [sys.executable, "-m", "node", "serve", "--config", str(config.file), "--role", "receive"]
    with (tmp_path / "node.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for_echo(config)
            yield process.pid, config.receiver.port
        finally:
            process.terminate()


def test_a_receiver_takes_less_than_100_mb(receiver: tuple[int, int], tmp_path: Path) -> None:
    pid, port = receiver
    command = [peer("storescu"), "-aet", SCANNER, "-aec", "VBMD_NODE", "127.0.0.1", str(port)]
    files = [ct_series(tmp_path / f"{study}", study=study, count=10, size=512) for study in (1, 2)]
    senders = [subprocess.Popen([*command, *map(str, group)]) for group in files]
    assert [one.wait(timeout=60) for one in senders] == [0, 0]
    status = Path(f"/proc/{pid}/status").read_text().split()
    assert int(status[status.index("VmRSS:") + 1]) * 1024 / 1e6 < MOST_MB


def test_others_on_the_machine_read_nothing_of_what_is_kept(receiver: tuple[int, int], tmp_path: Path) -> None:
    (file,) = ct_series(tmp_path / "one", study=3, count=1)
    subprocess.run(
        [peer("storescu"), "-aet", SCANNER, "-aec", "VBMD_NODE", "127.0.0.1", str(receiver[1]), str(file)], check=True
    )
    kept = [path for path in (tmp_path / "node" / "state").rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} >= {".dcm", ".sqlite"}
    assert [path.name for path in kept if path.stat().st_mode & 0o007] == []


def test_a_receiver_loads_no_engine_and_no_decoder(receiver: tuple[int, int]) -> None:
    maps = Path(f"/proc/{receiver[0]}/maps").read_text()
    assert "pydantic_core" in maps
    assert not [name for name in ("gdcm", "scipy/", "psycopg", "SimpleITK", "PIL/") if name in maps]
