"""Laying out the tables in a new database, and adding to an older one what has come since.

Additions need no step of their own: a table, a column or an index that is declared and not there is made. A column
that is added to a table of an earlier release must be nullable or have a ``server_default``, so that older software
can go on working with the same database (a rolling upgrade, a step back). Anything else raises ``schema.VERSION``.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from node.errors import NodeError
from node.ledger import schema

_LOCK = 0x76424D44
"""Of PostgreSQL's advisory locks: one node lays out at a time. SQLite's writers exclude each other anyway."""


def is_complete(connection: sa.Connection) -> bool:
    """Whether all that is declared is there. Raises ``NodeError`` when the tables are those of another version."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(schema.about.name):
        return False
    found = connection.execute(sa.select(schema.about.c.schema_version)).scalar()
    if found is not None and found != schema.VERSION:
        raise NodeError(f"the ledger has schema version {found}, this software needs {schema.VERSION}")
    return found is not None and not _missing_tables(inspector) and not _missing(inspector)


def complete(connection: sa.Connection) -> None:
    """Make what is missing. Must run inside one transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    schema.metadata.create_all(connection)
    for column_or_index in _missing(sa.inspect(connection)):
        if isinstance(column_or_index, sa.Index):
            column_or_index.create(connection)
        else:
            _add(connection, column_or_index)
    if connection.execute(sa.select(schema.about.c.schema_version)).first() is None:
        connection.execute(schema.about.insert().values(schema_version=schema.VERSION))


def _missing_tables(inspector: sa.Inspector) -> set[str]:
    return set(schema.metadata.tables) - set(inspector.get_table_names())


def _missing(inspector: sa.Inspector) -> list[sa.Column[object] | sa.Index]:
    """Return columns, then indexes, that tables from an earlier release do not have."""
    there = set(inspector.get_table_names())
    tables = [table for table in schema.metadata.sorted_tables if table.name in there]
    columns: list[sa.Column[object] | sa.Index] = []
    indexes: list[sa.Column[object] | sa.Index] = []
    for table in tables:
        names = {column["name"] for column in inspector.get_columns(table.name)}
        columns += [column for column in table.columns if column.name not in names]
        known = {index["name"] for index in inspector.get_indexes(table.name)}
        indexes += [index for index in table.indexes if index.name not in known]
    return [*columns, *indexes]


def _add(connection: sa.Connection, column: sa.Column[object]) -> None:
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    name = connection.dialect.identifier_preparer.format_table(column.table)
    connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {definition}")
