"""``serve``: the node itself."""

from __future__ import annotations

from typing import Annotated

import typer

from node import app, log, standing
from node.cli.console import ConfigOption, cli


@cli.command()
def serve(
    config: ConfigOption = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    json_logs: Annotated[bool, typer.Option(help="One JSON object a line.")] = False,
) -> None:
    """Receive, measure and deliver until SIGTERM."""
    log.setup(log_level, as_json=json_logs)
    app.serve(standing.read(config))
