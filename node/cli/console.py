"""The command line itself: where commands register, where they print, and how errors end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from node.config import Config
from node.errors import ConfigError, NodeError
from node.ledger import Ledger

HELP = """Measure calibrated bone density in the CT studies that scanners send.

Exit status: 0 done; 1 nothing was measured, or the demo's report did not come back; 2 wrong usage or configuration.
"""
cli = typer.Typer(no_args_is_help=True, add_completion=False, help=HELP, pretty_exceptions_enable=False)
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, soft_wrap=True, highlight=False)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file; otherwise $VBMD_NODE_CONFIG, /etc, default.")
]


@cli.callback()
def _any_command() -> None:
    """Make a command be called by its name, even where it is the only one that is registered."""


def main() -> None:
    """Run ``vbmd-node``."""
    try:
        cli()
    except ConfigError as error:
        for problem in error.problems:
            err.print(f"{problem}", style="red", markup=False)
        sys.exit(2)
    except NodeError as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(1)


@contextmanager
def ledger(settings: Config) -> Iterator[Ledger]:
    """Open the ledger of a node that has run before; raises ``NodeError`` where there is none."""
    with ledger_at(settings.database) as opened:
        yield opened


@contextmanager
def ledger_at(database: str) -> Iterator[Ledger]:
    """The same, by the URL of its database."""
    if database.startswith("sqlite:///") and not Path(database.removeprefix("sqlite:///")).exists():
        raise NodeError(f"There is no ledger at {database}: has this node ever run with this configuration?")
    opened = Ledger(database)
    try:
        yield opened
    finally:
        opened.close()
