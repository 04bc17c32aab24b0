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

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
    StepOptions,
)
from sqlalchemy.exc import SQLAlchemyError

from node import log
from node.domain.job import MeasureJob, MeasureOutcome
from node.domain.settings import WorkSettings
from node.errors import MeasurementFailed
from node.ledger import Ledger, LedgerUnavailable
from node.workflow.child import MACHINE_TROUBLE, OUTCOME
from node.workflow.measuring import ChildFailed, Interrupted, measure
from node.workflow.presence import exclusive
from node.workflow.storage import check_sqlite, postgresql, sqlite
from node.workflow.tending import Tending

APPLICATION_VERSION = "1"
"""Raised only when the steps of the workflow change their order: jobs begun under another version do not resume."""

_QUEUE = "measure"
_QUEUE_POLL_S = 0.5
_RESTARTS_ALLOWED = 30
"""How often a measurement may be cut off by the end of the whole node before it is taken for the cause of it."""
_RESTARTS_IN_A_ROW = 2
"""Cut off so often, and each time after that, it lets others go first once: should it be the cause, it does not hold
them up. (Each time it does so is a start and a turn.)"""
_URGENT = 101
"""DBOS takes the smallest number first; priorities of the node go from -100 to 100, the highest first."""
_log = log.get(__name__)


def _transient(error: BaseException) -> bool:
    """Whether it is the machine's trouble, not that of the study."""
    return isinstance(error, LedgerUnavailable) or (isinstance(error, OSError) and error.errno in MACHINE_TROUBLE)


_WAIT_S = 2.0
_STEP: StepOptions = {
    "retries_allowed": True,
    "should_retry": _transient,
    "interval_seconds": _WAIT_S,
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
        self._handed_over: dict[str, tuple[str, int]] = {}
        self._running: set[str] = set()
        self._tending = Tending(ledger, executor_id, _QUEUE, self._still_waiting, self._running)
        self._workflow: Callable[[str], None] | None = None
        self._lock_descriptor: int | None = None

    def start(self) -> None:
        """Open the engine's database, resume what was interrupted, begin to work.

        Raises ``ConfigError`` when another process works with the same folder under the same ``executor_id``, or
        when the SQLite of this Python is too old.
        """
        if self._database is None:
            check_sqlite(sys.version_info[:2], sqlite3.sqlite_version_info)
            self._state_dir.mkdir(parents=True, exist_ok=True)
            self._lock_descriptor = exclusive(self._state_dir / f"{self._executor_id}.lock")
        config: DBOSConfig = {
            "name": "vbmd-node",
            "application_version": APPLICATION_VERSION,
            "executor_id": self._executor_id,
            "system_database_engine": postgresql(self._database)
            if self._database
            else sqlite(self._state_dir / "workflow.sqlite"),
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
        self._tending.start()

    def stop(self) -> None:
        """Stop working. A measurement under way is killed and done again after the next start."""
        self._stopping.set()
        self._tending.stop()
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
        workflow_id = f"{job_id}.{turn}" if turn else job_id
        if workflow_id in self._handed_over:
            return
        options = SetEnqueueOptions(priority=_URGENT - priority)
        with SetWorkflowID(workflow_id), options:
            DBOS.enqueue_workflow(_QUEUE, self._workflow, job_id)
        self._handed_over[workflow_id] = (job_id, turn)

    def _still_waiting(self, unfinished: Collection[str]) -> dict[str, tuple[str, int]]:
        """Those handed over that are not finished, by workflow; the others are forgotten."""
        waiting = frozenset(unfinished)
        self._handed_over = {key: job for key, job in list(self._handed_over.items()) if job[0] in waiting}
        return dict(self._handed_over)

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
        workflow_id = str(DBOS.workflow_id)
        turn = int(workflow_id.partition(".")[2] or 0)
        self._running.add(workflow_id)
        try:
            with log.series_bound(job_id.partition("-")[0]):
                self._work(job_id, turn)
        finally:
            self._running.discard(workflow_id)
        self._on_finished(job_id)

    def _work(self, job_id: str, turn: int) -> None:
        try:
            ending = self._attempts(job_id, turn)
            DBOS.run_step({**_STEP, "name": "record"}, self._record, job_id, ending)
        except (SQLAlchemyError, LedgerUnavailable) as error:
            _log.error("job-handed-back", job=job_id, error=type(error).__name__, exc_info=True)
            self._hand_back(job_id, turn)
        except Exception as error:  # noqa: BLE001 - the outermost loop of a job: recorded, then the next job
            _log.error("job-failed", job=job_id, error=type(error).__name__, exc_info=True)
            self._give_up(job_id, f"an error of the node itself ({type(error).__name__})")

    def _hand_back(self, job_id: str, turn: int) -> None:
        """The engine's database failed it: the job is done as another turn, as soon as the ledger can say so."""
        while not self._stopping.is_set():
            try:
                self._ledger.put_back(job_id, turn)
                return
            except LedgerUnavailable:
                self._stopping.wait(2.0)

    def _attempts(self, job_id: str, turn: int) -> dict[str, Any]:
        ending: dict[str, Any] = {"end": "failed", "why": "it was never started"}
        for attempt in range(self._settings.attempts):
            ending = DBOS.run_step({**_STEP, "name": "measure"}, self._measure, job_id, turn, attempt)
            if ending["end"] != "failed":
                break
        return ending

    def _measure(self, job_id: str, turn: int, attempt: int) -> dict[str, Any]:
        """One attempt; its result is small JSON."""
        if self._ledger.turn(job_id)[0] != turn:
            return {"end": "void"}  # handed over once more since
        begun = self._ledger.begin_job(job_id)
        if begun is None:
            return {"end": "void"}
        cut_off = begun.starts - 1 - attempt - turn
        if cut_off > _RESTARTS_ALLOWED:
            why = "the node ended again and again while it was being measured"
            return {"end": "failed", "why": why, "start": begun.start}
        if cut_off - _RESTARTS_IN_A_ROW >= turn and len(self._ledger.unfinished_jobs()) > 1:
            _log.warning("others-first", job=job_id, cut_off=cut_off)
            self._ledger.put_back(job_id, turn)
            return {"end": "void"}
        _log.info("measuring", job=job_id, start=begun.start)
        try:
            job = self._look_up(self._ledger.job(job_id), self._ledger.turn(job_id)[0], self._stopping)
            job = _in_own_folder(job, begun.start)
            outcome = self._measured(job)
        except ChildFailed as failure:
            _log.warning("measurement-failed", job=job_id, why=str(failure))
            return {"end": "failed", "why": str(failure), "start": begun.start}
        for why in outcome.priors_left_out:
            _log.info("prior-left-out", why=why)
        return {"end": "done", "outcome": OUTCOME.dump_python(outcome, mode="json"), "start": begun.start}

    def _measured(self, job: MeasureJob) -> MeasureOutcome:
        """Measure; when the machine has no room for it, again when it may have: that is no start of its own."""
        while True:
            try:
                return measure(self._function, job, self._settings, self._stopping)
            except OSError as error:
                if error.errno not in MACHINE_TROUBLE:
                    raise
                _log.error("measuring-postponed", why=errno.errorcode[error.errno])
            if self._stopping.wait(_WAIT_S):
                raise Interrupted

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
