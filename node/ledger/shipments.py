"""What is on its way to destinations.

Several hosts may deliver: who takes a shipment writes its name beside it, and nobody else takes it while it lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.ledger import controls, executors, history, schema, withdrawing
from node.ledger.controls import Switch
from node.ledger.records import Attempt, OutgoingDelivery, Shipment
from node.ledger.states import ACCEPTED_DELIVERIES, OPEN_DELIVERIES, DeliveryState, JobState, ProofState, State

_OPEN = [state.value for state in OPEN_DELIVERIES]
_ACCEPTED = [state.value for state in ACCEPTED_DELIVERIES]
_D = schema.deliveries
_TO_SEND = _D.c.state.in_(_OPEN)
_TO_PROVE = sa.and_(_D.c.state.in_(_ACCEPTED), _D.c.proof == ProofState.WANTED.value)


def due(connection: sa.Connection, destination: str, now: float, owner: str) -> str | None:
    """Return the longest-waiting job with an object that is to be sent to a destination now, by this process."""
    return _first(connection, destination, now, owner, _TO_SEND)


def due_proof(connection: sa.Connection, destination: str, now: float, owner: str) -> str | None:
    """Return the longest-waiting job that a destination is to be asked about now; all of it has been sent there."""
    other = _D.alias()
    unsent = sa.exists().where(
        other.c.job_id == _D.c.job_id, other.c.destination == destination, other.c.state.in_(_OPEN)
    )
    return _first(connection, destination, now, owner, sa.and_(_TO_PROVE, sa.not_(unsent)))


def _first(
    connection: sa.Connection, destination: str, now: float, owner: str, wanted: sa.ColumnElement[bool]
) -> str | None:
    if controls.is_off(connection, Switch.DESTINATION, destination):
        return None
    query = (
        sa.select(_D.c.job_id)
        .join(schema.jobs, schema.jobs.c.job_id == _D.c.job_id)
        .join(schema.series, schema.series.c.series_key == schema.jobs.c.series_key)
        .where(_D.c.destination == destination, wanted, _D.c.next_attempt_at <= now)
        .where(controls.served_sender(), sa.not_(_taken(connection, owner)))
        .order_by(_D.c.next_attempt_at, _D.c.created_at, _D.c.job_id)
        .limit(1)
    )
    return connection.execute(query).scalar()


def _taken(connection: sa.Connection, owner: str) -> sa.ColumnElement[bool]:
    """Whether another living process works on something of the same job for the same destination."""
    other = _D.alias()
    return sa.exists().where(
        other.c.job_id == _D.c.job_id,
        other.c.destination == _D.c.destination,
        other.c.lease_owner != owner,
        other.c.lease_owner.in_(executors.living(connection)),
    )


def take(connection: sa.Connection, destination: str, job_id: str, owner: str, *, proof: bool) -> Shipment | None:
    """Take what is open of one job for one destination; ``None`` when another process was faster."""
    wanted = _TO_PROVE if proof else _TO_SEND
    all_of_it = sa.and_(_D.c.destination == destination, _D.c.job_id == job_id)
    owners = set(connection.execute(sa.select(_D.c.lease_owner).where(all_of_it).with_for_update()).scalars())
    if (owners - {None, owner}) & set(connection.execute(executors.living(connection)).scalars()):
        return None
    connection.execute(_D.update().where(all_of_it, wanted).values(lease_owner=owner))
    shipment = _load(connection, destination, job_id, wanted)
    return shipment if shipment.objects else None


def release(connection: sa.Connection, owner: str) -> None:
    """Give back whatever this process has taken."""
    connection.execute(_D.update().where(_D.c.lease_owner == owner).values(lease_owner=None))


def next_due(connection: sa.Connection, destination: str) -> float | None:
    """Return when the next object is due at a destination."""
    if controls.is_off(connection, Switch.DESTINATION, destination):
        return None
    first = sa.select(sa.func.min(_D.c.next_attempt_at)).where(_D.c.destination == destination)
    moments = [connection.execute(first.where(wanted)).scalar() for wanted in (_TO_SEND, _TO_PROVE)]
    return min((at for at in moments if at is not None), default=None)


def _load(connection: sa.Connection, destination: str, job_id: str, wanted: sa.ColumnElement[bool]) -> Shipment:
    outputs, jobs, series, studies = schema.outputs, schema.jobs, schema.series, schema.studies
    same = sa.and_(outputs.c.job_id == _D.c.job_id, outputs.c.sop_instance_uid == _D.c.sop_instance_uid)
    query = (
        sa.select(_D, outputs.c.sop_class_uid, outputs.c.path, outputs.c.order, outputs.c.series_instance_uid)
        .join(outputs, same)
        .where(_D.c.destination == destination, _D.c.job_id == job_id, wanted)
        .order_by(outputs.c.order, _D.c.sop_instance_uid)
    )
    objects = tuple(_object(row) for row in connection.execute(query))
    about = connection.execute(
        sa.select(jobs.c.series_key, studies.c.study_instance_uid)
        .join(series, series.c.series_key == jobs.c.series_key)
        .join(studies, studies.c.study_key == series.c.study_key)
        .where(jobs.c.job_id == job_id)
    ).one()
    return Shipment(job_id, about.series_key, destination, objects, about.study_instance_uid)


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
        series_instance_uid=row.series_instance_uid,
        stored_at=row.stored_at,
        proof_attempts=row.proof_attempts,
    )


def _row(shipment: Shipment, sop_instance_uid: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        _D.c.job_id == shipment.job_id,
        _D.c.destination == shipment.destination,
        _D.c.sop_instance_uid == sop_instance_uid,
    )


def record(connection: sa.Connection, at: float, shipment: Shipment, sop_instance_uid: str, attempt: Attempt) -> None:
    """Record one attempt, and where the series stands after it. An object once accepted stays accepted."""
    refused = 1 if attempt.state in (DeliveryState.REFUSED, DeliveryState.FAILED) else 0
    values: dict[str, Any] = {
        "state": attempt.state.value,
        "attempts": _D.c.attempts + 1,
        "refusals": _D.c.refusals + refused,
        "last_attempt_at": at,
        "last_status": attempt.status,
        "last_error": attempt.error,
        "lease_owner": None,
    }
    if attempt.next_attempt_at is not None:
        values["next_attempt_at"] = attempt.next_attempt_at
    if attempt.state in ACCEPTED_DELIVERIES:
        values |= {"stored_at": at, "proof": None, "proof_attempts": 0}
        if attempt.prove_at is not None:
            values |= {"proof": ProofState.WANTED.value, "next_attempt_at": attempt.prove_at}
    still_wanted = [*_OPEN, DeliveryState.FAILED.value] if attempt.state not in ACCEPTED_DELIVERIES else None
    where = _D.c.state.in_(still_wanted) if still_wanted else _D.c.state.not_in(_ACCEPTED)
    changed = connection.execute(_D.update().where(_row(shipment, sop_instance_uid), where).values(values))
    if changed.rowcount and attempt.state is not DeliveryState.PENDING:
        _note(
            connection, at, shipment, f"object-{attempt.state.value}", sop_instance_uid, attempt.status, attempt.error
        )
    conclude(connection, at, shipment.job_id)


def postpone(connection: sa.Connection, shipment: Shipment, sop_instance_uid: str, until: float) -> None:
    """Hold an object back that has not been tried."""
    mine = sa.and_(_row(shipment, sop_instance_uid), _TO_SEND)
    connection.execute(_D.update().where(mine).values(next_attempt_at=until, lease_owner=None))


def record_proof(
    connection: sa.Connection,
    at: float,
    shipment: Shipment,
    proven: Sequence[str],
    absent: Mapping[str, float | None],
) -> None:
    """Record what a destination says it holds.

    ``absent``: what it does not hold, and when that is to be sent again; ``None``: that is given up.
    """
    for uid in proven:
        mine = sa.and_(_row(shipment, uid), _TO_PROVE)
        values: dict[str, Any] = {"proof": ProofState.PROVEN.value, "lease_owner": None, "last_error": None}
        if connection.execute(_D.update().where(mine).values(values)).rowcount:
            _note(connection, at, shipment, "object-proven", uid)
    for uid, again in absent.items():
        values = {"lease_owner": None, "last_error": "it was accepted, but the destination does not hold it"}
        values |= {"proof": ProofState.UNPROVEN.value} if again is None else _to_be_sent(again)
        if connection.execute(_D.update().where(_row(shipment, uid), _TO_PROVE).values(values)).rowcount:
            _note(connection, at, shipment, "object-not-held-there", uid)
    conclude(connection, at, shipment.job_id)


def _to_be_sent(at: float) -> dict[str, Any]:
    pending = DeliveryState.PENDING.value
    return {"state": pending, "proof": None, "stored_at": None, "last_status": None, "next_attempt_at": at}


def record_no_proof(connection: sa.Connection, at: float, shipment: Shipment, why: str, again: float | None) -> None:
    """Record that a destination could not be asked; ``None``: it is given up."""
    mine = sa.and_(_D.c.job_id == shipment.job_id, _D.c.destination == shipment.destination, _TO_PROVE)
    values: dict[str, Any] = {"proof_attempts": _D.c.proof_attempts + 1, "last_error": why, "lease_owner": None}
    values |= {"proof": ProofState.UNPROVEN.value} if again is None else {"next_attempt_at": again}
    connection.execute(_D.update().where(mine).values(values))
    conclude(connection, at, shipment.job_id)


def _note(
    connection: sa.Connection,
    at: float,
    shipment: Shipment,
    kind: str,
    uid: str,
    status: int | None = None,
    error: str | None = None,
) -> None:
    facts = {"destination": shipment.destination, "sop_instance_uid": uid, "status": status, "error": error}
    history.note(connection, at, shipment.series_key, kind, **facts)


def conclude(connection: sa.Connection, at: float, job_id: str) -> None:
    """Bring the series of a job to where its deliveries stand, if it is still this job that counts."""
    series, jobs = schema.series, schema.jobs
    row = connection.execute(
        sa.select(series.c.series_key, series.c.state, series.c.job_id, jobs.c.state.label("job_state"))
        .join(jobs, jobs.c.series_key == series.c.series_key)
        .where(jobs.c.job_id == job_id)
        .with_for_update(of=series)
    ).one()
    if row.job_id != job_id or row.state not in (State.DELIVERING, State.HELD, State.WITHDRAWN):
        return
    rows = connection.execute(sa.select(_D).where(_D.c.job_id == job_id)).all()
    standing = _standing(connection, job_id, row.job_state, rows)
    if standing is not None:
        history.move(connection, at, row.series_key, *standing)


def _standing(
    connection: sa.Connection, job_id: str, job_state: str, rows: Sequence[Any]
) -> tuple[State, str, str] | None:
    """State, reason and message that follow from a job's deliveries; ``None`` while something is on its way."""
    if any(row.state in _OPEN or (row.state in _ACCEPTED and row.proof == ProofState.WANTED) for row in rows):
        return None
    failed = _at(rows, DeliveryState.FAILED)
    if job_state == JobState.WITHDRAWN:
        return withdrawing.taken_back(connection, job_id, failed, rows)
    if held := _at(rows, DeliveryState.HELD):
        return State.HELD, "held", f"Kept back from {held}."
    if stranded := _at(rows, DeliveryState.STRANDED):
        message = f"{stranded} is no longer configured: `vbmd-node reroute` or `vbmd-node drop` what waits for it."
        return State.HELD, "destination-removed", message
    if failed:
        message = f"Given up: {failed} did not accept every object within the time allowed."
        return State.FAILED, "delivery-given-up", message
    if unproven := ", ".join(sorted({row.destination for row in rows if row.proof == ProofState.UNPROVEN})):
        message = f"{unproven} accepted every object, but did not confirm within the time allowed that it holds them."
        return State.FAILED, "delivery-unproven", message
    if not any(row.state in _ACCEPTED for row in rows):
        return State.MEASURED, "dropped", "An operator dropped its deliveries; the result is kept."
    return (State.DELIVERED, *_delivered(connection, job_id, rows))


def _at(rows: Sequence[Any], state: DeliveryState) -> str:
    return ", ".join(sorted({row.destination for row in rows if row.state == state}))


def _delivered(connection: sa.Connection, job_id: str, rows: Sequence[Any]) -> tuple[str, str]:
    jobs = schema.jobs
    job = connection.execute(
        sa.select(jobs.c.refusal_reason, jobs.c.refusal_message).where(jobs.c.job_id == job_id)
    ).one()
    took = {row.destination for row in rows if row.state in _ACCEPTED}
    where = "1 destination" if len(took) == 1 else f"{len(took)} destinations"
    warned = sum(row.state == DeliveryState.STORED_WITH_WARNING for row in rows)
    also = f" {warned} of them with a warning." if warned else ""
    dropped = sorted({row.destination for row in rows} - took)
    also += f" Nothing was sent to {', '.join(dropped)}." if dropped else ""
    if job.refusal_reason is None:
        return "measured", f"Every object was accepted by {where}.{also}"
    return job.refusal_reason, f"Not measured, and {where} told so: {job.refusal_message}"
