"""What is broken in the chaos suite: a node of real processes, a real Orthanc, a small disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from node.config import Config, load
from node.demo.pacs import AE_TITLE, Orthanc, free_port
from tests.peers import peer

SCANNER = "CHAOS_CT"
FUNCTION = "tests.chaos.cheap:measure"
DISK_MB = 256
_RESTART_S = 0.5


class Archive:
    """An Orthanc that can be stopped, and made to refuse; what it holds survives both."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.running: Orthanc | None = Orthanc(peer("Orthanc"), folder)
        self.port = self.running.port
        self._settings = dict(self.running.settings)

    def stop(self) -> None:
        """Stop it."""
        if self.running is not None:
            self.running.close()
            self.running = None

    def start(self, *, refusing: bool = False) -> None:
        """Start it again on the same ports; refusing, it takes no object from anybody."""
        self.stop()
        changed = {"DicomAlwaysAllowStore": not refusing}
        self.running = Orthanc(peer("Orthanc"), self._folder, settings=self._settings | changed)


class SmallDisk:
    """A file system of its own for all the node keeps, where the system allows it (root); else a plain folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
        mounted = shutil.which("mount") and os.geteuid() == 0
        self.real = bool(mounted) and subprocess.run(command, capture_output=True).returncode == 0

    def fill(self) -> None:
        """Leave not one byte free."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            for step in (1 << 20, 1 << 12):
                try:
                    while True:
                        ballast.write(bytes(step))
                except OSError:
                    continue

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount."""
        if self.real:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)


class Victim:
    """``serve`` in a process of its own, to be killed; who looks after services starts it again whenever it ends."""

    def __init__(self, config: Config, roles: str = "receive,work,deliver,admin", function: str = FUNCTION) -> None:
        self.config = config
        self.gave_up = 0
        """How often it ended without having been killed."""
        self.log = config.file.with_name(f"node-{roles.replace(',', '-')}-{id(self)}.log")
        self._command = [sys.executable, "-m", "tests.chaos.serve", str(config.file), roles, function]
        self._process: subprocess.Popen[bytes] | None = None
        self._begun_at = 0
        self._lock = threading.Lock()
        self._over = threading.Event()

    def start(self) -> None:
        """Start it, and look after it."""
        self._spawn()
        threading.Thread(target=self._look_after, daemon=True).start()

    def kill(self) -> None:
        """SIGKILL, and start it again; it may be killed before it is up."""
        with self._lock:
            self.end()
            self._spawn()

    def end(self) -> None:
        """SIGKILL, for good unless somebody looks after it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def die(self) -> None:
        """SIGKILL, and nobody starts it again."""
        self._over.set()
        with self._lock:
            self.end()

    def wait_until_open(self, limit_s: float) -> bool:
        """Wait until it listens; whether it does."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.config.receiver.port)) == 0:
                    return True
            time.sleep(0.1)
        return False

    def wait_until_logged(self, event: str, limit_s: float) -> bool:
        """Wait until the running process has logged an event; whether it has."""
        deadline = time.monotonic() + limit_s
        while True:
            with self.log.open("rb") as log:
                log.seek(self._begun_at)
                if event.encode() in log.read():
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)

    def stop(self) -> int | None:
        """End it, in order if it listens to reason; return its exit status."""
        self._over.set()
        with self._lock:
            if self._process is None:
                return None
            self._process.terminate()
            try:
                return self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                return self._process.wait()

    def _spawn(self) -> None:
        with self.log.open("ab") as output:
            self._begun_at = output.tell()
            self._process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)

    def _look_after(self) -> None:
        while not self._over.wait(_RESTART_S):
            with self._lock:
                if not self._over.is_set() and self._process is not None and self._process.poll() is not None:
                    self.gave_up += 1
                    self._spawn()


def configuration(
    folder: Path, pacs_port: int, *, state: Path | None = None, database: str = "", quiet_period_s: float = 3.0
) -> Config:
    """Write and load a configuration of one scanner and one archive, with short times."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "node.toml"
    file.write_text(
        f"""
[node]
bind = "127.0.0.1"
port = {free_port()}
state = "{state or folder / "state"}"
{f'database = "{database}"' if database else ""}
quiet_period_s = {quiet_period_s}
sweep_interval_s = 0.5
disk_reserve_mb = 1
disk_watermark = 1.0
[measure]
concurrency = 3
[alarms]
interval_s = 5
[retention]
disk_used_part = 0
[[senders]]
name = "scanner"
ae_title = "{SCANNER}"
[[destinations]]
name = "pacs"
ae_title = "{AE_TITLE}"
host = "127.0.0.1"
port = {pacs_port}
timeout_s = 10
retry = {{ first_delay_s = 0.5, max_delay_s = 3 }}
[[rules]]
name = "all"
when = {{ attribute = "modality", equals = "CT" }}
destinations = ["pacs"]
"""
    )
    return load(file)


def lock_database(database: str, seconds: float) -> None:
    """Keep every writer out of an SQLite file for a while."""
    connection = sqlite3.connect(database.removeprefix("sqlite:///"), timeout=20, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
    finally:
        connection.close()
