"""Opening the ledger's database: SQLite in WAL mode with synced commits, or PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from node.errors import NodeError
from node.ledger import layout


class LedgerUnavailable(NodeError):
    """The database did not take or give a row (locked, full, read-only, gone): nothing was recorded."""


class Database:
    """Short transactions. Writers of one process queue on a lock, since SQLite makes waiting writers sleep."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(driver_url(url), **_options(url))
        self._sqlite = self._engine.dialect.name == "sqlite"
        driver: Any = self._engine.dialect.dbapi
        self._errors = (SQLAlchemyError, driver.Error)
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _on_connect)
            sa.event.listen(self._engine, "begin", _on_begin)
        self._writer = self._engine.execution_options(vbmd_write=True)
        self._lock = threading.Lock() if self._sqlite else nullcontext()
        with self.read() as connection:
            complete = layout.is_complete(connection)
        if not complete:
            with self.write() as connection:
                layout.complete(connection)

    @property
    def one_writer(self) -> bool:
        """Whether transactions that write wait for each other anyway, so that it pays to share them."""
        return self._sqlite

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that may write: durable when the block has been left without an exception."""
        try:
            with self._lock, self._writer.begin() as connection:
                yield connection
        except self._errors as error:
            raise _translated(error) from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except self._errors as error:
            raise _translated(error) from error

    def copy_to(self, target: Path) -> None:
        """Copy an SQLite file as it stands at one moment, while others write to it."""
        with self.read() as connection, closing(sqlite3.connect(target)) as copy:
            source: Any = connection.connection.driver_connection
            source.backup(copy)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def driver_url(url: str) -> str:
    """Return a URL whose driver is psycopg where it is PostgreSQL's, however it was written."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in ("postgresql", "postgres") else url


def _options(url: str) -> dict[str, Any]:
    """A server that went away must not be waited for without end, nor its dead connections be used."""
    if url.startswith("sqlite"):
        return {}
    keep_alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    return {
        "pool_pre_ping": True,
        "pool_size": 10,
        "max_overflow": 30,
        "connect_args": {"connect_timeout": 5} | keep_alive,
    }


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite file."""
    return f"sqlite:///{path}"


def _translated(error: Exception) -> LedgerUnavailable:
    """Keep the kind of the error, not its parameters (they hold headers)."""
    origin = getattr(error, "orig", None)
    said = " ".join(str(origin if origin else error).split())
    return LedgerUnavailable(f"The ledger's database does not take part ({type(origin or error).__name__}: {said})")


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not guessed by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("vbmd_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
