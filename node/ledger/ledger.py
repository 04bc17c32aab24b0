"""The ledger: what arrived and what became of it. Each method is one transaction, durable when it returns.

The truth of the node is here; timers, queues and folders are only ways to act on it. Every method raises
``LedgerUnavailable`` when the database does not answer, and then nothing of it was recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from node.domain.job import MeasureJob, MeasureOutcome
from node.domain.quality import CrossCalibration, QualityRecord, ScanRecord
from node.ledger import arrivals, haste, jobs, quality, shipments, status, studies
from node.ledger.ageing import AgeingBook
from node.ledger.auditing import AuditBook
from node.ledger.commitments import CommitmentBook
from node.ledger.configs import ConfigBook
from node.ledger.controls import ControlBook
from node.ledger.database import Database
from node.ledger.decisions import DecisionBook
from node.ledger.executors import ExecutorBook
from node.ledger.figures import FigureBook
from node.ledger.lineage import LineageBook
from node.ledger.operator import OperatorBook
from node.ledger.proofs import ProofBook
from node.ledger.quality import NewResolution
from node.ledger.records import (
    Arrival,
    Attempt,
    Choice,
    Event,
    JobRecord,
    Recorded,
    SeriesStatus,
    Shipment,
    StudyRecord,
)
from node.ledger.senders import SenderBook
from node.ledger.states import State
from node.ledger.together import Together

_TRIES = 5
"""To take a shipment that other processes want as well; then it is looked for again later."""


class Ledger:
    """One database, opened. Safe to be used by several threads."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(url)
        self._clock = clock
        self._arrivals = Together(self._record_arrivals)
        self.senders = SenderBook(self._database, clock)
        self.commitments = CommitmentBook(self._database, clock)
        self.configs = ConfigBook(self._database, clock)
        self.decisions = DecisionBook(self._database)
        self.lineage = LineageBook(self._database)
        self.controls = ControlBook(self._database, clock)
        self.operator = OperatorBook(self._database, clock)
        self.executors = ExecutorBook(self._database)
        self.proofs = ProofBook(self._database, clock)
        self.ageing = AgeingBook(self._database, clock)
        self.figures = FigureBook(self._database, clock)
        self.audit = AuditBook(self._database, clock)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def copy_to(self, target: Path) -> None:
        """Copy the ledger as it stands now into another file. SQLite alone: servers have means of their own."""
        self._database.copy_to(target)

    def now(self) -> float:
        """Return the time by which rows are written."""
        return self._clock()

    # Arrivals

    def record_arrival(self, arrival: Arrival) -> Recorded:
        """Record an object that lies on disk."""
        if self._database.one_writer:
            return self._arrivals(arrival)
        return self._record_arrivals([arrival])[0]

    def _record_arrivals(self, batch: Sequence[Arrival]) -> list[Recorded]:
        with self._database.write() as connection:
            return [arrivals.record(connection, self.now(), arrival) for arrival in batch]

    def knows(self, sop_instance_uid: str, digest: str) -> bool:
        """Whether these bytes have been recorded under this UID, and not been removed since."""
        with self._database.read() as connection:
            return arrivals.known(connection, sop_instance_uid, digest)

    # Decisions

    def quiet_studies(self, quiet_period_s: float) -> list[str]:
        """Return the keys of undecided studies that nothing has been added to for a while."""
        with self._database.read() as connection:
            return studies.quiet(connection, self.now() - quiet_period_s)

    def study(self, study_key: str) -> StudyRecord:
        """Return a study with its series."""
        with self._database.read() as connection:
            return studies.load(connection, study_key)

    def settle(self, study: StudyRecord, config_version: str, choices: Sequence[Choice]) -> bool:
        """Write the decisions about a study, all or none; False when instances arrived since it was read."""
        with self._database.write() as connection:
            return studies.settle(connection, self.now(), study, config_version, choices)

    # Measurements

    def unfinished_jobs(self) -> list[str]:
        """Return the jobs that are planned or running and may be worked on now, the most urgent first."""
        with self._database.read() as connection:
            return jobs.unfinished(connection)

    def turn(self, job_id: str) -> tuple[int, int]:
        """Return which handing over of a job this is, and how urgent it is."""
        with self._database.read() as connection:
            return jobs.turn(connection, job_id)

    def put_back(self, job_id: str, turn: int) -> None:
        """Have a job handed over as another turn, when its workflow ended and it did not."""
        with self._database.write() as connection:
            jobs.put_back(connection, job_id, turn)

    def begin_job(self, job_id: str) -> JobRecord | None:
        """Mark a job as started; ``None`` when there is nothing (any more) to be done."""
        with self._database.write() as connection:
            return jobs.begin(connection, self.now(), job_id)

    def job(self, job_id: str) -> MeasureJob:
        """Return a job with exactly the instances it was planned for."""
        with self._database.read() as connection:
            return jobs.load(connection, job_id)

    def finish_job(self, job_id: str, outcome: MeasureOutcome, result: Any, start: int | None = None) -> None:
        """Record what a measurement ended in, with its result JSON, and start its deliveries.

        ``start``: that of ``JobRecord``; the outcome of another one than the last is void.
        """
        with self._database.write() as connection:
            jobs.finish(connection, self.now(), job_id, outcome, result, start)

    def fail_job(self, job_id: str, reason: str, message: str, start: int | None = None) -> None:
        """Record that a measurement could not be done: its series is refused."""
        with self._database.write() as connection:
            jobs.fail(connection, self.now(), job_id, reason, message, start)

    # Deliveries

    def due_shipment(self, destination: str, owner: str = "node", *, proof: bool = False) -> Shipment | None:
        """Take what is due at a destination: to be sent there, or with ``proof`` to be asked about there.

        Nobody else gets it while ``owner`` lives and until it is recorded or released.
        """
        find = shipments.due_proof if proof else shipments.due
        for _ in range(_TRIES):
            with self._database.read() as connection:
                job_id = find(connection, destination, self.now(), owner)
            if job_id is None:
                return None
            with self._database.write() as connection:
                shipment = shipments.take(connection, destination, job_id, owner, proof=proof)
            if shipment is not None:
                return shipment
        return None

    def release_shipments(self, owner: str = "node") -> None:
        """Give back what was taken and not recorded."""
        with self._database.write() as connection:
            shipments.release(connection, owner)

    def next_due(self, destination: str) -> float | None:
        """Return when something is due at a destination next."""
        with self._database.read() as connection:
            return shipments.next_due(connection, destination)

    def hurry(self, destinations: Sequence[str]) -> None:
        """Make all that waits for some destinations due at once."""
        with self._database.write() as connection:
            haste.hurry(connection, destinations, self.now())

    def owed_since(self, destination: str, at: float) -> bool:
        """Whether a destination has got something new to be sent since then, from a measurement or an operator."""
        with self._database.read() as connection:
            return haste.owed_since(connection, destination, at)

    def record_attempt(self, shipment: Shipment, sop_instance_uid: str, attempt: Attempt) -> None:
        """Record one attempt to deliver one object."""
        with self._database.write() as connection:
            shipments.record(connection, self.now(), shipment, sop_instance_uid, attempt)

    def postpone(self, shipment: Shipment, sop_instance_uid: str, until: float) -> None:
        """Hold an object back that has not been tried."""
        with self._database.write() as connection:
            shipments.postpone(connection, shipment, sop_instance_uid, until)

    def record_proof(self, shipment: Shipment, proven: Sequence[str], absent: Mapping[str, float | None]) -> None:
        """Record which objects a destination says it holds, and when those it does not hold are sent again."""
        with self._database.write() as connection:
            shipments.record_proof(connection, self.now(), shipment, proven, absent)

    def record_no_proof(self, shipment: Shipment, why: str, again: float | None) -> None:
        """Record that a destination could not be asked what it holds; ``None``: it is given up."""
        with self._database.write() as connection:
            shipments.record_no_proof(connection, self.now(), shipment, why, again)

    # Looking

    def status(self, limit: int | None = None, states: tuple[State, ...] = ()) -> list[SeriesStatus]:
        """Return every series and what became of it, the latest arrival first."""
        with self._database.read() as connection:
            return status.rows(connection, limit, states)

    def counts(self) -> dict[State, int]:
        """Return how many series are in each state."""
        with self._database.read() as connection:
            return status.counts(connection)

    def stored_at(self, series_key: str) -> dict[str, Path]:
        """Return where the objects of a series lie, by SOP Instance UID; those that were removed are left out."""
        with self._database.read() as connection:
            return status.stored_at(connection, series_key)

    def objects_at(self, sop_instance_uids: Sequence[str]) -> dict[str, Path]:
        """Return where received objects lie, by SOP Instance UID; those that are not there are left out."""
        with self._database.read() as connection:
            return status.objects_at(connection, sop_instance_uids)

    def events(self, series_key: str | None = None) -> list[Event]:
        """Return the history, of one series or of the node."""
        with self._database.read() as connection:
            return status.events(connection, series_key)

    def results(self) -> list[dict[str, object]]:
        """Return the kept result of every current job, oldest first."""
        with self._database.read() as connection:
            return status.results(connection)

    # Quality assurance

    def quality_record(self, scanner: str | None = None, *, patients: bool = True) -> QualityRecord:
        """Return the record of one scanner or of all, with or without the lines that patients left."""
        with self._database.read() as connection:
            return quality.load(connection, scanner, patients=patients)

    def record_scan(self, series_instance_uid: str, instance_set: str, record: ScanRecord) -> int:
        """Add a scan to the scanners' record, once; returns the id of its line."""
        with self._database.write() as connection:
            return quality.add(connection, self.now(), series_instance_uid, instance_set, record)

    def exclude_scan(self, scan: int, why: str | None) -> None:
        """Say why a scan does not count, or with ``None`` that it does."""
        with self._database.write() as connection:
            quality.exclude(connection, self.now(), scan, why)

    def resolve_alarms(self, resolution: NewResolution) -> int:
        """Resolve every alarm of a scanner so far; returns the resolution's id."""
        with self._database.write() as connection:
            return quality.resolve(connection, self.now(), resolution)

    def keep_cross_calibration(self, crossing: CrossCalibration) -> None:
        """Keep a cross-calibration."""
        with self._database.write() as connection:
            quality.cross(connection, self.now(), crossing)
