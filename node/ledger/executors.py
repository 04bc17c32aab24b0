"""Processes that work on this ledger: which are alive, and who takes over from one that is not.

Times are the database server's where there is one, so hosts whose clocks differ agree on who is alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from node.ledger import history, keys, schema
from node.ledger.database import Database

BEAT_S = 2.0
"""Between two signs of life."""
DEAD_AFTER_S = 10.0
"""Without one for this long a process counts as dead: five beats, so that a short hitch is forgiven."""

executors = sa.Table(
    "executors",
    schema.metadata,
    sa.Column("executor_id", sa.String(96), primary_key=True),
    sa.Column("host", sa.String(64), nullable=False),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("beat_at", sa.Float, nullable=False),
    sa.Column("left", sa.Boolean, nullable=False),  # ended in order, or its work was taken over
)


@dataclass(frozen=True, slots=True)
class Executor:
    """One process, as it last showed itself."""

    executor_id: str
    host: str
    roles: tuple[str, ...]
    started_at: float
    silent_s: float
    alive: bool


class ExecutorBook:
    """The part of the ledger about who is at work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def clock(self) -> float:
        """Return the time of the database server; with SQLite that of this machine."""
        with self._database.read() as connection:
            return _now(connection)

    def beat(self, executor_id: str, host: str, roles: Sequence[str], started_at: float) -> None:
        """Show that a process lives."""
        values = {"host": host, "roles": list(roles), "started_at": started_at, "left": False}
        with self._database.write() as connection:
            now = _now(connection)
            same = executors.c.executor_id == executor_id
            if connection.execute(executors.update().where(same).values(**values, beat_at=now)).rowcount:
                return
            connection.execute(executors.insert().values(executor_id=executor_id, **values, beat_at=now))

    def leave(self, executor_id: str) -> None:
        """Say that a process has ended in order."""
        with self._database.write() as connection:
            connection.execute(executors.update().where(executors.c.executor_id == executor_id).values(left=True))

    def bury(self, by: str, adopt: Callable[[frozenset[str]], int]) -> list[str]:
        """Count those that have fallen silent as gone, and have ``adopt`` take over what nobody alive works on.

        ``adopt`` gets the ids of the living and returns how many jobs it took; work is free as well when its owner
        ended in order, or was counted as gone by somebody who then died himself. One process at a time does this.
        Returns the ids of those now counted as gone.
        """
        with self._database.write() as connection:
            if not _alone(connection):
                return []
            now = _now(connection)
            rows = connection.execute(sa.select(executors).where(sa.not_(executors.c.left))).all()
            gone = [row for row in rows if row.beat_at < now - DEAD_AFTER_S and row.executor_id != by]
            alive = frozenset({row.executor_id for row in rows} - {row.executor_id for row in gone} | {by})
            taken = adopt(alive)
            for row in gone:
                same = executors.c.executor_id == row.executor_id
                connection.execute(executors.update().where(same).values(left=True))
                history.note(connection, now, None, "executor-gone", executor=row.executor_id, adopted_by=by)
            if taken:
                history.note(connection, now, None, "work-taken-over", adopted_by=by, jobs=taken)
            return [str(row.executor_id) for row in gone]

    def all(self) -> list[Executor]:
        """Return every process that has not left, the longest at work first."""
        with self._database.read() as connection:
            now = _now(connection)
            query = sa.select(executors).where(sa.not_(executors.c.left)).order_by(executors.c.started_at)
            return [
                Executor(
                    row.executor_id,
                    row.host,
                    tuple(row.roles),
                    row.started_at,
                    max(0.0, now - row.beat_at),
                    now - row.beat_at < DEAD_AFTER_S,
                )
                for row in connection.execute(query)
            ]


def living(connection: sa.Connection) -> sa.Select[tuple[str]]:
    """A subquery for the ids of those alive."""
    alive = sa.and_(sa.not_(executors.c.left), executors.c.beat_at >= _now(connection) - DEAD_AFTER_S)
    return sa.select(executors.c.executor_id).where(alive)


def _alone(connection: sa.Connection) -> bool:
    """Whether nobody else is at it until this transaction ends."""
    if connection.dialect.name != "postgresql":
        return True
    lock = sa.func.pg_try_advisory_xact_lock(sa.bindparam("lock", type_=sa.BigInteger))
    return bool(connection.execute(sa.select(lock), {"lock": keys.advisory("executors")}).scalar_one())


def _now(connection: sa.Connection) -> float:
    if connection.dialect.name != "postgresql":
        return time.time()
    return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
