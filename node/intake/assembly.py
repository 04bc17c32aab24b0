"""When a study has gone quiet it is complete: decide about its series, and start what is to be measured.

A sweep at short intervals looks for quiet studies in the ledger. Nothing is kept between sweeps: a crash between
decision and start is repaired by the next sweep, and starting twice is starting once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node import log
from node.domain.decision import Decision
from node.domain.instance import Series
from node.domain.job import MeasureJob
from node.domain.settings import AssemblySettings
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.keys import job_id
from node.ledger.records import Choice, PlannedJob, SeriesRecord, StudyRecord

_JOB = "sweep"

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """A job, and the names of the destinations its objects go to."""

    job: MeasureJob
    destinations: tuple[str, ...]
    priority: int = 0
    """Higher is measured sooner."""
    shadow: bool = False
    """Measured and kept, not sent."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The rules in force."""

    version: str
    """Digest of the configuration they come from; frozen into every decision and job."""
    decide: Callable[[Sequence[Series]], Sequence[Decision]]
    """Given all series of a study, one decision for each."""
    plan: Callable[[Series, Decision, str], Plan]
    """Given a series to be measured, its decision and the job's identity (for its folder), the job."""


class Assembly:
    """Sweeps from ``start`` to ``stop``. ``start_job`` must be idempotent."""

    def __init__(
        self,
        ledger: Ledger,
        settings: AssemblySettings,
        routes: Callable[[], Routes],
        start_job: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._routes = routes
        self._start_job = start_job
        from apscheduler.schedulers.background import BackgroundScheduler  # only here: who only receives needs no clock

        self._scheduler = BackgroundScheduler(timezone="UTC")

    def start(self) -> None:
        """Begin to sweep."""
        self._scheduler.add_job(
            self._guarded_sweep,
            "interval",
            id=_JOB,
            seconds=self._settings.sweep_interval_s,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    def stop(self) -> None:
        """Stop sweeping; a sweep under way is waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def configure(self, settings: AssemblySettings) -> None:
        """Use other times from the next sweep on."""
        if self._scheduler.running and settings.sweep_interval_s != self._settings.sweep_interval_s:
            self._scheduler.reschedule_job(_JOB, trigger="interval", seconds=settings.sweep_interval_s)
        self._settings = settings

    def sweep(self) -> None:
        """Decide every quiet study, then start every job that is not done."""
        routes = self._routes()
        for key in self._ledger.quiet_studies(self._settings.quiet_period_s):
            self._decide(self._ledger.study(key), routes)
        for job in self._ledger.unfinished_jobs():
            self._start_job(job)

    def _guarded_sweep(self) -> None:
        try:
            self.sweep()
        except LedgerUnavailable as error:
            _log.error("sweep-postponed", why=str(error))
        except Exception as error:  # noqa: BLE001 - the sweep must go on; the next one tries again
            _log.error("sweep-failed", error=type(error).__name__, exc_info=True)

    def _decide(self, study: StudyRecord, routes: Routes) -> None:
        try:
            choices = _choices(study, routes)
        except Exception as error:  # noqa: BLE001 - one study must not stop the others
            _log.error("routing-failed", study=study.key, error=type(error).__name__, exc_info=True)
            choices = [Choice(record, _undecidable(record, error), None) for record in study.series]
        if not self._ledger.settle(study, routes.version, choices):
            return
        for choice in choices:
            with log.series_bound(choice.record.key):
                _log.info(
                    "decided",
                    action=choice.decision.action,
                    reason=choice.decision.reason,
                    rule=choice.decision.rule,
                    instances=len(choice.record.series.instances),
                    kept=choice.record.settled,
                )


def _choices(study: StudyRecord, routes: Routes) -> list[Choice]:
    empty = [record for record in study.series if not record.series.instances]
    filled = [record for record in study.series if record.series.instances]
    decided = {
        decision.series_instance_uid: decision for decision in routes.decide([record.series for record in filled])
    }
    choices = [_choice(record, decided[record.series.series_instance_uid], routes) for record in filled]
    return choices + [Choice(record, _only_variants(record), None) for record in empty]


def _choice(record: SeriesRecord, decision: Decision, routes: Routes) -> Choice:
    if decision.action != "measure" or record.settled:
        return Choice(record, decision, None)
    identity = job_id(record.key, record.instance_set, decision.rule or "", routes.version)
    plan = routes.plan(record.series, decision, identity)
    return Choice(record, decision, PlannedJob(identity, plan.job, plan.destinations, plan.priority, plan.shadow))


def _only_variants(record: SeriesRecord) -> Decision:
    return Decision(
        series_instance_uid=record.series.series_instance_uid,
        action="refuse",
        rule=None,
        reason="conflicting-instances",
        message="Every SOP Instance UID of this series was used before for other objects.",
        verdicts=(),
    )


def _undecidable(record: SeriesRecord, error: Exception) -> Decision:
    return Decision(
        series_instance_uid=record.series.series_instance_uid,
        action="refuse",
        rule=None,
        reason="routing-failed",
        message=f"The routing rules could not be applied ({type(error).__name__}); see the log.",
        verdicts=(),
    )
