"""A node and a PACS as processes of their own, for tests that walk a study from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.config import Config, load
from node.demo.pacs import AE_TITLE, Orthanc, free_port
from node.ledger import Ledger
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from tests.peers import peer

ENDED = frozenset({State.IGNORED, State.REFUSED, State.MEASURED, State.DELIVERED, State.FAILED})
SCANNER = "TEST_SCANNER"


@contextmanager
def orthanc(folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[Orthanc]:
    """Run a real Orthanc; ``settings`` are put over its own."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = Orthanc(peer("Orthanc"), folder, settings=settings)
    try:
        yield archive
    finally:
        archive.close()


def configuration(folder: Path, pacs_port: int, more: str = "", quiet_period_s: float = 4.0) -> Config:
    """Write and load a configuration that knows one sender and one PACS; ``more`` holds rules and the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    path.write_text(
        f"""
[node]
bind = "127.0.0.1"
port = {free_port()}
state = "{folder / "state"}"
quiet_period_s = {quiet_period_s}
sweep_interval_s = 0.5

[[senders]]
name = "scanner"
ae_title = "{SCANNER}"
host = "127.0.0.1"

[[destinations]]
name = "pacs"
ae_title = "{AE_TITLE}"
host = "127.0.0.1"
port = {pacs_port}
{more}
"""
    )
    return load(path)


@contextmanager
def serving(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``vbmd-node serve`` until the block ends; its log stands beside the configuration."""
    log = config.file.with_name("node.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "node", "serve", "--config", str(config.file)], stdout=log, stderr=log
    )
    try:
        wait_for_echo(config)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
            log.close()


def wait_for_echo(config: Config, limit_s: float = 60.0) -> None:
    """Wait until DCMTK's echoscu is answered."""
    command = [peer("echoscu"), "-aet", SCANNER, "-aec", config.receiver.ae_title, "127.0.0.1"]
    deadline = time.monotonic() + limit_s
    while subprocess.run([*command, str(config.receiver.port)], capture_output=True).returncode != 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {limit_s} s: {config.file.with_name('node.log').read_text()[-3000:]}")
        time.sleep(0.2)


def dcmsend(config: Config, *folders: Path) -> None:
    """Send folders with DCMTK's dcmsend, as a scanner would."""
    subprocess.run(
        [
            *(peer("dcmsend"), "-aet", SCANNER, "-aec", config.receiver.ae_title),
            *("+sd", "+r", "127.0.0.1", str(config.receiver.port)),
            *map(str, folders),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )


def wait_until_ended(config: Config, series: int, limit_s: float = 600.0) -> dict[str, SeriesStatus]:
    """Wait until so many series have arrived and all have come to an end; return them by series UID."""
    deadline = time.monotonic() + limit_s
    ledger = Ledger(config.database)
    try:
        while True:
            rows = ledger.status()
            if len(rows) >= series and all(row.state in ENDED for row in rows):
                return {row.series_instance_uid: row for row in rows}
            if time.monotonic() > deadline:
                states = [(row.description, row.state.value, row.reason) for row in rows]
                raise TimeoutError(f"not ended within {limit_s} s: {states}")
            time.sleep(0.3)
    finally:
        ledger.close()


def results(config: Config) -> dict[str, dict[str, Any]]:
    """Return the results kept in the ledger, by series UID."""
    ledger = Ledger(config.database)
    try:
        kept: dict[str, dict[str, Any]] = {}
        for one in ledger.results():
            entry = json.loads(json.dumps(one))
            kept[entry["series_instance_uid"]] = entry
        return kept
    finally:
        ledger.close()
