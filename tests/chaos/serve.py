"""``vbmd-node serve`` with another measurement: python -m tests.chaos.serve CONFIG ROLES FUNCTION."""

from __future__ import annotations

import sys
from pathlib import Path

from node import app, log, standing


def main(config: str, roles: str, function: str) -> None:
    """Serve until SIGTERM."""
    log.setup("INFO")
    app.serve(
        standing.read(Path(config)), roles=[role for role in app.ROLES if role in roles.split(",")], function=function
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
