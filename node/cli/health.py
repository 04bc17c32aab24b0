"""``health``: is the node on this machine alive? For containers and supervisors."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Annotated

import typer

from node.cli.console import ConfigOption, cli, out
from node.config import load
from node.errors import NodeError


@cli.command()
def health(
    config: ConfigOption = None,
    ready: Annotated[bool, typer.Option("--ready", help="It must also be able to do its work.")] = False,
) -> None:
    """Ask the node's HTTP endpoint; exit status 0 when it lives (with --ready: when it can work)."""
    admin = load(config).admin
    if admin.port is None:
        raise NodeError("There is no admin.port, so the node does not answer over HTTP.")
    host = "127.0.0.1" if admin.bind in ("0.0.0.0", "::") else admin.bind
    url = f"http://{host}:{admin.port}/{'ready' if ready else 'health'}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            out.print(answer.read().decode(), markup=False)
    except urllib.error.HTTPError as error:
        raise NodeError(error.read().decode()) from error
    except OSError as error:
        raise NodeError(f"{url} does not answer.") from error
