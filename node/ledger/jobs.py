"""Measurements: planned, running, done. Every function may be repeated without further effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject
from node.ledger import codec, history, lineage, quality, schema, studies
from node.ledger.records import JobRecord
from node.ledger.states import DeliveryState, JobState, State

_MEASURING = ("measuring", "It is being measured.")


def unfinished(connection: sa.Connection) -> list[str]:
    """Return the jobs that are planned or running, oldest first."""
    table = schema.jobs
    query = (
        sa.select(table.c.job_id)
        .where(table.c.state.in_([JobState.PLANNED.value, JobState.RUNNING.value]))
        .order_by(table.c.planned_at)
    )
    return list(connection.execute(query).scalars())


def begin(connection: sa.Connection, at: float, job_id: str) -> JobRecord | None:
    """Mark a job as started; ``None`` when it is done, or no longer what the series waits for."""
    table = schema.jobs
    job = connection.execute(sa.select(table).where(table.c.job_id == job_id)).one()
    state = JobState(job.state)
    if state not in (JobState.PLANNED, JobState.RUNNING):
        return None
    if not _is_current(connection, job, State.READY, State.MEASURING):
        _close(connection, at, job, JobState.SUPERSEDED)
        return None
    predecessor = lineage.last_reported(connection, job.series_key, but=job_id)
    connection.execute(
        table.update()
        .where(table.c.job_id == job_id)
        .values(state=JobState.RUNNING.value, starts=table.c.starts + 1, started_at=at, predecessor=predecessor)
    )
    history.move(connection, at, job.series_key, State.MEASURING, *_MEASURING)
    return JobRecord(job_id, job.series_key, JobState.RUNNING, job.starts + 1)


def load(connection: sa.Connection, job_id: str) -> MeasureJob:
    """Return a job with exactly the instances it was planned for."""
    job = connection.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id)).one()
    table = schema.instances
    query = (
        sa.select(table.c.path, table.c.digest, table.c.header)
        .where(table.c.series_key == job.series_key, table.c.id.in_(job.instance_ids))
        .order_by(table.c.id)
    )
    instances = tuple(studies.stored(row) for row in connection.execute(query))
    document = codec.load_job(job.document)
    predecessors = lineage.documents(connection, job.predecessor)
    return replace(
        document,
        series=replace(document.series, instances=instances),
        predecessors=predecessors,
        prior_reports=lineage.of_patient(connection, job.series_key),
    )


def finish(connection: sa.Connection, at: float, job_id: str, outcome: MeasureOutcome, result: Any) -> None:
    """Record what a measurement ended in, and what is to be delivered of it."""
    job = connection.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id)).one()
    if job.state != JobState.RUNNING:
        return
    refusal = outcome.refusal
    columns = {
        "result": result,
        "previews": [str(path) for path in outcome.previews],
        "refusal_reason": refusal.reason if refusal else None,
        "refusal_message": refusal.message if refusal else None,
    }
    current = _is_current(connection, job, State.MEASURING)
    done = JobState.REFUSED if outcome.status == "refused" else JobState.MEASURED
    _close(connection, at, job, done if current else JobState.SUPERSEDED, **columns)
    _keep_outputs(connection, job_id, outcome.objects)
    if not current:
        return
    if outcome.scan_record is not None:
        quality.record_of_series(connection, at, job.series_key, job.instance_set, outcome.scan_record)
    if refusal is not None:
        history.move(connection, at, job.series_key, State.REFUSED, refusal.reason, refusal.message)
    else:
        history.move(connection, at, job.series_key, State.MEASURED, "measured", "It is measured.")
    if outcome.objects and job.destinations:
        _ship(connection, at, job, outcome.objects)


def fail(connection: sa.Connection, at: float, job_id: str, reason: str, message: str) -> None:
    """Record that a measurement could not be done; its input stays where it is."""
    job = connection.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id)).one()
    if job.state not in (JobState.PLANNED, JobState.RUNNING):
        return
    current = _is_current(connection, job, State.MEASURING, State.READY)
    columns = {"refusal_reason": reason, "refusal_message": message}
    _close(connection, at, job, JobState.REFUSED if current else JobState.SUPERSEDED, **columns)
    if current:
        history.move(connection, at, job.series_key, State.REFUSED, reason, message)


def _is_current(connection: sa.Connection, job: Any, *states: State) -> bool:
    table = schema.series
    row = connection.execute(sa.select(table.c.job_id, table.c.state).where(table.c.series_key == job.series_key)).one()
    return row.job_id == job.job_id and State(row.state) in states


def _close(connection: sa.Connection, at: float, job: Any, state: JobState, **columns: Any) -> None:
    table = schema.jobs
    connection.execute(
        table.update().where(table.c.job_id == job.job_id).values(state=state.value, finished_at=at, **columns)
    )
    history.note(connection, at, job.series_key, "job-closed", job_id=job.job_id, state=state.value)


def _keep_outputs(connection: sa.Connection, job_id: str, objects: Sequence[OutgoingObject]) -> None:
    for outgoing in objects:
        connection.execute(
            schema.outputs.insert().values(
                job_id=job_id,
                sop_instance_uid=outgoing.sop_instance_uid,
                sop_class_uid=outgoing.sop_class_uid,
                path=str(outgoing.path),
                kind=outgoing.kind,
                order=outgoing.order,
                series_instance_uid=outgoing.series_instance_uid,
            )
        )


def _ship(connection: sa.Connection, at: float, job: Any, objects: Sequence[OutgoingObject]) -> None:
    for destination in job.destinations:
        for outgoing in objects:
            if destination in outgoing.not_for:
                continue
            connection.execute(
                schema.deliveries.insert().values(
                    job_id=job.job_id,
                    destination=destination,
                    sop_instance_uid=outgoing.sop_instance_uid,
                    state=DeliveryState.PENDING.value,
                    attempts=0,
                    refusals=0,
                    created_at=at,
                    next_attempt_at=at,
                )
            )
    message = f"{len(objects)} objects are being sent to {', '.join(job.destinations)}."
    history.move(connection, at, job.series_key, State.DELIVERING, "delivering", message)
