"""A small node as a process of its own, to be killed.

python -m tests.workflow.serve FOLDER PORT PACS_PORT FUNCTION
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from node import log
from tests.workflow.house import build, destination


def main(folder: str, port: str, pacs_port: str, function: str) -> None:
    log.setup("INFO")
    house = build(Path(folder), [destination(int(pacs_port))], function, port=int(port))
    house.start()
    signal.sigwait({signal.SIGTERM})
    house.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(*sys.argv[1:])
