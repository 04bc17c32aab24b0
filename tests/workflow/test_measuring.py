"""One measurement in a child process: what it may do, and what becomes of it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from node.domain.instance import Series
from node.domain.job import MeasureJob, Provenance
from node.domain.settings import MeasurementSettings, WorkSettings
from node.workflow.measuring import ChildFailed, Interrupted, measure, resident_mb
from tests.workflow.house import wait_until

FUNCTIONS = "tests.workflow.measurements"


def _job(tmp_path: Path) -> MeasureJob:
    return MeasureJob(
        series=Series("1.2", "1.2.3", ()),
        rule="ct",
        phantoms=(),
        settings=MeasurementSettings(),
        template=tmp_path / "t.toml",
        report_refusals=True,
        out_dir=tmp_path / "outbox" / "0123456789abcdef-0123456789abcdef" / "1",
        provenance=Provenance("1", "v1"),
    )


def _run(tmp_path: Path, function: str, settings: WorkSettings | None = None) -> None:
    measure(f"{FUNCTIONS}:{function}", _job(tmp_path), settings or WorkSettings(), threading.Event())


def test_the_outcome_comes_back_with_its_files(tmp_path: Path) -> None:
    job = _job(tmp_path)
    outcome = measure(f"{FUNCTIONS}:succeed", job, WorkSettings(), threading.Event())
    assert outcome.status == "measured"
    assert all(entry.path.is_file() for entry in outcome.objects)


def test_the_input_is_kept_beside_the_outcome(tmp_path: Path) -> None:
    _run(tmp_path, "succeed")
    assert (_job(tmp_path).out_dir / "job.json").is_file()


def test_what_an_interrupted_attempt_left_is_removed(tmp_path: Path) -> None:
    stale = _job(tmp_path).out_dir / "stale.dcm"
    stale.parent.mkdir(parents=True)
    stale.touch()
    _run(tmp_path, "succeed")
    assert not stale.exists()


@pytest.mark.parametrize(
    ("function", "why"),
    [("crash", "status 1"), ("die", "SIGSEGV"), ("crash_once", "status 3"), ("absent", "status 1")],
)
def test_a_crash_is_told_from_an_outcome(function: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=why):
        _run(tmp_path, function)


def test_what_a_crash_printed_stays_in_the_job_folder(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed) as caught:
        _run(tmp_path, "crash")
    assert "poison" not in str(caught.value)
    assert "poison" in (_job(tmp_path).out_dir / "child.log").read_text()


def test_a_measurement_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="longer than 2 s"):
        _run(tmp_path, "hang", WorkSettings(time_limit_s=2.0))


def test_a_measurement_that_takes_too_much_memory_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="more than 300 MB"):
        _run(tmp_path, "devour", WorkSettings(memory_limit_mb=300.0))


def test_stopping_the_node_kills_a_measurement_without_an_outcome(tmp_path: Path) -> None:
    stopping = threading.Event()
    threading.Timer(1.0, stopping.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        measure(f"{FUNCTIONS}:hang", _job(tmp_path), WorkSettings(), stopping)
    assert time.monotonic() - begun < 10


def test_nothing_of_a_killed_measurement_stays_alive(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed):
        _run(tmp_path, "hang_with_helper", WorkSettings(time_limit_s=10.0))  # a busy machine is slow to begin
    helper = int((_job(tmp_path).out_dir / "helper.pid").read_text())
    wait_until(lambda: not _alive(helper), 5)


def test_resident_memory_counts_this_process() -> None:
    hoard = bytearray(os.urandom(1 << 20) * 100)
    assert resident_mb(os.getpid()) > len(hoard) / 1e6


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
