"""The durable engine: each turn of a planned job is one DBOS workflow under its identity. The only importer of dbos.

A workflow survives the death of the process at any point and goes on after its last finished step. Its steps are
``measure`` (a child process; repeated a stated number of times) and ``record`` (the ledger). Steps hand on small JSON,
never arrays. Deliveries are not workflows: their rows in the ledger are their whole state (see ``node.delivery``).

With PostgreSQL any number of processes on any number of hosts work on one queue. One that dies is noticed by the
others (``presence``), which resume its workflows after their last finished step. Should it only have been slow, its
outcome is void: the ledger takes that of the latest start alone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
    StepOptions,
    WorkflowHandle,
)

from node import log
from node.domain.job import MeasureJob, MeasureOutcome
from node.domain.settings import WorkSettings
from node.errors import ConfigError, MeasurementFailed, Problem
from node.ledger import Ledger, LedgerUnavailable, driver_url
from node.workflow.child import OUTCOME
from node.workflow.measuring import ChildFailed, measure

APPLICATION_VERSION = "1"
"""Raised only when the steps of the workflow change their order: jobs begun under another version do not resume."""

_QUEUE = "measure"
_QUEUE_POLL_S = 0.5
_RESTARTS_ALLOWED = 10
"""How often a measurement may be cut off by the end of the whole node before it is taken for the cause of it."""
_URGENT = 101
"""DBOS takes the smallest number first; priorities of the node go from -100 to 100, the highest first."""
_DEAD = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

_log = log.get(__name__)


_WAITED_FOR = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EMFILE,
    errno.ENFILE,
}


def _transient(error: BaseException) -> bool:
    """Whether it is the machine's trouble, not that of the study."""
    return isinstance(error, LedgerUnavailable) or (isinstance(error, OSError) and error.errno in _WAITED_FOR)


_STEP: StepOptions = {
    "retries_allowed": True,
    "should_retry": _transient,
    "interval_seconds": 2.0,
    "backoff_rate": 1.0,
    "max_attempts": 43_200,
}
"""A ledger that does not answer, or a full disk, is waited for (a day): nothing else could be done meanwhile."""


LookUp = Callable[[MeasureJob, int, threading.Event], MeasureJob]
"""Adds what is known elsewhere to a job, in its turn, and gives up when the node stops. Repeated, it adds the same."""


class Engine:
    """Works from ``start`` to ``stop``. DBOS allows one in a process.

    ``function`` is "module:name" of a function from ``MeasureJob`` to ``MeasureOutcome``; the child imports it.
    ``on_finished`` is called with the job's identity after its outcome has been recorded. ``database``: URL of the
    PostgreSQL database that several processes share; without one the engine has an SQLite file in ``state_dir``.
    ``executor_id``: one for each living process. ``look_up`` is called before each start of a measurement.
    """

    def __init__(
        self,
        settings: WorkSettings,
        ledger: Ledger,
        state_dir: Path,
        function: str,
        on_finished: Callable[[str], None] | None = None,
        executor_id: str = "node-1",
        database: str | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._state_dir = state_dir
        self._function = function
        self._on_finished = on_finished or (lambda _job: None)
        self._executor_id = executor_id
        self._database = database
        self._look_up = look_up or (lambda job, _turn, _stopping: job)
        self._stopping = threading.Event()
        self._handed_over: set[tuple[str, int]] = set()
        self._workflow: Callable[[str], None] | None = None
        self._lock_descriptor: int | None = None

    def start(self) -> None:
        """Open the engine's database, resume what was interrupted, begin to work.

        Raises ``ConfigError`` when another process works with the same folder under the same ``executor_id``, or
        when the SQLite of this Python is too old.
        """
        if self._database is None:
            _check_sqlite(sys.version_info[:2], sqlite3.sqlite_version_info)
            self._state_dir.mkdir(parents=True, exist_ok=True)
            self._lock_descriptor = exclusive(self._state_dir / f"{self._executor_id}.lock")
        config: DBOSConfig = {
            "name": "vbmd-node",
            "application_version": APPLICATION_VERSION,
            "executor_id": self._executor_id,
            "system_database_engine": _postgresql(self._database)
            if self._database
            else _sqlite(self._state_dir / "workflow.sqlite"),
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
        }
        DBOS(config=config)

        def workflow(job_id: str) -> None:  # a plain function: the decorator does not take a bound method
            self._run(job_id)

        self._workflow = DBOS.workflow(name="measure", max_recovery_attempts=None)(workflow)
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE,
            worker_concurrency=self._settings.concurrency,
            polling_interval_sec=_QUEUE_POLL_S,
            on_conflict="always_update",
        )

    def stop(self) -> None:
        """Stop working. A measurement under way is killed and done again after the next start."""
        self._stopping.set()
        if self._workflow is not None:
            DBOS.destroy(destroy_registry=True)
            self._workflow = None
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def start_job(self, job_id: str) -> None:
        """Take over a planned or running job. Idempotent, now and across restarts."""
        if self._workflow is None or self._stopping.is_set():
            return
        turn, priority = self._ledger.turn(job_id)
        if (job_id, turn) in self._handed_over:
            return
        options = SetEnqueueOptions(priority=_URGENT - priority)
        with SetWorkflowID(f"{job_id}.{turn}" if turn else job_id), options:
            handle: WorkflowHandle[None] = DBOS.enqueue_workflow(_QUEUE, self._workflow, job_id)
        status = handle.get_status().status
        if status in _DEAD:
            self._give_up(job_id, "the workflow engine gave it up")
        elif status == "SUCCESS":
            self._ledger.put_back(job_id, turn)
        self._handed_over.add((job_id, turn))

    def adopt(self, living: Collection[str]) -> int:
        """Resume, here or at any other living process, what others had begun; returns how many jobs."""
        begun = DBOS.list_workflows(status="PENDING", name="measure", load_input=False, load_output=False)
        free = [workflow for workflow in begun if workflow.executor_id not in living]
        for workflow in free:
            DBOS.resume_workflow(workflow.workflow_id, queue_name=_QUEUE)
            _log.warning("work-taken-over", of=workflow.executor_id, job=workflow.workflow_id)
        return len(free)

    def _run(self, job_id: str) -> None:
        """The workflow: measure, at most ``attempts`` times, then record."""
        with log.series_bound(job_id.partition("-")[0]):
            try:
                ending = self._attempts(job_id)
                DBOS.run_step({**_STEP, "name": "record"}, self._record, job_id, ending)
            except Exception as error:  # noqa: BLE001 - the outermost loop of a job: recorded, then the next job
                _log.error("job-failed", job=job_id, error=type(error).__name__, exc_info=True)
                self._give_up(job_id, f"an error of the node itself ({type(error).__name__})")
        self._on_finished(job_id)

    def _attempts(self, job_id: str) -> dict[str, Any]:
        ending: dict[str, Any] = {"end": "failed", "why": "it was never started"}
        for _ in range(self._settings.attempts):
            ending = DBOS.run_step({**_STEP, "name": "measure"}, self._measure, job_id)
            if ending["end"] != "failed":
                break
        return ending

    def _measure(self, job_id: str) -> dict[str, Any]:
        """One attempt; its result is small JSON."""
        begun = self._ledger.begin_job(job_id)
        if begun is None:
            return {"end": "void"}
        if begun.starts > self._settings.attempts + _RESTARTS_ALLOWED:
            why = "the node ended again and again while it was being measured"
            return {"end": "failed", "why": why, "start": begun.start}
        _log.info("measuring", job=job_id, start=begun.start)
        try:
            job = self._look_up(self._ledger.job(job_id), self._ledger.turn(job_id)[0], self._stopping)
            job = _in_own_folder(job, begun.start)
            outcome = measure(self._function, job, self._settings, self._stopping)
        except ChildFailed as failure:
            _log.warning("measurement-failed", job=job_id, why=str(failure))
            return {"end": "failed", "why": str(failure), "start": begun.start}
        for why in outcome.priors_left_out:
            _log.info("prior-left-out", why=why)
        return {"end": "done", "outcome": OUTCOME.dump_python(outcome, mode="json"), "start": begun.start}

    def _record(self, job_id: str, ending: dict[str, Any]) -> None:
        if ending["end"] == "failed":
            self._give_up(job_id, ending["why"], ending.get("start"))
        elif ending["end"] == "done":
            outcome: MeasureOutcome = OUTCOME.validate_python(ending["outcome"])
            result = json.loads(outcome.result_json.read_bytes())
            self._ledger.finish_job(job_id, outcome, result, ending.get("start"))
            reason = outcome.refusal.reason if outcome.refusal else None
            _log.info("measured", job=job_id, status=outcome.status, reason=reason, objects=len(outcome.objects))

    def _give_up(self, job_id: str, why: str, start: int | None = None) -> None:
        message = f"The measurement failed: {why}. Its input is kept."
        self._ledger.fail_job(job_id, MeasurementFailed.reason, message, start)


def _in_own_folder(job: MeasureJob, start: int) -> MeasureJob:
    """Each start writes into a folder of its own: one that was taken for dead must not disturb its successor."""
    for earlier in job.out_dir.glob("*"):
        if earlier.is_dir() and earlier.name.isdecimal() and earlier.name != str(start):
            shutil.rmtree(earlier, ignore_errors=True)
    return replace(job, out_dir=job.out_dir / str(start))


def _check_sqlite(python: tuple[int, int], sqlite: tuple[int, int, int]) -> None:
    """DBOS 3.4 does not start on Python 3.12 or later with an SQLite before 3.42 (Debian 12): say so first."""
    if python >= (3, 12) and sqlite < (3, 42, 0):
        message = f"Python {python[0]}.{python[1]} is linked to SQLite {'.'.join(map(str, sqlite))}; 3.42 is needed."
        raise ConfigError((Problem("SQLite", "", message, "Use Python 3.11, or a system with a newer SQLite."),))


def exclusive(path: Path) -> int:
    """Hold a lock file for the life of this process; returns its descriptor. Raises ``ConfigError`` if it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        message = "another node works with this folder."
        raise ConfigError(
            (Problem(str(path), "", message, "Stop it, or give this node a folder of its own."),)
        ) from error
    return descriptor


def _postgresql(url: str) -> sa.Engine:
    """Open the engine's tables in the node's database (schema ``dbos``)."""
    options = {"pool_size": 5, "max_overflow": 10, "pool_pre_ping": True}
    return sa.create_engine(driver_url(url), connect_args={"connect_timeout": 5}, **options)


def _sqlite(path: Path) -> sa.Engine:
    """Open the engine's own database: WAL, synced commits, writers take their lock when they begin."""
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
