"""Which report of a series followed which, and which is current."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from node.domain.job import Predecessor
from node.ledger import schema
from node.ledger.database import Database
from node.ledger.states import DeliveryState, JobState

_SR = "1.2.840.10008.5.1.4.1.1.88."
"""Every SR storage class begins so (PS3.6 annex A)."""


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """One report of a series, delivered or kept."""

    job_id: str
    sop_instance_uid: str
    finished_at: float | None
    predecessor: str | None
    """The job whose report it replaces."""
    config_version: str
    current: bool


class LineageBook:
    """The part of the ledger about reports and their predecessors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, series_key: str) -> list[ReportRecord]:
        """Return every report of a series, oldest first."""
        jobs, outputs, series = schema.jobs, schema.outputs, schema.series
        query = (
            sa.select(jobs, outputs.c.sop_instance_uid, series.c.job_id.label("current_job"))
            .join(outputs, outputs.c.job_id == jobs.c.job_id)
            .join(series, series.c.series_key == jobs.c.series_key)
            .where(jobs.c.series_key == series_key, outputs.c.kind == "sr")
            .order_by(jobs.c.finished_at)
        )
        with self._database.read() as connection:
            return [
                ReportRecord(
                    row.job_id,
                    row.sop_instance_uid,
                    row.finished_at,
                    row.predecessor,
                    row.config_version,
                    row.job_id == row.current_job,
                )
                for row in connection.execute(query)
            ]


def last_reported(connection: sa.Connection, series_key: str, but: str) -> str | None:
    """Return the last job of a series, other than ``but``, whose report is or may be somewhere.

    A report that was taken back before any destination was tried was never seen by anybody, and is nobody's
    predecessor; nor is a job that left none.
    """
    jobs, outputs = schema.jobs, schema.outputs
    query = (
        sa.select(jobs.c.job_id)
        .join(outputs, outputs.c.job_id == jobs.c.job_id)
        .where(jobs.c.series_key == series_key, jobs.c.job_id != but, outputs.c.kind == "sr")
        .where(jobs.c.state.in_([JobState.MEASURED.value, JobState.REFUSED.value]))
        .order_by(jobs.c.finished_at.desc())
    )
    for job_id in connection.execute(query).scalars():
        if not _was_taken_back(connection, job_id):
            return str(job_id)
    return None


def documents(connection: sa.Connection, job_id: str | None) -> tuple[Predecessor, ...]:
    """Return the structured reports that a job left, for those that replace them."""
    if job_id is None:
        return ()
    table = schema.outputs
    query = (
        sa.select(table, schema.studies.c.study_instance_uid)
        .join(schema.jobs, schema.jobs.c.job_id == table.c.job_id)
        .join(schema.series, schema.series.c.series_key == schema.jobs.c.series_key)
        .join(schema.studies, schema.studies.c.study_key == schema.series.c.study_key)
        .where(table.c.job_id == job_id, table.c.sop_class_uid.startswith(_SR))
        .order_by(table.c.order, table.c.sop_instance_uid)
    )
    return tuple(
        Predecessor(
            kind=row.kind,
            study_instance_uid=row.study_instance_uid,
            series_instance_uid=row.series_instance_uid,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
        )
        for row in connection.execute(query)
        if row.series_instance_uid is not None
    )


def _was_taken_back(connection: sa.Connection, job_id: str) -> bool:
    table = schema.deliveries
    rows = connection.execute(sa.select(table.c.state, table.c.attempts).where(table.c.job_id == job_id)).all()
    untried = [row.state == DeliveryState.CANCELLED.value and row.attempts == 0 for row in rows]
    return bool(untried) and all(untried)


def of_patient(connection: sa.Connection, series_key: str) -> tuple[Path, ...]:
    """Files of the current reports about earlier and other studies of the patient, by their end."""
    studies, series, jobs, outputs = schema.studies, schema.series, schema.jobs, schema.outputs
    own = connection.execute(
        sa.select(studies.c.study_key, studies.c.patient_key)
        .join(series, series.c.study_key == studies.c.study_key)
        .where(series.c.series_key == series_key)
    ).one()
    if own.patient_key is None:
        return ()
    query = (
        sa.select(outputs.c.path)
        .join(jobs, jobs.c.job_id == outputs.c.job_id)
        .join(series, sa.and_(series.c.series_key == jobs.c.series_key, series.c.job_id == jobs.c.job_id))
        .join(studies, studies.c.study_key == series.c.study_key)
        .where(studies.c.patient_key == own.patient_key, studies.c.study_key != own.study_key)
        .where(jobs.c.state == JobState.MEASURED.value, outputs.c.kind.in_(("sr", "heights")))
        .order_by(jobs.c.finished_at, outputs.c.order)
    )
    return tuple(Path(path) for path in connection.execute(query).scalars())
