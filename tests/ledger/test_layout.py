"""A database of an earlier release is added to when it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.errors import NodeError
from node.ledger import Ledger, schema, sqlite_url
from tests.ledger.arrivals import receive


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(Path(__file__).with_name("first_release.sql").read_text())
    return path


def laid_out(path: Path) -> dict[str, tuple[set[str], set[str | None]]]:
    """Columns and indexes by table."""
    inspector = sa.inspect(sa.create_engine(sqlite_url(path)))
    return {
        name: (
            {column["name"] for column in inspector.get_columns(name)},
            {index["name"] for index in inspector.get_indexes(name)},
        )
        for name in inspector.get_table_names()
    }


def test_an_old_ledger_gets_what_a_new_one_has(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.sqlite"
    for path in (old, new):
        Ledger(sqlite_url(path)).close()
    assert laid_out(old) == laid_out(new)


def test_what_an_old_ledger_held_is_still_there(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("INSERT INTO events (at, kind, detail) VALUES (1, 'kept', '{}')")
    ledger = Ledger(sqlite_url(old))
    assert [event.kind for event in ledger.events()] == ["kept"]
    ledger.close()


def test_an_upgraded_ledger_takes_arrivals(old: Path) -> None:
    ledger = Ledger(sqlite_url(old))
    receive(ledger)
    assert len(ledger.status()) == 1
    ledger.close()


def test_a_ledger_of_another_version_is_not_opened(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE about SET schema_version = 99")
    with pytest.raises(NodeError, match="schema version 99"):
        Ledger(sqlite_url(old))


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: table.name)
def test_what_was_added_to_an_old_table_can_be_absent(table: sa.Table, old: Path) -> None:
    before = laid_out(old)
    if table.name not in before:
        return
    added = [column for column in table.columns if column.name not in before[table.name][0]]
    assert [column.name for column in added if not column.nullable and column.server_default is None] == []
