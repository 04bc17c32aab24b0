"""Signs of life, and taking over from processes that give none any more.

Each process writes its sign into the ledger at short intervals. With PostgreSQL, one that measures takes over what was
begun by processes that have been silent for ``DEAD_AFTER_S``, or that ended. It judges nobody before it has itself been
in touch with the database for as long: after an outage of the database everybody has been silent.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from node import log
from node.errors import ConfigError, Problem
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.executors import BEAT_S, DEAD_AFTER_S

_log = log.get(__name__)


class Presence:
    """Shows that this process lives from ``start`` to ``stop``.

    ``adopt`` gets the ids of all that live, resumes the jobs of others, and returns how many; ``None``: it adopts none.
    """

    def __init__(
        self,
        ledger: Ledger,
        executor_id: str,
        host: str,
        roles: Sequence[str],
        adopt: Callable[[frozenset[str]], int] | None = None,
    ) -> None:
        self._ledger = ledger
        self._executor_id, self._host, self._roles = executor_id, host, tuple(roles)
        self._adopt = adopt
        self._started_at = 0.0
        self._in_touch_since: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="presence", daemon=True)

    def start(self) -> None:
        """Give the first sign, then go on."""
        self._started_at = self._ledger.executors.clock()
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Say that it ended in order."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)
        try:
            self._ledger.executors.leave(self._executor_id)
        except LedgerUnavailable as error:
            _log.warning("leave-not-recorded", why=str(error))

    def _serve(self) -> None:
        while not self._stopping.wait(BEAT_S):
            try:
                self._beat()
                self._bury()
            except LedgerUnavailable as error:
                self._in_touch_since = None
                _log.error("sign-of-life-postponed", why=str(error))
            except Exception as error:  # noqa: BLE001 - the thread must go on
                _log.error("presence-error", error=type(error).__name__, exc_info=True)

    def _beat(self) -> None:
        begun = time.monotonic()
        self._ledger.executors.beat(self._executor_id, self._host, self._roles, self._started_at)
        if self._in_touch_since is None or time.monotonic() - begun > BEAT_S:
            self._in_touch_since = time.monotonic()

    def _bury(self) -> None:
        if self._adopt is None or self._in_touch_since is None:
            return
        if time.monotonic() - self._in_touch_since < DEAD_AFTER_S:
            return
        for gone in self._ledger.executors.bury(self._executor_id, self._adopt):
            _log.warning("executor-gone", executor=gone)


def exclusive(path: Path) -> int:
    """Hold a lock file for the life of this process; returns its descriptor. Raises ``ConfigError`` if it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        message = "another node works with this folder."
        raise ConfigError(
            (Problem(str(path), "", message, "Stop it, or give this node a folder of its own."),)
        ) from error
    return descriptor
