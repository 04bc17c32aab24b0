"""Running one measurement in a child process, within its time and its memory."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from node.domain.job import MeasureJob, MeasureOutcome
from node.domain.settings import WorkSettings
from node.errors import NodeError
from node.workflow.child import JOB, OUTCOME

_POLL_S = 0.1
_FULL_BYTES = 1 << 20


class ChildFailed(NodeError):
    """The measurement crashed, or ran out of its time or memory."""


class Interrupted(BaseException):
    """The node is stopping: not the measurement's fault, and not an outcome. It is done again after the next start."""


def measure(function: str, job: MeasureJob, settings: WorkSettings, stopping: threading.Event) -> MeasureOutcome:
    """Run ``function`` ("module:name") on a job in a child process and return its outcome, with its files synced.

    The job's folder is emptied first. It then holds ``job.json`` (the input), ``child.log`` (what the child printed;
    it may quote the object, so it goes nowhere else) and whatever the measurement writes. Raises ``ChildFailed``,
    ``OSError`` when it is the machine that failed it, or ``Interrupted`` when ``stopping`` is set meanwhile.
    """
    folder = job.out_dir
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job_path, outcome_path = folder / "job.json", folder / "outcome.json"
    job_path.write_bytes(JOB.dump_json(job))
    child = _spawn(function, job_path, outcome_path, folder / "child.log")
    try:
        _watch(child, settings, stopping)
    finally:
        _end(child)
    if child.returncode == os.EX_TEMPFAIL or (child.returncode != 0 and _is_full(folder)):
        raise OSError(errno.ENOSPC, "the measurement found no room to write")
    if child.returncode != 0 or not outcome_path.is_file():
        raise ChildFailed(_obituary(child.returncode))
    outcome = OUTCOME.validate_json(outcome_path.read_bytes())
    _sync_tree(folder)
    return outcome


def _spawn(function: str, job: Path, outcome: Path, output: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with output.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "node.workflow.child", function, str(job), str(outcome)],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _watch(child: subprocess.Popen[bytes], settings: WorkSettings, stopping: threading.Event) -> None:
    deadline = time.monotonic() + settings.time_limit_s
    while True:
        try:
            child.wait(timeout=_POLL_S)
            return
        except subprocess.TimeoutExpired:
            pass
        if stopping.is_set():
            raise Interrupted
        if time.monotonic() > deadline:
            raise ChildFailed(f"it took longer than {settings.time_limit_s:.0f} s")
        if resident_mb(child.pid) > settings.memory_limit_mb:
            raise ChildFailed(f"it used more than {settings.memory_limit_mb:.0f} MB of memory")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the child's session alive."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdin is not None:
        child.stdin.close()


def _is_full(folder: Path) -> bool:
    """Whether the disk has no room: libraries do not always say so when they fail for it."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _FULL_BYTES


def _obituary(returncode: int) -> str:
    if returncode < 0:
        return f"its process was killed by signal {signal.Signals(-returncode).name}"
    return f"its process ended with status {returncode}"


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants in MB; 0 where the system does not tell."""
    total = 0.0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        total = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError, ValueError):
        return total
    return total + sum(resident_mb(int(descendant)) for descendant in children)


def _sync_tree(folder: Path) -> None:
    """Make every file below a folder, and its name, durable."""
    for path in [folder.parent, folder, *folder.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
