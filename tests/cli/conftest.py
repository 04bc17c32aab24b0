from __future__ import annotations

from tests.cli.commands import site

__all__ = ["site"]
