"""Quiet studies and what is decided about their series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.domain.instance import Series, StoredInstance
from node.ledger import codec, history, keys, lineage, schema
from node.ledger.records import Choice, PlannedJob, SeriesRecord, StudyRecord
from node.ledger.states import WAITING_DELIVERIES, DeliveryState, JobState, State

_TARGET = {"measure": State.READY, "ignore": State.IGNORED, "refuse": State.REFUSED}
_DONE = (JobState.RUNNING, JobState.MEASURED, JobState.REFUSED, JobState.WITHDRAWN)


def quiet(connection: sa.Connection, before: float) -> list[str]:
    """Return the keys of undecided studies whose last instance came before a moment, oldest first."""
    table = schema.studies
    query = (
        sa.select(table.c.study_key)
        .where(table.c.undecided, table.c.last_received_at <= before)
        .order_by(table.c.last_received_at)
    )
    return list(connection.execute(query).scalars())


def load(connection: sa.Connection, study_key: str) -> StudyRecord:
    """Return a study with all its series and the instances that may be measured."""
    studies = schema.studies
    study = connection.execute(sa.select(studies).where(studies.c.study_key == study_key)).one()
    rows = connection.execute(sa.select(schema.series).where(schema.series.c.study_key == study_key)).all()
    settled = _settled_sets(connection, study_key)
    records = [_series(connection, study.study_instance_uid, row, settled.get(row.series_key)) for row in rows]
    return StudyRecord(key=study_key, revision=study.revision, series=tuple(records))


def _settled_sets(connection: sa.Connection, study_key: str) -> dict[str, str]:
    """Return, by series, the set of instances whose measurement is under way or done."""
    series, jobs = schema.series, schema.jobs
    query = (
        sa.select(series.c.series_key, jobs.c.instance_set)
        .join(jobs, jobs.c.job_id == series.c.job_id)
        .where(series.c.study_key == study_key, jobs.c.state.in_([state.value for state in _DONE]))
    )
    return {row.series_key: row.instance_set for row in connection.execute(query)}


def _series(connection: sa.Connection, study_uid: str, row: Any, settled_set: str | None) -> SeriesRecord:
    table = schema.instances
    query = (
        sa.select(table.c.id, table.c.path, table.c.digest, table.c.header)
        .where(table.c.series_key == row.series_key, sa.not_(table.c.variant))
        .order_by(table.c.id)
    )
    found = connection.execute(query).all()
    chosen = keys.instance_set(instance.digest for instance in found)
    return SeriesRecord(
        key=row.series_key,
        state=State(row.state),
        job_id=row.job_id,
        instance_set=chosen,
        instance_ids=tuple(instance.id for instance in found),
        series=Series(study_uid, row.series_instance_uid, tuple(stored(instance) for instance in found), row.sender),
        settled=settled_set == chosen and not row.reconsider,
    )


def stored(row: Any) -> StoredInstance:
    """Return an instance from its row."""
    return StoredInstance(path=Path(row.path), header=codec.load_header(row.header), digest=row.digest)


def settle(
    connection: sa.Connection, at: float, study: StudyRecord, config_version: str, choices: Sequence[Choice]
) -> bool:
    """Write what was decided about a study, and plan its jobs; False when that is no longer to be done.

    Instances arrived since it was read, or another host was faster.
    """
    table = schema.studies
    current = connection.execute(
        table.update()
        .where(table.c.study_key == study.key, table.c.revision == study.revision, table.c.undecided)
        .values(undecided=False)
    )
    if not current.rowcount:
        return False
    for choice in choices:
        _record_decision(connection, at, config_version, choice)
        if not choice.record.settled:
            _apply(connection, at, config_version, choice)
        elif choice.record.state is State.RECEIVING:
            raise AssertionError("a series with late instances cannot be settled")
    return True


def _record_decision(connection: sa.Connection, at: float, config_version: str, choice: Choice) -> None:
    decision = choice.decision
    connection.execute(
        schema.decisions.insert().values(
            series_key=choice.record.key,
            decided_at=at,
            config_version=config_version,
            instance_set=choice.record.instance_set,
            action=decision.action,
            rule=decision.rule,
            reason=decision.reason,
            message=decision.message,
            verdicts=codec.dump_verdicts(decision.verdicts),
        )
    )


def _apply(connection: sa.Connection, at: float, config_version: str, choice: Choice) -> None:
    decision, record = choice.decision, choice.record
    job_id = choice.planned.job_id if choice.planned else None
    if record.job_id is not None and record.job_id != job_id:
        _supersede(connection, at, record.key, record.job_id)
    if choice.planned is not None:
        _plan(connection, at, config_version, choice.planned, record)
    target = _TARGET[decision.action]
    columns = {"rule": decision.rule, "job_id": job_id, "reconsider": False}
    history.move(connection, at, record.key, target, decision.reason, decision.message, **columns)


def _supersede(connection: sa.Connection, at: float, series_key: str, job_id: str) -> None:
    """Take back what an older job of a series has not done or sent yet."""
    jobs, deliveries = schema.jobs, schema.deliveries
    connection.execute(
        jobs.update()
        .where(jobs.c.job_id == job_id, jobs.c.state == JobState.PLANNED.value)
        .values(state=JobState.SUPERSEDED.value)
    )
    notes = sa.select(schema.outputs.c.sop_instance_uid).where(
        schema.outputs.c.job_id == job_id, schema.outputs.c.kind == "withdrawal"
    )
    cancelled = connection.execute(
        deliveries.update()
        .where(deliveries.c.job_id == job_id, deliveries.c.state.in_([state.value for state in WAITING_DELIVERIES]))
        .where(deliveries.c.sop_instance_uid.not_in(notes))
        .values(state=DeliveryState.CANCELLED.value)
    )
    history.note(connection, at, series_key, "job-superseded", job_id=job_id, deliveries=cancelled.rowcount)


def _plan(connection: sa.Connection, at: float, version: str, planned: PlannedJob, record: SeriesRecord) -> None:
    jobs = schema.jobs
    exists = connection.execute(sa.select(jobs.c.state).where(jobs.c.job_id == planned.job_id)).scalar()
    if exists is not None:
        again(connection, planned.job_id)
        return
    connection.execute(
        jobs.insert().values(
            job_id=planned.job_id,
            series_key=record.key,
            instance_set=record.instance_set,
            instance_ids=list(record.instance_ids),
            config_version=version,
            rule=planned.job.rule,
            document=codec.dump_job(planned.job),
            destinations=list(planned.destinations),
            predecessor=lineage.last_reported(connection, record.key, but=planned.job_id),
            state=JobState.PLANNED.value,
            starts=0,
            planned_at=at,
            priority=planned.priority,
            shadow=planned.shadow,
        )
    )


def again(connection: sa.Connection, job_id: str) -> None:
    """Plan a job once more that is done, or was superseded: as another turn, with what it left forgotten."""
    jobs = schema.jobs
    done = jobs.c.state.not_in([JobState.PLANNED.value, JobState.RUNNING.value])
    planned = {"state": JobState.PLANNED.value, "turn": jobs.c.turn + 1, "starts": 0, "refusal_reason": None}
    if connection.execute(jobs.update().where(jobs.c.job_id == job_id, done).values(planned)).rowcount:
        for table in (schema.deliveries, schema.outputs):
            connection.execute(table.delete().where(table.c.job_id == job_id))
