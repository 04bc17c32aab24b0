"""Numbers about the node as a whole, for metrics and alarms: a handful of queries, none of them over all objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from node.ledger import controls, schema, status
from node.ledger.controls import Switch
from node.ledger.database import Database
from node.ledger.states import OPEN_DELIVERIES, DeliveryState, JobState, ProofState, State

DAY_S = 86400.0
_RHYTHM_DAYS = 28
_SAMPLE = 1000
_OBJECTS = 5000
_S, _J, _D = schema.series, schema.jobs, schema.deliveries


@dataclass(frozen=True, slots=True)
class Lane:
    """What waits for one destination."""

    waiting: int
    """Objects to be sent, or to be asked about."""
    oldest_s: float
    stranded: int
    held: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The node at one moment."""

    at: float
    series: Mapping[State, int]
    instances: int
    refused: Mapping[str, int]
    """Series refused, by reason."""
    jobs_waiting: int
    oldest_job_s: float
    measured_day: int
    refused_day: int
    """Jobs of the last 24 hours, by their end."""
    stage_s: Mapping[str, tuple[float, ...]]
    """Durations of the last 24 hours in order of size: complete (first object to decision), wait, measure, deliver."""
    lanes: Mapping[str, Lane]


class FigureBook:
    """The part of the ledger that counts."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def now(self) -> Figures:
        """Return the figures of this moment."""
        with self._database.read() as connection:
            at = self._clock()
            waiting, oldest = _waiting_jobs(connection, at)
            ends = _ends(connection, at - DAY_S)
            return Figures(
                at=at,
                series=status.counts(connection),
                instances=int(connection.execute(sa.select(sa.func.sum(_S.c.instances))).scalar() or 0),
                refused=_refused(connection),
                jobs_waiting=waiting,
                oldest_job_s=oldest,
                measured_day=ends.get(JobState.MEASURED.value, 0),
                refused_day=ends.get(JobState.REFUSED.value, 0),
                stage_s=_stages(connection, at - DAY_S),
                lanes=_lanes(connection, at),
            )

    def arrivals(self) -> dict[str, list[float]]:
        """Return when series of each sender began to arrive, over four weeks, oldest first."""
        query = (
            sa.select(_S.c.sender, _S.c.first_received_at)
            .where(_S.c.last_received_at >= self._clock() - _RHYTHM_DAYS * DAY_S, _S.c.sender.is_not(None))
            .order_by(_S.c.first_received_at)
        )
        found: dict[str, list[float]] = {}
        with self._database.read() as connection:
            for sender, at in connection.execute(query):
                found.setdefault(sender, []).append(at)
        return found


def _waiting_jobs(connection: sa.Connection, at: float) -> tuple[int, float]:
    if controls.is_off(connection, Switch.MEASURING, controls.ALL):
        return int(_planned(connection)[0]), 0.0
    number, oldest = _planned(connection)
    return int(number), 0.0 if oldest is None else max(0.0, at - oldest)


def _planned(connection: sa.Connection) -> tuple[int, float | None]:
    query = (
        sa.select(sa.func.count(), sa.func.min(_J.c.planned_at))
        .join(_S, _S.c.series_key == _J.c.series_key)
        .where(_J.c.state.in_([JobState.PLANNED.value, JobState.RUNNING.value]), controls.served_sender())
    )
    row = connection.execute(query).one()
    return row[0], row[1]


def _refused(connection: sa.Connection) -> dict[str, int]:
    query = sa.select(_S.c.reason, sa.func.count()).where(_S.c.state == State.REFUSED.value).group_by(_S.c.reason)
    return {str(reason): int(number) for reason, number in connection.execute(query)}


def _ends(connection: sa.Connection, since: float) -> dict[str, int]:
    """Counted here: asked to group them, SQLite would walk through all jobs there ever were."""
    query = sa.select(_J.c.state).where(_J.c.finished_at >= since)
    return dict(Counter(connection.execute(query).scalars()))


def _stages(connection: sa.Connection, since: float) -> dict[str, tuple[float, ...]]:
    jobs = connection.execute(
        sa.select(_S.c.first_received_at, _J.c.planned_at, _J.c.started_at, _J.c.finished_at)
        .join(_S, _S.c.series_key == _J.c.series_key)
        .where(_J.c.finished_at >= since, _J.c.started_at.is_not(None))
        .order_by(_J.c.finished_at.desc())
        .limit(_SAMPLE)
    ).all()
    return {
        "complete": tuple(sorted(max(0.0, row.planned_at - row.first_received_at) for row in jobs)),
        "wait": tuple(sorted(max(0.0, row.started_at - row.planned_at) for row in jobs)),
        "measure": tuple(sorted(max(0.0, row.finished_at - row.started_at) for row in jobs)),
        "deliver": _sent(connection, since),
    }


def _sent(connection: sa.Connection, since: float) -> tuple[float, ...]:
    """From the first object of a job that a destination was owed to the last that it took."""
    query = (
        sa.select(_D.c.job_id, _D.c.destination, _D.c.created_at, _D.c.stored_at)
        .where(_D.c.stored_at >= since)
        .order_by(_D.c.stored_at.desc())
        .limit(_OBJECTS)
    )
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for job_id, destination, begun, ended in connection.execute(query):
        known = spans.get((job_id, destination), (begun, ended))
        spans[job_id, destination] = min(known[0], begun), max(known[1], ended)
    return tuple(sorted(max(0.0, ended - begun) for begun, ended in spans.values()))


def _lanes(connection: sa.Connection, at: float) -> dict[str, Lane]:
    kept = (DeliveryState.HELD.value, DeliveryState.STRANDED.value)
    interesting = sa.or_(
        _D.c.state.in_([state.value for state in OPEN_DELIVERIES]),
        _D.c.state.in_(kept),
        _D.c.proof == ProofState.WANTED.value,
    )
    query = (
        sa.select(_D.c.destination, _D.c.state, sa.func.count(), sa.func.min(_D.c.created_at))
        .where(interesting)
        .group_by(_D.c.destination, _D.c.state)
    )
    rows = connection.execute(query).all()
    lanes = {}
    for name in {row[0] for row in rows}:
        mine = {row[1]: (int(row[2]), float(row[3])) for row in rows if row[0] == name}
        sending = [value for state, value in mine.items() if state not in kept]
        oldest = min((since for _, since in sending), default=at)
        held, stranded = (mine.get(state, (0, at))[0] for state in kept)
        off = controls.is_off(connection, Switch.DESTINATION, name)
        lanes[name] = Lane(sum(number for number, _ in sending), 0.0 if off else max(0.0, at - oldest), stranded, held)
    return lanes
