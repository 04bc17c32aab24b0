"""Measurements: planned, running, done. Every function may be repeated without further effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject
from node.ledger import codec, controls, history, lineage, quality, schema, studies
from node.ledger.controls import Switch
from node.ledger.records import JobRecord
from node.ledger.states import DeliveryState, JobState, State

_MEASURING = ("measuring", "It is being measured.")


def unfinished(connection: sa.Connection) -> list[str]:
    """Return the jobs that are planned or running and may be worked on now: the most urgent first, then the oldest."""
    table, series = schema.jobs, schema.series
    if controls.is_off(connection, Switch.MEASURING, controls.ALL):
        return []
    query = (
        sa.select(table.c.job_id)
        .join(series, series.c.series_key == table.c.series_key)
        .where(table.c.state.in_([JobState.PLANNED.value, JobState.RUNNING.value]), controls.served_sender())
        .order_by(table.c.priority.desc(), table.c.planned_at)
    )
    return list(connection.execute(query).scalars())


def put_back(connection: sa.Connection, job_id: str, turn: int) -> None:
    """Have a job handed over once more whose workflow came to an end without it."""
    table = schema.jobs
    waiting = table.c.state.in_([JobState.PLANNED.value, JobState.RUNNING.value])
    same = sa.and_(table.c.job_id == job_id, table.c.turn == turn, waiting)
    connection.execute(table.update().where(same).values(turn=turn + 1))


def turn(connection: sa.Connection, job_id: str) -> tuple[int, int]:
    """Return the number of this handing over of a job, and its priority."""
    table = schema.jobs
    row = connection.execute(sa.select(table.c.turn, table.c.priority).where(table.c.job_id == job_id)).one()
    return row.turn, row.priority


def begin(connection: sa.Connection, at: float, job_id: str) -> JobRecord | None:
    """Mark a job as started; ``None`` when it is done, no longer what the series waits for, or not to start now.

    Its number of starts is what the outcome has to name later: of two that measure the same, the later one counts.
    """
    table = schema.jobs
    job = connection.execute(sa.select(table).where(table.c.job_id == job_id).with_for_update()).one()
    state = JobState(job.state)
    if state not in (JobState.PLANNED, JobState.RUNNING):
        return None
    if not _is_current(connection, job, State.READY, State.MEASURING):
        _close(connection, at, job, JobState.SUPERSEDED)
        return None
    if job_id not in unfinished(connection):
        _put_back(connection, at, job)
        return None
    predecessor = lineage.last_reported(connection, job.series_key, but=job_id)
    connection.execute(
        table.update()
        .where(table.c.job_id == job_id)
        .values(state=JobState.RUNNING.value, starts=table.c.starts + 1, started_at=at, predecessor=predecessor)
    )
    history.move(connection, at, job.series_key, State.MEASURING, *_MEASURING)
    return JobRecord(job_id, job.series_key, JobState.RUNNING, job.starts + 1, _start(job.turn, job.starts + 1))


def _start(turn: int, starts: int) -> int:
    return turn * 100_000 + starts


def _put_back(connection: sa.Connection, at: float, job: Any) -> None:
    """It is switched off: it will be handed over again, as another turn, when it may start."""
    table = schema.jobs
    again = {"state": JobState.PLANNED.value, "turn": table.c.turn + 1}
    connection.execute(table.update().where(table.c.job_id == job.job_id).values(again))
    history.move(connection, at, job.series_key, State.READY, "switched-off", "It waits: measuring is switched off.")


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


def finish(
    connection: sa.Connection, at: float, job_id: str, outcome: MeasureOutcome, result: Any, start: int | None
) -> None:
    """Record what a measurement ended in, and what is to be delivered of it.

    ``start``: the number that ``begin`` gave it. An outcome of an earlier start is void: another process has taken
    over since.
    """
    job = _locked(connection, job_id)
    if job.state != JobState.RUNNING:
        return
    if start not in (None, _start(job.turn, job.starts)):
        history.note(connection, at, job.series_key, "late-outcome-void", job_id=job_id, start=start)
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
    keep_outputs(connection, job_id, outcome.objects)
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


def fail(connection: sa.Connection, at: float, job_id: str, reason: str, message: str, start: int | None) -> None:
    """Record that a measurement could not be done; its input stays where it is."""
    job = _locked(connection, job_id)
    if job.state not in (JobState.PLANNED, JobState.RUNNING) or start not in (
        None,
        _start(job.turn, job.starts),
    ):
        return
    current = _is_current(connection, job, State.MEASURING, State.READY)
    columns = {"refusal_reason": reason, "refusal_message": message}
    _close(connection, at, job, JobState.REFUSED if current else JobState.SUPERSEDED, **columns)
    if current:
        history.move(connection, at, job.series_key, State.REFUSED, reason, message)


def _locked(connection: sa.Connection, job_id: str) -> Any:
    return connection.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id).with_for_update()).one()


def _is_current(connection: sa.Connection, job: Any, *states: State) -> bool:
    table = schema.series
    query = sa.select(table.c.job_id, table.c.state).where(table.c.series_key == job.series_key)
    row = connection.execute(query.with_for_update()).one()
    return row.job_id == job.job_id and State(row.state) in states


def _close(connection: sa.Connection, at: float, job: Any, state: JobState, **columns: Any) -> None:
    table = schema.jobs
    connection.execute(
        table.update().where(table.c.job_id == job.job_id).values(state=state.value, finished_at=at, **columns)
    )
    history.note(connection, at, job.series_key, "job-closed", job_id=job.job_id, state=state.value)


def keep_outputs(connection: sa.Connection, job_id: str, objects: Sequence[OutgoingObject]) -> None:
    """Note the files that a job left."""
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
    """Start its deliveries, or keep them back where shadow mode or an operator says so."""
    table = schema.series
    held = connection.execute(
        sa.select(table.c.held_by, table.c.held_why).where(table.c.series_key == job.series_key)
    ).one()
    kept_back = job.shadow or held.held_by is not None
    state = DeliveryState.HELD if kept_back else DeliveryState.PENDING
    for destination in job.destinations:
        for outgoing in objects:
            if destination not in outgoing.not_for:
                owe(connection, at, job.job_id, destination, outgoing.sop_instance_uid, state)
    where = ", ".join(job.destinations)
    if held.held_by is not None:
        message = f"Kept back by {held.held_by}: {held.held_why}"
        history.move(connection, at, job.series_key, State.HELD, "held", message)
    elif job.shadow:
        message = f"Shadow mode: {len(objects)} objects for {where} are kept until they are released."
        history.move(connection, at, job.series_key, State.HELD, "shadow", message)
    else:
        message = f"{len(objects)} objects are being sent to {where}."
        history.move(connection, at, job.series_key, State.DELIVERING, "delivering", message)


def owe(
    connection: sa.Connection,
    at: float,
    job_id: str,
    destination: str,
    sop_instance_uid: str,
    state: DeliveryState = DeliveryState.PENDING,
) -> None:
    """Note that a destination is to be given an object."""
    connection.execute(
        schema.deliveries.insert().values(
            job_id=job_id,
            destination=destination,
            sop_instance_uid=sop_instance_uid,
            state=state.value,
            attempts=0,
            refusals=0,
            created_at=at,
            next_attempt_at=at,
        )
    )
