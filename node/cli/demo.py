"""``demo``: the main job, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node import log
from node.cli.console import cli, out


@cli.command()
def demo(
    study: Annotated[Path | None, typer.Option(help="Folder or zip of DICOM instead of the synthetic study.")] = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for everything the demo makes.")] = Path("demo-out"),
) -> None:
    """Send a CT study through a node into a PACS and show the report that arrives there."""
    from node.demo import walk  # only here: it needs every library there is

    log.setup("WARNING")
    if not walk.run(study, out_dir, out):
        raise typer.Exit(1)
