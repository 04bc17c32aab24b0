"""Past decisions, to be looked at again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from node.errors import NodeError
from node.ledger import schema
from node.ledger.database import Database


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What was decided about a series, when, and under which configuration."""

    series_key: str
    at: float
    config_version: str
    action: str
    rule: str | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a series is filed."""

    series_key: str
    study_key: str
    series_instance_uid: str


class DecisionBook:
    """The part of the ledger about past decisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def studies_since(self, at: float) -> list[str]:
        """Return the keys of studies that something arrived of since then, oldest first."""
        table = schema.studies
        query = sa.select(table.c.study_key).where(table.c.last_received_at >= at).order_by(table.c.last_received_at)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def last(self, series_keys: Iterable[str]) -> dict[str, PastDecision]:
        """Return the last decision about each series that was ever decided."""
        return {key: found[-1] for key in series_keys if (found := self.of(key))}

    def of(self, series_key: str) -> list[PastDecision]:
        """Return every decision about a series, oldest first."""
        table = schema.decisions
        query = sa.select(table).where(table.c.series_key == series_key).order_by(table.c.id)
        with self._database.read() as connection:
            return [_past(row) for row in connection.execute(query)]

    def place(self, name: str) -> Place:
        """Return where a series is: by its Series Instance UID, its key, or the first digits of its key.

        Raises ``NodeError`` when there is none, or more than one.
        """
        table = schema.series
        exact = sa.or_(table.c.series_instance_uid == name, table.c.series_key == name)
        begins = table.c.series_key.startswith(name, autoescape=True)
        with self._database.read() as connection:
            for condition in (exact, begins):
                found = connection.execute(sa.select(table).where(condition).limit(3)).all()
                if len(found) == 1:
                    return Place(found[0].series_key, found[0].study_key, found[0].series_instance_uid)
                if found:
                    keys = ", ".join(row.series_key for row in found)
                    raise NodeError(f"More than one series is called {name}: {keys}. Give the whole key.")
        raise NodeError(f"No series is called {name}: give its Series Instance UID, or the key that `status` shows.")


def _past(row: sa.Row[tuple[object, ...]]) -> PastDecision:
    values = row._mapping
    return PastDecision(
        values["series_key"],
        values["decided_at"],
        values["config_version"],
        values["action"],
        values["rule"],
        values["reason"],
        values["message"],
    )
