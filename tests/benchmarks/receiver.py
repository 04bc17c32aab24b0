"""A receiver alone: ``python -m tests.benchmarks.receiver FOLDER PORT [TIMEOUT_S]`` until SIGTERM."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from node import roles


def main(folder: Path, port: int, timeout_s: float = 60.0) -> None:
    roles.forgo(("receive",))
    from node import log
    from node.domain.settings import ReceiverSettings
    from node.intake import Receiver
    from node.ledger import Ledger, sqlite_url

    log.setup("WARNING")
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    settings = ReceiverSettings(
        "BENCH", port, folder / "spool", "127.0.0.1", open_to_all=True, network_timeout_s=timeout_s
    )
    receiver = Receiver(settings, ledger, alone=True)
    receiver.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    receiver.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(Path(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
