"""What an operator has switched off: measuring as a whole, a sender, a destination. Who did it and why is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from node.ledger import history, schema
from node.ledger.database import Database
from node.ledger.states import OPEN_DELIVERIES


class Switch(StrEnum):
    """What can be switched off."""

    MEASURING = "measuring"
    """No measurement begins; what is under way ends."""
    SENDER = "sender"
    """By AE title: its series are received and kept, neither measured nor sent on."""
    DESTINATION = "destination"
    """By name: nothing is sent there; it waits, and is not given up."""


ALL = "*"
"""The name of the switch that has no name."""

controls = sa.Table(
    "controls",
    schema.metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("by", sa.String(64), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Control:
    """One switch that is off."""

    kind: Switch
    name: str
    since: float
    by: str
    why: str

    def __str__(self) -> str:
        what = "measuring is paused" if self.kind is Switch.MEASURING else f"{self.kind} {self.name} is switched off"
        return f"{what} by {self.by}: {self.why}"


class ControlBook:
    """The part of the ledger about switches."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def all(self) -> list[Control]:
        """Return every switch that is off."""
        query = sa.select(controls).order_by(controls.c.since)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Control(Switch(row.kind), row.name, row.since, row.by, row.why) for row in rows]

    def off(self, kind: Switch, name: str, by: str, why: str) -> bool:
        """Switch off; False when it was off before (who and why are then replaced)."""
        with self._database.write() as connection:
            before = connection.execute(controls.delete().where(_same(kind, name))).rowcount
            connection.execute(
                controls.insert().values(kind=kind.value, name=name, since=self._clock(), by=by, why=why)
            )
            history.note(connection, self._clock(), None, "switched-off", what=kind.value, name=name, by=by, why=why)
            return not before

    def on(self, kind: Switch, name: str, by: str, why: str) -> bool:
        """Switch on; False when it was on before. What waited for a destination is due at once."""
        with self._database.write() as connection:
            was_off = connection.execute(controls.delete().where(_same(kind, name))).rowcount
            if not was_off:
                return False
            now = self._clock()
            if kind is Switch.DESTINATION:
                _begin_anew(connection, name, now)
            history.note(connection, now, None, "switched-on", what=kind.value, name=name, by=by, why=why)
            return True


def is_off(connection: sa.Connection, kind: Switch, name: str) -> bool:
    """Whether something is switched off."""
    return connection.execute(sa.select(controls.c.name).where(_same(kind, name))).first() is not None


def served_sender() -> sa.ColumnElement[bool]:
    """Condition on ``schema.series``: its sender is not switched off."""
    sender = schema.series.c.sender
    return sa.or_(sender.is_(None), sender.not_in(sa.select(controls.c.name).where(controls.c.kind == Switch.SENDER)))


def _same(kind: Switch, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(controls.c.kind == kind.value, controls.c.name == name)


def _begin_anew(connection: sa.Connection, destination: str, now: float) -> None:
    """Time spent switched off does not count towards giving up."""
    table = schema.deliveries
    waiting = [state.value for state in OPEN_DELIVERIES]
    connection.execute(
        table.update()
        .where(table.c.destination == destination, table.c.state.in_(waiting))
        .values(created_at=now, next_attempt_at=now)
    )
