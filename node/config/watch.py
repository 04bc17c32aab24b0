"""Noticing that the configuration on disk has changed, and reading it whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from node.config.load import Config, load
from node.config.versions import fingerprint

AT_RESTART = ("state", "database", "work", "admin", "audit")
"""Parts of a configuration that a running node cannot exchange."""
RECEIVER_AT_RESTART = ("ae_title", "port", "bind", "spool", "tls", "network_timeout_s", "max_object_mb")


class Watched:
    """A configuration file. ``look`` at it now and then; nothing is read while it is being written."""

    def __init__(
        self, file: Path, read: Callable[[Path], Config] | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._file = file
        self._read = read or (lambda path: load(path, environment))
        self._known = self._last_seen = fingerprint(file)

    def look(self) -> Config | None:
        """Return the configuration when it changed and has been left alone since the last look.

        Raises ``ConfigError`` with every problem, once for each change.
        """
        seen = fingerprint(self._file)
        settled, self._last_seen = seen == self._last_seen, seen
        if seen == self._known or not settled:
            return None
        self._known = seen
        return self._read(self._file)

    def again(self) -> None:
        """Forget what was read: the next look but one reads it once more."""
        self._known = ()


def applicable(running: Config, wanted: Config) -> tuple[Config, tuple[str, ...]]:
    """Return what of a configuration a running node can take over, and the names of what waits for a restart."""
    waiting = [name for name in AT_RESTART if getattr(running, name) != getattr(wanted, name)]
    ports = [name for name in RECEIVER_AT_RESTART if getattr(running.receiver, name) != getattr(wanted.receiver, name)]
    kept = {name: getattr(running.receiver, name) for name in RECEIVER_AT_RESTART}
    receiver = replace(wanted.receiver, **kept)
    config = replace(wanted, receiver=receiver, **{name: getattr(running, name) for name in AT_RESTART})
    return config, tuple(waiting + [f"receiver.{name}" for name in ports])
