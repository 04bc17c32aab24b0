"""What is on its way to destinations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.ledger import history, schema
from node.ledger.records import Attempt, OutgoingDelivery, Shipment
from node.ledger.states import ACCEPTED_DELIVERIES, OPEN_DELIVERIES, DeliveryState, State

_OPEN = [state.value for state in OPEN_DELIVERIES]
_ACCEPTED = [state.value for state in ACCEPTED_DELIVERIES]


def due(connection: sa.Connection, destination: str, now: float) -> Shipment | None:
    """Return the longest-waiting job with an object that is due at a destination, with all it has still to be given."""
    table = schema.deliveries
    query = (
        sa.select(table.c.job_id)
        .where(table.c.destination == destination, table.c.state.in_(_OPEN), table.c.next_attempt_at <= now)
        .order_by(table.c.next_attempt_at, table.c.created_at, table.c.job_id)
        .limit(1)
    )
    job_id = connection.execute(query).scalar()
    return None if job_id is None else _load(connection, destination, job_id)


def next_due(connection: sa.Connection, destination: str) -> float | None:
    """Return when the next object is due at a destination."""
    table = schema.deliveries
    query = sa.select(sa.func.min(table.c.next_attempt_at)).where(
        table.c.destination == destination, table.c.state.in_(_OPEN)
    )
    return connection.execute(query).scalar()


def _load(connection: sa.Connection, destination: str, job_id: str) -> Shipment:
    table, outputs = schema.deliveries, schema.outputs
    same = sa.and_(outputs.c.job_id == table.c.job_id, outputs.c.sop_instance_uid == table.c.sop_instance_uid)
    query = (
        sa.select(table, outputs.c.sop_class_uid, outputs.c.path, outputs.c.order)
        .join(outputs, same)
        .where(table.c.destination == destination, table.c.job_id == job_id, table.c.state.in_(_OPEN))
        .order_by(outputs.c.order, table.c.sop_instance_uid)
    )
    objects = tuple(_object(row) for row in connection.execute(query))
    series_key = connection.execute(
        sa.select(schema.jobs.c.series_key).where(schema.jobs.c.job_id == job_id)
    ).scalar_one()
    return Shipment(job_id, series_key, destination, objects)


def _object(row: Any) -> OutgoingDelivery:
    return OutgoingDelivery(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        path=Path(row.path),
        order=row.order,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        refusals=row.refusals,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
    )


def record(connection: sa.Connection, at: float, shipment: Shipment, sop_instance_uid: str, attempt: Attempt) -> None:
    """Record one attempt, and where the series stands after it. An object once accepted stays accepted."""
    table = schema.deliveries
    refused = 1 if attempt.state in (DeliveryState.REFUSED, DeliveryState.FAILED) else 0
    values: dict[str, Any] = {
        "state": attempt.state.value,
        "attempts": table.c.attempts + 1,
        "refusals": table.c.refusals + refused,
        "last_attempt_at": at,
        "last_status": attempt.status,
        "last_error": attempt.error,
    }
    if attempt.next_attempt_at is not None:
        values["next_attempt_at"] = attempt.next_attempt_at
    changed = connection.execute(
        table.update()
        .where(
            table.c.job_id == shipment.job_id,
            table.c.destination == shipment.destination,
            table.c.sop_instance_uid == sop_instance_uid,
            table.c.state.not_in(_ACCEPTED),
        )
        .values(values)
    )
    if changed.rowcount and attempt.state is not DeliveryState.PENDING:
        history.note(
            connection,
            at,
            shipment.series_key,
            f"object-{attempt.state.value}",
            destination=shipment.destination,
            sop_instance_uid=sop_instance_uid,
            status=attempt.status,
            error=attempt.error,
        )
    _conclude(connection, at, shipment)


def postpone(connection: sa.Connection, shipment: Shipment, sop_instance_uid: str, until: float) -> None:
    """Hold an object back that has not been tried."""
    table = schema.deliveries
    connection.execute(
        table.update()
        .where(
            table.c.job_id == shipment.job_id,
            table.c.destination == shipment.destination,
            table.c.sop_instance_uid == sop_instance_uid,
            table.c.state.in_(_OPEN),
        )
        .values(next_attempt_at=until)
    )


def _conclude(connection: sa.Connection, at: float, shipment: Shipment) -> None:
    series, table = schema.series, schema.deliveries
    row = connection.execute(
        sa.select(series.c.state, series.c.job_id).where(series.c.series_key == shipment.series_key)
    ).one()
    if row.job_id != shipment.job_id or row.state != State.DELIVERING:
        return
    query = sa.select(table.c.state, table.c.destination).where(table.c.job_id == shipment.job_id)
    rows = connection.execute(query).all()
    if any(entry.state in _OPEN for entry in rows):
        return
    failed = sorted({entry.destination for entry in rows if entry.state == DeliveryState.FAILED})
    if failed:
        message = f"Given up: {', '.join(failed)} did not accept every object within the time allowed."
        history.move(connection, at, shipment.series_key, State.FAILED, "delivery-given-up", message)
        return
    reason, message = _delivered(connection, shipment.job_id, len({entry.destination for entry in rows}))
    history.move(connection, at, shipment.series_key, State.DELIVERED, reason, message)


def _delivered(connection: sa.Connection, job_id: str, destinations: int) -> tuple[str, str]:
    jobs = schema.jobs
    job = connection.execute(
        sa.select(jobs.c.refusal_reason, jobs.c.refusal_message).where(jobs.c.job_id == job_id)
    ).one()
    where = "1 destination" if destinations == 1 else f"{destinations} destinations"
    if job.refusal_reason is None:
        return "measured", f"Every object was accepted by {where}."
    return job.refusal_reason, f"Not measured, and {where} told so: {job.refusal_message}"
