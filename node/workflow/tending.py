"""Looking after jobs that were handed over to the durable engine and came to a stop in it.

The engine's own database may fail it in the middle of a job (a full disk, a database that went away): a workflow then
stands as begun though nobody runs it, or has ended without an outcome in the ledger. The ledger is the truth: as long
as it calls a job unfinished, the job is resumed or handed over once more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping

from dbos import DBOS

from node import log
from node.ledger import Ledger, LedgerUnavailable

INTERVAL_S = 5.0
_AT_ONCE = 200

_log = log.get(__name__)


class Tending:
    """Looks from ``start`` to ``stop``. ``handed_over``: jobs by workflow; ``running``: workflows under way here."""

    def __init__(
        self,
        ledger: Ledger,
        executor_id: str,
        queue: str,
        handed_over: Callable[[Collection[str]], Mapping[str, tuple[str, int]]],
        running: Collection[str],
    ) -> None:
        self._ledger = ledger
        self._executor_id, self._queue = executor_id, queue
        self._handed_over, self._running = handed_over, running
        self._idle: frozenset[str] = frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="tending", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def look(self) -> None:
        """Resume what nobody runs; hand over again what ended without an outcome."""
        jobs = self._handed_over(self._ledger.unfinished_jobs())
        if not jobs:
            return
        begun = DBOS.list_workflows(workflow_ids=list(jobs)[:_AT_ONCE], load_input=False, load_output=False)
        idle = set()
        for workflow in begun:
            if workflow.status in ("ENQUEUED", "DELAYED"):
                continue
            if workflow.status != "PENDING":
                self._ledger.put_back(*jobs[workflow.workflow_id])
            elif workflow.executor_id == self._executor_id and workflow.workflow_id not in self._running:
                idle.add(workflow.workflow_id)
        for workflow_id in idle & self._idle:  # seen twice: it is not just about to begin
            _log.warning("workflow-resumed", job=jobs[workflow_id][0])
            DBOS.resume_workflow(workflow_id, queue_name=self._queue)
        self._idle = frozenset(idle - self._idle)

    def _serve(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            try:
                self.look()
            except LedgerUnavailable as error:
                _log.error("tending-postponed", why=str(error))
            except Exception as error:  # noqa: BLE001 - the outermost loop; the engine's database may be what fails
                _log.error("tending-failed", error=type(error).__name__)
