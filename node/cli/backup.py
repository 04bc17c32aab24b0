"""``backup``: a copy of all that the node keeps, while it works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node import backup as backups
from node.cli.console import ConfigOption, cli, ledger, out
from node.config import load
from node.errors import NodeError


@cli.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="On another disk. The same folder again: only what is new is copied.")],
    config: ConfigOption = None,
) -> None:
    """Copy ledger, received objects, results and configuration; the node may go on. docs/operations.md: restoring."""
    settings = load(config)
    with ledger(settings) as opened:
        try:
            made = backups.make(settings, opened, folder)
        except OSError as error:
            raise NodeError(f"{folder} cannot be written: {error.strerror}.") from error
    out.print(f"{folder}: {made.copied} files copied, {made.kept} were there, {made.removed} removed.", markup=False)
    if not made.ledger:
        out.print("The ledger lies on a database server: back it up there, before this command (pg_dump).")
