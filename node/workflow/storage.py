"""Where the durable engine keeps its own tables: an SQLite file, or the node's PostgreSQL database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.errors import ConfigError, Problem
from node.ledger import driver_url


def check_sqlite(python: tuple[int, int], sqlite: tuple[int, int, int]) -> None:
    """DBOS 3.4 does not start on Python 3.12 or later with an SQLite before 3.42 (Debian 12): say so first."""
    if python >= (3, 12) and sqlite < (3, 42, 0):
        message = f"Python {python[0]}.{python[1]} is linked to SQLite {'.'.join(map(str, sqlite))}; 3.42 is needed."
        raise ConfigError((Problem("SQLite", "", message, "Use Python 3.11, or a system with a newer SQLite."),))


def postgresql(url: str) -> sa.Engine:
    """Open the engine's tables in the node's database (schema ``dbos``)."""
    options = {"pool_size": 5, "max_overflow": 10, "pool_pre_ping": True}
    return sa.create_engine(driver_url(url), connect_args={"connect_timeout": 5}, **options)


def sqlite(path: Path) -> sa.Engine:
    """Open the engine's own database: WAL, synced commits, writers take their lock when they begin."""
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
