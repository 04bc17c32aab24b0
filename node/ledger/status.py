"""What the operator sees: every series and what became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.ledger import schema
from node.ledger.records import DestinationStatus, Event, SeriesStatus
from node.ledger.states import ACCEPTED_DELIVERIES, OPEN_DELIVERIES, DeliveryState, ProofState, State

_ACCEPTED = {state.value for state in ACCEPTED_DELIVERIES}
_OPEN = {state.value for state in OPEN_DELIVERIES}


def rows(connection: sa.Connection, limit: int | None, states: tuple[State, ...]) -> list[SeriesStatus]:
    """Return series, the latest arrival first."""
    series, studies, jobs = schema.series, schema.studies, schema.jobs
    query = (
        sa.select(series, studies.c.study_instance_uid, jobs.c.predecessor)
        .join(studies, studies.c.study_key == series.c.study_key)
        .outerjoin(jobs, jobs.c.job_id == series.c.job_id)
        .order_by(series.c.last_received_at.desc(), series.c.series_key)
        .limit(limit)
    )
    if states:
        query = query.where(series.c.state.in_([state.value for state in states]))
    found = connection.execute(query).all()
    shipped = _deliveries(connection, [row.job_id for row in found if row.job_id])
    return [_status(row, shipped.get(row.job_id, ())) for row in found]


def counts(connection: sa.Connection) -> dict[State, int]:
    """Return how many series are in each state."""
    table = schema.series
    query = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
    found = {State(state): number for state, number in connection.execute(query)}
    return {state: found.get(state, 0) for state in State}


def stored_at(connection: sa.Connection, series_key: str) -> dict[str, Path]:
    """Return where the objects of a series lie, by SOP Instance UID."""
    table = schema.instances
    query = sa.select(table.c.sop_instance_uid, table.c.path).where(
        table.c.series_key == series_key, sa.not_(table.c.variant), table.c.path != ""
    )
    return {str(uid): Path(path) for uid, path in connection.execute(query)}


def objects_at(connection: sa.Connection, sop_instance_uids: Sequence[str]) -> dict[str, Path]:
    """Return where objects lie that were received, by SOP Instance UID; of several variants the latest."""
    table = schema.instances
    query = (
        sa.select(table.c.sop_instance_uid, table.c.path)
        .where(table.c.sop_instance_uid.in_(list(sop_instance_uids)), table.c.path != "")
        .order_by(table.c.id)
    )
    return {str(uid): Path(path) for uid, path in connection.execute(query)}


def events(connection: sa.Connection, series_key: str | None) -> list[Event]:
    """Return the history, of one series or of the whole node, oldest first."""
    table = schema.events
    query = sa.select(table).order_by(table.c.id)
    if series_key is not None:
        query = query.where(table.c.series_key == series_key)
    return [Event(row.at, row.series_key, row.kind, row.detail) for row in connection.execute(query)]


def results(connection: sa.Connection) -> list[dict[str, object]]:
    """Return the kept result of every current job, oldest first."""
    jobs, series = schema.jobs, schema.series
    query = (
        sa.select(jobs.c.result)
        .join(series, series.c.job_id == jobs.c.job_id)
        .where(jobs.c.finished_at.is_not(None))
        .order_by(jobs.c.finished_at)
    )
    return [result for result in connection.execute(query).scalars() if result is not None]


def _deliveries(connection: sa.Connection, job_ids: list[str]) -> dict[str, tuple[DestinationStatus, ...]]:
    if not job_ids:
        return {}
    table = schema.deliveries
    grouped: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for start in range(0, len(job_ids), 500):
        chosen = job_ids[start : start + 500]
        query = sa.select(table).where(table.c.job_id.in_(chosen)).order_by(table.c.job_id, table.c.destination)
        for row in connection.execute(query):
            grouped[row.job_id, row.destination].append(row)
    statuses: defaultdict[str, list[DestinationStatus]] = defaultdict(list)
    for (job_id, destination), entries in grouped.items():
        statuses[job_id].append(_destination(destination, entries))
    return {job_id: tuple(found) for job_id, found in statuses.items()}


def _destination(destination: str, entries: list[Any]) -> DestinationStatus:
    entries = [entry for entry in entries if entry.state != DeliveryState.CANCELLED] or entries
    waiting = [entry for entry in entries if entry.state not in _ACCEPTED]
    open_ones = [entry for entry in entries if entry.state in _OPEN or entry.proof == ProofState.WANTED]
    unsure = [entry for entry in entries if entry.proof in (ProofState.WANTED, ProofState.UNPROVEN)]
    latest = max(waiting or unsure, key=lambda entry: entry.last_attempt_at or 0.0, default=None)
    states, proofs = {entry.state for entry in entries}, {entry.proof for entry in entries}
    return DestinationStatus(
        destination=destination,
        stored=len(entries) - len(waiting),
        total=len(entries),
        last_status=latest.last_status if latest and latest in waiting else None,
        last_error=latest.last_error if latest else None,
        next_attempt_at=min((entry.next_attempt_at for entry in open_ones), default=None),
        warned=sum(entry.state == DeliveryState.STORED_WITH_WARNING for entry in entries),
        proven=sum(entry.proof == ProofState.PROVEN for entry in entries),
        proof=next((one.value for one in _PROOFS if one in proofs), None),
        waits=next((one.value for one in (DeliveryState.HELD, DeliveryState.STRANDED) if one in states), None),
    )


_PROOFS = (ProofState.WANTED, ProofState.UNPROVEN, ProofState.PROVEN)
"""The first that applies to an object is said of all."""


def _status(row: Any, deliveries: tuple[DestinationStatus, ...]) -> SeriesStatus:
    return SeriesStatus(
        series_key=row.series_key,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        sender=row.sender,
        modality=row.modality,
        description=row.description,
        instances=row.instances,
        last_received_at=row.last_received_at,
        state=State(row.state),
        reason=row.reason,
        message=row.message,
        state_since=row.state_since,
        rule=row.rule,
        job_id=row.job_id,
        deliveries=deliveries,
        variants=row.variants,
        replaces=row.predecessor,
        held=f"{row.held_by}: {row.held_why}" if row.held_by else None,
    )
