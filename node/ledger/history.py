"""Writing states and events; every change of state passes here."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from node.ledger import schema, states
from node.ledger.states import State


def note(connection: sa.Connection, at: float, series_key: str | None, kind: str, **detail: object) -> None:
    """Append an event."""
    connection.execute(schema.events.insert().values(at=at, series_key=series_key, kind=kind, detail=detail))


def move(
    connection: sa.Connection,
    at: float,
    series_key: str,
    target: State,
    reason: str,
    message: str,
    **columns: Any,
) -> None:
    """Bring a series into a state, with its reason; ``columns`` are written along.

    Raises ``ForbiddenTransition`` when the table of transitions does not allow it.
    """
    table = schema.series
    row = connection.execute(
        sa.select(table.c.state, table.c.reason, table.c.message)
        .where(table.c.series_key == series_key)
        .with_for_update()
    ).one()
    origin = State(row.state)
    if origin is target and (row.reason, row.message) == (reason, message) and not columns:
        return
    if origin is not target:
        states.check(origin, target)
        columns["state_since"] = at
    connection.execute(
        table.update()
        .where(table.c.series_key == series_key)
        .values(state=target.value, reason=reason, message=message, **columns)
    )
    note(connection, at, series_key, "state", origin=origin.value, target=target.value, reason=reason, message=message)
