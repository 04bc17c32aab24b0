"""What an operator does to a series or a destination; every act is noted with who did it and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.domain.job import OutgoingObject
from node.errors import NodeError
from node.ledger import history, jobs, schema, shipments
from node.ledger.database import Database
from node.ledger.states import (
    ACCEPTED_DELIVERIES,
    OPEN_DELIVERIES,
    WAITING_DELIVERIES,
    DeliveryState,
    JobState,
    State,
)
from node.ledger.withdrawing import sentence

_S, _J, _D, _O = schema.series, schema.jobs, schema.deliveries, schema.outputs
_DECIDED_ANEW = (State.IGNORED, State.REFUSED, State.MEASURED)


class NotPossible(NodeError):
    """What was asked for does not fit the state of the series; the message says why."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What may lie at destinations of one job: for a note that takes it back."""

    job_id: str
    series_key: str
    paths: tuple[Path, ...]
    destinations: tuple[str, ...]
    folder: Path


class OperatorBook:
    """The part of the ledger that operators act through."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def find(self, text: str) -> str:
        """Return the key of the series that a Series Instance UID, a key or the beginning of a key names.

        Raises ``NotPossible`` when there is none, or more than one.
        """
        key = _S.c.series_key
        named = sa.or_(_S.c.series_instance_uid == text, key == text)
        if len(text) >= 4 and text.isalnum():
            named = sa.or_(named, key.startswith(text, autoescape=True))
        with self._database.read() as connection:
            found = list(connection.execute(sa.select(key).where(named).limit(2)).scalars())
        if len(found) != 1:
            what = "more than one series" if found else "no series"
            raise NotPossible(f"There is {what} {text}; `vbmd-node status` lists them.")
        return str(found[0])

    def hold(self, series_key: str, by: str, why: str) -> int:
        """Keep the results of a series back, those to come as well; returns how many objects lie somewhere already."""
        with self._database.write() as connection:
            row, now = _series(connection, series_key), self._clock()
            if row.state in (State.DELIVERED, State.WITHDRAWN):
                raise NotPossible(f"It is {row.state} already; `vbmd-node withdraw` takes a report back.")
            held = {"held_at": now, "held_by": by, "held_why": why}
            connection.execute(_S.update().where(_S.c.series_key == series_key).values(held))
            waiting = [*OPEN_DELIVERIES, DeliveryState.STRANDED, DeliveryState.FAILED]
            kept = _set(connection, row.job_id, waiting, DeliveryState.HELD)
            there = _accepted(connection, row.job_id)
            history.note(connection, now, series_key, "held", by=by, why=why, objects=kept, stored_before=there or None)
            if kept or row.state == State.HELD:
                message = f"Kept back by {by}: {sentence(why)}"
                message += f" {there} of its objects had been stored before." if there else ""
                history.move(connection, now, series_key, State.HELD, "held", message)
            return there

    def release(self, series_key: str, by: str, why: str) -> int:
        """Let go what was kept back, in shadow mode or by an operator; returns how many objects are sent now."""
        with self._database.write() as connection:
            row, now = _series(connection, series_key), self._clock()
            if row.state != State.HELD and row.held_by is None:
                raise NotPossible(f"It is {row.state}, and not held.")
            free = {"held_at": None, "held_by": None, "held_why": None}
            connection.execute(_S.update().where(_S.c.series_key == series_key).values(free))
            sent = _set(connection, row.job_id, [DeliveryState.HELD], DeliveryState.PENDING, now)
            history.note(connection, now, series_key, "released", by=by, why=why, objects=sent)
            if sent:
                message = f"Released by {by}: {sent} objects are being sent."
                history.move(connection, now, series_key, State.DELIVERING, "released", message)
            elif row.state == State.HELD:
                shipments.conclude(connection, now, row.job_id)
            return sent

    def retry(self, series_key: str, by: str, why: str) -> str:
        """Do again what failed or was decided otherwise than is wanted now; returns what will happen."""
        with self._database.write() as connection:
            row, now = _series(connection, series_key), self._clock()
            what = _retry(connection, now, row)
            history.note(connection, now, series_key, "retried", by=by, why=why, what=what)
            return what

    def sent(self, series_key: str) -> Sent:
        """Return what of the current report may lie at which destinations. Raises ``NotPossible`` without a report."""
        with self._database.read() as connection:
            row = _series(connection, series_key)
            if row.job_id is None or row.state not in _WITHDRAWABLE:
                raise NotPossible(f"It is {row.state}: there is no report to take back.")
            self._refuse_if_removed(connection, row.job_id)
            outputs = connection.execute(sa.select(_O.c.path).where(_O.c.job_id == row.job_id).order_by(_O.c.order))
            paths = tuple(Path(path) for path in outputs.scalars())
            tried = sa.or_(_D.c.attempts > 0, _D.c.lease_owner.is_not(None))
            there = connection.execute(sa.select(_D.c.destination).where(_D.c.job_id == row.job_id, tried).distinct())
            document = connection.execute(sa.select(_J.c.document).where(_J.c.job_id == row.job_id)).scalar_one()
            return Sent(row.job_id, series_key, paths, tuple(sorted(there.scalars())), Path(document["out_dir"]))

    def _refuse_if_removed(self, connection: sa.Connection, job_id: str) -> None:
        if connection.execute(sa.select(_J.c.kept).where(_J.c.job_id == job_id)).scalar() is not False:
            return
        took = sa.select(_D.c.destination).where(_D.c.job_id == job_id, _D.c.state.in_(_values(ACCEPTED_DELIVERIES)))
        there = ", ".join(sorted(set(connection.execute(took).scalars()))) or "no archive"
        raise NotPossible(
            "Its report was removed here by age ([retention]), and nothing that names the patient is kept: no note can "
            f"be written. It lies at {there}: reject it there; `vbmd-node history` shows the UIDs of its objects."
        )

    def withdraw(self, sent: Sent, by: str, why: str, note: OutgoingObject | None) -> None:
        """Take the current report back: nothing more of it is sent, and who may have it is sent ``note``."""
        with self._database.write() as connection:
            row, now = _series(connection, sent.series_key), self._clock()
            if row.job_id != sent.job_id or row.state not in _WITHDRAWABLE:
                raise NotPossible("The series changed meanwhile; look again.")
            connection.execute(_J.update().where(_J.c.job_id == sent.job_id).values(state=JobState.WITHDRAWN.value))
            _set(connection, sent.job_id, [*WAITING_DELIVERIES, DeliveryState.FAILED], DeliveryState.CANCELLED)
            connection.execute(_D.update().where(_D.c.job_id == sent.job_id).values(proof=None))
            uid = note.sop_instance_uid if note else None
            history.note(connection, now, sent.series_key, "withdrawn", by=by, why=why, sop_instance_uid=uid)
            told = ", ".join(sent.destinations)
            message = f"Taken back by {by}: {sentence(why)}" + (f" {told} is being told." if note else "")
            history.move(connection, now, sent.series_key, State.WITHDRAWN, "withdrawn", message)
            if note is not None:
                jobs.keep_outputs(connection, sent.job_id, [note])
                for destination in sent.destinations:
                    jobs.owe(connection, now, sent.job_id, destination, note.sop_instance_uid)

    def strand(self, configured: Sequence[str]) -> dict[str, int]:
        """Mark what waits for destinations that are not configured (any more), and take up what is configured again.

        Returns how many objects wait, by destination that is gone.
        """
        with self._database.write() as connection:
            now = self._clock()
            gone = sa.and_(_D.c.state.in_(_values(OPEN_DELIVERIES)), _D.c.destination.not_in(configured))
            back = sa.and_(_D.c.state == DeliveryState.STRANDED.value, _D.c.destination.in_(configured))
            for condition, state in ((gone, DeliveryState.STRANDED), (back, DeliveryState.PENDING)):
                touched = connection.execute(sa.select(_D.c.job_id, _D.c.destination).where(condition).distinct()).all()
                values: dict[str, Any] = {"state": state.value, "lease_owner": None}
                values |= {"next_attempt_at": now, "created_at": now} if state is DeliveryState.PENDING else {}
                connection.execute(_D.update().where(condition).values(values))
                for job_id, destination in touched:
                    _note_of_job(connection, now, job_id, f"delivery-{state.value}", destination=destination)
                    _settle(connection, now, job_id)
            waiting = (
                sa.select(_D.c.destination, sa.func.count())
                .where(_D.c.state == DeliveryState.STRANDED.value)
                .group_by(_D.c.destination)
            )
            return {str(row[0]): int(row[1]) for row in connection.execute(waiting)}

    def reroute(self, origin: str, target: str, by: str, why: str) -> int:
        """Send what waits for one destination to another one; returns how many objects."""
        return self._redirect(origin, target, by, why)

    def drop(self, destination: str, by: str, why: str) -> int:
        """Send what waits for a destination nowhere; returns how many objects."""
        return self._redirect(destination, None, by, why)

    def _redirect(self, origin: str, target: str | None, by: str, why: str) -> int:
        with self._database.write() as connection:
            now = self._clock()
            failed = DeliveryState.FAILED
            waiting = sa.and_(_D.c.destination == origin, _D.c.state.in_(_values((*WAITING_DELIVERIES, failed))))
            rows = connection.execute(sa.select(_D).where(waiting)).all()
            kept = f"dropped by {by}: {why}" if target is None else f"sent to {target} instead by {by}: {why}"
            values = {"state": DeliveryState.CANCELLED.value, "last_error": kept, "lease_owner": None}
            connection.execute(_D.update().where(waiting).values(values))
            for row in rows if target is not None else ():
                held = row.state == DeliveryState.HELD
                _owe_once(connection, now, row, str(target), DeliveryState.HELD if held else DeliveryState.PENDING)
            for job_id in sorted({row.job_id for row in rows}):
                facts = {"destination": origin, "instead": target, "by": by, "why": why}
                _note_of_job(connection, now, job_id, "delivery-redirected", **facts)
                _settle(connection, now, job_id)
            return len(rows)


_WITHDRAWABLE = (State.DELIVERED, State.DELIVERING, State.FAILED, State.HELD, State.MEASURED, State.REFUSED)


def _values(states: Sequence[DeliveryState]) -> list[str]:
    return [state.value for state in states]


def _series(connection: sa.Connection, series_key: str) -> Any:
    return connection.execute(sa.select(_S).where(_S.c.series_key == series_key).with_for_update()).one()


def _accepted(connection: sa.Connection, job_id: str | None) -> int:
    """How many objects of a job some destination has."""
    there = sa.select(sa.func.count(_D.c.sop_instance_uid.distinct()))
    there = there.where(_D.c.job_id == job_id, _D.c.state.in_(_values(ACCEPTED_DELIVERIES)))
    return int(connection.execute(there).scalar_one())


def _set(
    connection: sa.Connection,
    job_id: str | None,
    origin: Sequence[DeliveryState],
    state: DeliveryState,
    due_at: float | None = None,
) -> int:
    """Bring deliveries of a job from some states into another; ``due_at`` starts their time anew."""
    values: dict[str, Any] = {"state": state.value, "lease_owner": None}
    if due_at is not None:
        values |= {"next_attempt_at": due_at, "created_at": due_at}
    mine = sa.and_(_D.c.job_id == job_id, _D.c.state.in_(_values(origin)))
    return connection.execute(_D.update().where(mine).values(values)).rowcount


def _retry(connection: sa.Connection, now: float, row: Any) -> str:
    if row.state in (State.FAILED, State.DELIVERING):
        sent = _set(connection, row.job_id, [*OPEN_DELIVERIES, DeliveryState.FAILED], DeliveryState.PENDING, now)
        lost = sa.and_(_D.c.job_id == row.job_id, _D.c.proof.is_not(None), _D.c.state.in_(_values(ACCEPTED_DELIVERIES)))
        asked = connection.execute(
            _D.update().where(lost, _D.c.proof != "proven").values(proof="wanted", next_attempt_at=now, stored_at=now)
        ).rowcount
        message = f"{sent} objects are being sent again." if sent else f"{asked} objects are being asked about again."
        history.move(connection, now, row.series_key, State.DELIVERING, "delivering", message)
        return message
    if row.state in (State.READY, State.MEASURING):
        return "It is waiting to be measured, or being measured: nothing to do again."
    if row.state == State.RECEIVING:
        return "It is still arriving: it is decided when it has been quiet."
    if row.state not in _DECIDED_ANEW:
        raise NotPossible(f"It is {row.state}: there is nothing to do again.{_HINTS.get(row.state, '')}")
    connection.execute(_S.update().where(_S.c.series_key == row.series_key).values(reconsider=True))
    connection.execute(
        schema.studies.update().where(schema.studies.c.study_key == row.study_key).values(undecided=True)
    )
    return "It is decided again by the rules in force, and measured where they say so."


_HINTS = {
    State.HELD: " `vbmd-node release` sends it.",
    State.WITHDRAWN: " A withdrawn report does not come back.",
}


def _note_of_job(connection: sa.Connection, at: float, job_id: str, kind: str, **detail: object) -> None:
    key = connection.execute(sa.select(_J.c.series_key).where(_J.c.job_id == job_id)).scalar_one()
    history.note(connection, at, key, kind, **detail)


def _settle(connection: sa.Connection, at: float, job_id: str) -> None:
    """Bring a series to where its deliveries stand after an operator, or a configuration, moved them."""
    shipments.conclude(connection, at, job_id)
    row = connection.execute(sa.select(_S).where(_S.c.job_id == job_id).with_for_update()).first()
    waiting = sa.select(sa.func.count()).where(_D.c.job_id == job_id, _D.c.state.in_(_values(OPEN_DELIVERIES)))
    if row is not None and row.state in (State.HELD, State.FAILED) and connection.execute(waiting).scalar_one():
        history.move(connection, at, row.series_key, State.DELIVERING, "delivering", "Its objects are being sent.")


def _owe_once(connection: sa.Connection, at: float, row: Any, destination: str, state: DeliveryState) -> None:
    there = sa.and_(
        _D.c.job_id == row.job_id, _D.c.destination == destination, _D.c.sop_instance_uid == row.sop_instance_uid
    )
    if connection.execute(sa.select(_D.c.state).where(there)).first() is None:
        jobs.owe(connection, at, row.job_id, destination, row.sop_instance_uid, state)
