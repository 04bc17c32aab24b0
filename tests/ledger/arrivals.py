"""Arrivals for tests of the ledger: rows without files."""

from __future__ import annotations

from pathlib import Path

from node.domain.decision import Decision
from node.domain.findings import Refusal
from node.domain.instance import InstanceHeader, Plane, Series
from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject, Provenance
from node.domain.settings import MeasurementSettings
from node.ledger import Ledger, keys
from node.ledger.records import Arrival, Choice, PlannedJob, StudyRecord

VERSION = "config-1"


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def arrival(number: int, *, study: str = "1.2", series: str = "1.2.3", digest: str | None = None) -> Arrival:
    header = InstanceHeader(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=f"{series}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        series_description="Abdomen",
        planes=(Plane((0.0, 0.0, 1.5 * number), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.8, 0.8)),),
    )
    return Arrival(Path(f"/spool/{number}"), digest or f"{series}-{number}", 1000, header, "CT1", "192.0.2.7")


def receive(ledger: Ledger, count: int = 3, *, first: int = 0, series: str = "1.2.3", study: str = "1.2") -> None:
    for number in range(first, first + count):
        ledger.record_arrival(arrival(number, series=series, study=study))


def quiet_study(ledger: Ledger) -> StudyRecord:
    (key,) = ledger.quiet_studies(0.0)
    return ledger.study(key)


def job(series: Series, folder: str = "/outbox/job") -> MeasureJob:
    return MeasureJob(
        series, "rule", (), MeasurementSettings(), Path("t.toml"), True, Path(folder), Provenance("1", VERSION)
    )


def decision(series: Series, action: str = "measure", reason: str = "selected") -> Decision:
    return Decision(series.series_instance_uid, action, "rule", reason, f"Because {reason}.", ())  # type: ignore[arg-type]


def choose(study: StudyRecord, action: str = "measure", destinations: tuple[str, ...] = ("A",)) -> list[Choice]:
    """Decide every series the same way, as the assembly does."""
    choices = []
    for record in study.series:
        planned = None
        if action == "measure" and not record.settled:
            identity = keys.job_id(record.key, record.instance_set, "rule", VERSION)
            planned = PlannedJob(identity, job(record.series), destinations)
        choices.append(Choice(record, decision(record.series, action), planned))
    return choices


def plan(ledger: Ledger, destinations: tuple[str, ...] = ("A",)) -> str:
    """Decide the only quiet study: measure. Return the planned job."""
    study = quiet_study(ledger)
    assert ledger.settle(study, VERSION, choose(study, destinations=destinations))
    return ledger.unfinished_jobs()[-1]


def outcome(*numbers: int, refusal: Refusal | None = None) -> MeasureOutcome:
    """An outcome with an image for each number and a report after them."""
    objects = tuple(
        OutgoingObject(Path(f"/outbox/{number}"), "1.2.840.10008.5.1.4.1.1.7", f"9.{number}", "sagittal", 0)
        for number in numbers
    )
    report = OutgoingObject(Path("/outbox/sr"), "1.2.840.10008.5.1.4.1.1.88.33", "9.99", "sr", 1)
    return MeasureOutcome(
        "refused" if refusal else "measured", refusal, Path("/outbox/result.json"), (*objects, report), ()
    )


def measure(ledger: Ledger, destinations: tuple[str, ...] = ("A",), refusal: Refusal | None = None) -> str:
    """Take the only quiet study to a recorded outcome with one image and one report."""
    job_id = plan(ledger, destinations)
    assert ledger.begin_job(job_id) is not None
    ledger.finish_job(job_id, outcome(1, refusal=refusal), {"status": "measured"})
    return job_id
