"""``check``: is this configuration good?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from node import app, report
from node.cli.console import cli, out
from node.config import load


@cli.command()
def check(path: Annotated[Path | None, typer.Argument(help="Configuration file or its folder.")] = None) -> None:
    """Validate a configuration: every problem with file, key and remedy."""
    checked = load(path)
    for rule in checked.rules:
        report.load(checked.templates[rule.template])
    app.require_engines(checked)
    out.print(f"{checked.file}: good.", markup=False)
    out.print(
        f"  listens as {checked.receiver.ae_title} on {checked.receiver.bind}:{checked.receiver.port}", markup=False
    )
    out.print(f"  senders: {_names(checked.receiver.senders) or 'none: every association is rejected'}", markup=False)
    out.print(f"  rules: {_names(checked.rules) or 'none: nothing is measured'}", markup=False)
    out.print(f"  destinations: {_names(checked.destinations) or 'none: results stay here'}", markup=False)
    out.print(f"  digest {checked.digest}", markup=False)


def _names(things: Any) -> str:
    return ", ".join(thing.name for thing in things)
