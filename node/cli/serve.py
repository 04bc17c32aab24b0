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
    role: Annotated[
        str, typer.Option(help="What this process does, separated by commas: receive, work, deliver, admin.")
    ] = ",".join(app.ROLES),
) -> None:
    """Receive, measure and deliver until SIGTERM; or some of it, beside other processes that do the rest."""
    wanted = [name.strip() for name in role.split(",") if name.strip()]
    roles = [known for known in app.ROLES if known in wanted]
    if not roles or len(roles) != len(set(wanted)):
        raise typer.BadParameter(f"--role takes {', '.join(app.ROLES)}.")
    log.setup(log_level, as_json=json_logs)
    app.serve(standing.read(config), roles=roles)
