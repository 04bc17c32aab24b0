"""Every configuration that was in force: its text, its digest and when. Past decisions can be read against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from node.ledger import history, schema
from node.ledger.database import Database

config_versions = sa.Table(
    "config_versions",
    schema.metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("origin", sa.String(64), nullable=False),  # "start", "file", "as version 3"
    sa.Column("files", sa.JSON, nullable=False),  # text by name, relative to the configuration's folder
)


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One configuration that came into force."""

    number: int
    digest: str
    at: float
    origin: str
    files: Mapping[str, str]
    """Text by name, relative to the folder of the configuration file."""


class ConfigBook:
    """The part of the ledger about the configuration."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def keep(self, digest: str, files: Mapping[str, str], origin: str) -> int:
        """Record what comes into force; nothing new when it is in force already. Return the number of the version."""
        table, now = config_versions, self._clock()
        with self._database.write() as connection:
            last = connection.execute(sa.select(table).order_by(table.c.number.desc()).limit(1)).first()
            if last is not None and last.digest == digest and last.files == dict(files):
                return int(last.number)
            if origin == "file":
                origin = _returned_to(connection, digest, files) or origin
            values = {"digest": digest, "at": now, "origin": origin, "files": dict(files)}
            number = connection.execute(table.insert().values(**values)).inserted_primary_key[0]  # type: ignore[index]
            history.note(connection, now, None, "config-in-force", number=number, digest=digest, origin=origin)
            return int(number)

    def refused(self, problems: list[str]) -> None:
        """Note that an edit was refused."""
        with self._database.write() as connection:
            history.note(connection, self._clock(), None, "config-refused", problems=problems)

    def all(self) -> list[ConfigVersion]:
        """Return every version, oldest first; the last is in force."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(config_versions).order_by(config_versions.c.number)).all()
        return [ConfigVersion(row.number, row.digest, row.at, row.origin, row.files) for row in rows]


def _returned_to(connection: sa.Connection, digest: str, files: Mapping[str, str]) -> str | None:
    """Say which earlier version this is again."""
    table = config_versions
    query = sa.select(table.c.number, table.c.files).where(table.c.digest == digest).order_by(table.c.number.desc())
    number = next((row.number for row in connection.execute(query) if row.files == dict(files)), None)
    return None if number is None else f"as version {number}"
