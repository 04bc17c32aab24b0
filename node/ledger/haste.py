"""When what was put off is tried sooner: the node or its configuration is new, or somebody owes a destination more."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from node.ledger import schema
from node.ledger.states import OPEN_DELIVERIES

_D = schema.deliveries
_OPEN = _D.c.state.in_([state.value for state in OPEN_DELIVERIES])


def hurry(connection: sa.Connection, destinations: Sequence[str], now: float) -> None:
    """Make all that is open at some destinations due at once."""
    waits = sa.and_(_D.c.destination.in_(destinations), _OPEN, _D.c.next_attempt_at > now)
    connection.execute(_D.update().where(waits).values(next_attempt_at=now))


def owed_since(connection: sa.Connection, destination: str, at: float) -> bool:
    """Whether something was measured for a destination, or an operator wants it sent again, since then."""
    new = sa.exists().where(_D.c.destination == destination, _OPEN, _D.c.created_at > at)
    return bool(connection.execute(sa.select(new)).scalar())
