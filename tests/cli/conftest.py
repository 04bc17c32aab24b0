from __future__ import annotations

from node import cli
from tests.cli.commands import site

cli.load()

__all__ = ["site"]
