"""The commands: one module for each, or for a family of them, named after it. Nothing else prints.

A module registers its commands when it is imported. Only the one that is called for is: ``serve`` and ``status`` do
without the libraries that measure. A module is found by being here.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from node.cli import console
from node.cli.console import cli

__all__ = ["OPERATING", "cli", "load", "main"]

OPERATING = ("hold", "release", "retry", "withdraw", "pause", "resume", "switch", "reroute", "drop", "history")
"""Commands that stand together in ``control``."""


def load(command: str | None = None) -> None:
    """Register a command, or every command where none has that name (for help, and for families)."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)} - {"console"}
    wanted = "control" if command in OPERATING else command
    for name in [wanted] if wanted in modules else sorted(modules):
        importlib.import_module(f"node.cli.{name}")


def main() -> None:
    """Run ``vbmd-node``."""
    load(sys.argv[1] if len(sys.argv) > 1 else None)
    console.main()
