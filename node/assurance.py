"""Quality assurance of the scanners: what the record lends to a job, reminders, and QA scans measured offline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from node import attention, log, routing
from node.config import Config, Rule
from node.domain.instance import Series
from node.domain.job import MeasureJob
from node.domain.phantom import PhantomModel
from node.domain.quality import Quality, QualityRecord, ScanRecord
from node.domain.settings import QualitySettings
from node.errors import NodeError, StudyRefused
from node.ledger import Ledger, LedgerUnavailable, keys
from node.quality.borrowing import quality_of

_log = log.get(__name__)

Records = Callable[[str], QualityRecord]
"""The record of one scanner, without the lines that patients left."""


def no_record(_scanner: str) -> QualityRecord:
    """Of a node that has never run."""
    return QualityRecord()


def quality_for(series: Series, rule: Rule, config: Config, record: Records) -> Quality:
    """What the record knows about the scanner of a series at the time of its scan."""
    key, when = routing.scanner_key(series), routing.scan_date(series)
    if key is None or when is None:
        return Quality()
    phantoms = {one.id for one in routing.phantoms_for(series, rule, config)}
    kernel = next((one.header.convolution_kernel for one in series.instances if one.header.convolution_kernel), None)
    known = record(key.scanner)
    return quality_of(known, config.quality, key, kernel, when, phantoms, asynchronous=rule.asynchronous)


def qa_phantoms(config: Config) -> tuple[PhantomModel, ...]:
    """Those by which a scan without a patient is recognised."""
    return tuple(config.phantoms[name] for name in config.qa_phantoms)


class Reminder:
    """Says in the log, from ``start`` to ``stop``, which QA scans are overdue and which scanners are out of control."""

    def __init__(self, ledger: Ledger, settings: QualitySettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._told: set[str] = set()
        self._scheduler: Any = None

    def start(self) -> None:
        """Remind at once, then at every interval."""
        from apscheduler.schedulers.background import BackgroundScheduler  # only here: one role of four reminds

        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._scheduler.add_job(
            lambda: self._guarded(self.remind),
            "interval",
            seconds=timedelta(hours=self._settings.reminder_interval_h).total_seconds(),
            next_run_time=datetime.now(UTC),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    def configure(self, settings: QualitySettings) -> None:
        """Go by other settings from now on; another interval counts from the next start."""
        self._settings = settings

    def stop(self) -> None:
        """Stop reminding; a look under way is waited for."""
        if self._scheduler is not None and self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def remind(self) -> None:
        """Log every overdue QA scan and every open alarm."""
        for one in attention.dues(self._ledger, self._settings):
            _log.warning("qa-scan-due", scanner=one.key.scanner, days=one.overdue_days, message=one.sentence)
        self._told = set()
        self.watch()

    def watch(self) -> None:
        """Log alarms that have not been logged since the last reminder: called whenever a scan was measured."""
        found = attention.alarms(self._ledger, self._settings)
        for sentence in found:
            if sentence not in self._told:
                _log.error("scanner-out-of-control", message=sentence)
        self._told = set(found)

    def look(self) -> None:
        """Watch once; nothing of it may disturb the caller."""
        self._guarded(self.watch)

    def _guarded(self, look: Callable[[], None]) -> None:
        try:
            look()
        except LedgerUnavailable as error:
            _log.error("qa-reminder-postponed", why=str(error))
        except Exception as error:  # noqa: BLE001 - the clock must go on; the next reminder tries again
            _log.error("qa-reminder-failed", error=type(error).__name__, exc_info=True)


@dataclass(frozen=True, slots=True)
class Added:
    """One series that was looked at for the record."""

    name: str
    message: str
    record: ScanRecord | None
    """``None``: nothing was recorded, and the message says why."""
    scan: int | None
    """Id of its line."""


def add(paths: Iterable[Path], config: Config, ledger: Ledger, job: Callable[[Series], MeasureJob]) -> Iterator[Added]:
    """Measure QA scans below ``paths`` and add them to the record; patients' scans are left alone.

    ``job`` makes the measurement that a series would get. Every series of a study is measured, unlike in the node,
    which takes the best one.
    """
    from node.dicom import scan  # only here: a node that serves has no folders to look through

    with tempfile.TemporaryDirectory(prefix="vbmd-node-") as scratch:
        found, skipped = scan.collect(paths, Path(scratch))
        yield from (Added(one.name, one.message, None, None) for one in skipped)
        for series in found:
            yield _added(series, ledger, job)


def _added(series: Series, ledger: Ledger, job: Callable[[Series], MeasureJob]) -> Added:
    from node.dicom import geometry, read  # only here: a node that serves does without the libraries that measure
    from node.scan_record import without_patient

    name = series.series_instance_uid
    try:
        headers = [one.header for one in series.instances]
        geometry.check(headers)
        seen = without_patient(read.volume(series), headers[0], job(series))
    except StudyRefused as refused:
        return Added(name, str(refused), None, None)
    if seen is None:
        return Added(name, "A patient lies in this scan: it is no QA scan.", None, None)
    if seen.record is None:
        return Added(name, seen.refusal.message, None, None)
    instances = keys.instance_set(one.digest for one in series.instances)
    scan_id = ledger.record_scan(name, instances, seen.record)
    return Added(name, seen.refusal.message, seen.record, scan_id)


def only_scanner(record: QualityRecord, wanted: str | None) -> str:
    """The scanner that is meant. Raises ``NodeError`` when none has that name, or several could be meant."""
    known = sorted({scan.record.key.scanner for scan in record.scans})
    if wanted is not None and wanted in known:
        return wanted
    names = ", ".join(known) or "none"
    if wanted is not None:
        raise NodeError(f"There is no scanner {wanted} in the record. Known are: {names}.")
    if len(known) != 1:
        raise NodeError(f"Name the scanner with --scanner. Known are: {names}.")
    return known[0]
