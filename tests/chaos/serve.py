"""``vbmd-node serve`` with another measurement: python -m tests.chaos.serve CONFIG ROLES FUNCTION."""

from __future__ import annotations

import sys
from pathlib import Path

from node import roles as names


def main(config: str, roles: str, function: str) -> None:
    """Serve until SIGTERM."""
    chosen = [role for role in names.ROLES if role in roles.split(",")]
    names.forgo(chosen)
    from node import app, log, standing

    log.setup("INFO")
    app.serve(standing.read(Path(config), templates=False), roles=chosen, function=function)


if __name__ == "__main__":
    main(*sys.argv[1:])
