"""A bare C-STORE sender with a tuned stack (TCP_NODELAY, quick acknowledgement): ``HOST PORT FILE...``

Prints how many objects were answered with success, and when it began and ended (monotonic clock, seconds). There is
nothing between the file and the socket, so that the server is what is measured.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests import wire


def main(host: str, port: int, *names: str) -> None:
    files = [wire.dataset_of(Path(name)) for name in names]
    begun = time.monotonic()
    with wire.connect(port, host) as link:
        limit = wire.associate(link, "BENCH", "BENCHSCU", files[0][0])
        stored = sum(wire.store(link, limit, number, *file) == 0 for number, file in enumerate(files))
        wire.release(link)
    print(stored, begun, time.monotonic())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
