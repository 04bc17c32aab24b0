"""``serve``: the node itself."""

from __future__ import annotations

from typing import Annotated

import typer

from node import roles
from node.cli.console import ConfigOption, cli


@cli.command()
def serve(
    config: ConfigOption = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    json_logs: Annotated[bool, typer.Option(help="One JSON object a line.")] = False,
    role: Annotated[
        str, typer.Option(help="What this process does, separated by commas: receive, work, deliver, admin.")
    ] = ",".join(roles.ROLES),
) -> None:
    """Receive, measure and deliver until SIGTERM; or some of it, beside other processes that do the rest."""
    wanted = [name.strip() for name in role.split(",") if name.strip()]
    chosen = [known for known in roles.ROLES if known in wanted]
    if not chosen or len(chosen) != len(set(wanted)):
        raise typer.BadParameter(f"--role takes {', '.join(roles.ROLES)}.")
    roles.forgo(chosen)
    from node import app, log, standing  # after it is known what is done without

    log.setup(log_level, as_json=json_logs)
    app.serve(standing.read(config, templates="work" in chosen), roles=chosen)
