"""Statements that run for every object: compiled once, and given to the driver without a detour.

Building and wrapping them anew takes longer than the database does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa


class Prepared:
    """A statement with bound parameters. Values go to the driver as they are: JSON as text, no type is converted."""

    def __init__(self, statement: sa.Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None]] = {}
        """By the dialect's name: its text, and the order of its parameters where they have no names."""

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> Any:
        """Run it within the connection's transaction; return the driver's cursor (PEP 249). Raises its errors."""
        text, order = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(text, values if order is None else [values[name] for name in order])
        return cursor

    def _compile(self, dialect: sa.Dialect) -> tuple[str, tuple[str, ...] | None]:
        compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        order = compiled.positiontup
        self._compiled[dialect.name] = str(compiled), None if order is None else tuple(order)
        return self._compiled[dialect.name]
