"""The configuration in force: read again when it changes on disk, applied whole or not at all, every version kept.

A version is recorded in the ledger before it comes into force, so every decision's digest can be looked up. What is
wrong with an edit is logged, noted in the history, and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from node import log, tls
from node.config import Config, load
from node.config.versions import bundle
from node.config.watch import Watched, applicable
from node.errors import ConfigError, Problem
from node.ledger import Ledger, LedgerUnavailable

INTERVAL_S = 2.0
"""How often is looked; a change counts when it has been left alone for as long."""

_log = log.get(__name__)


def read(path: Path | None = None, *, templates: bool = True) -> Config:
    """Read a configuration and all that it refers to. Raises ``ConfigError`` with every problem.

    ``templates``: those of the reports too; who measures nothing does without the libraries that write them.
    """
    config = load(path)
    problems: list[Problem] = []
    for template in sorted(config.templates.values()) if templates else ():
        try:
            _check_template(template)
        except ConfigError as error:
            problems += error.problems
    if config.receiver.tls is not None:
        try:
            tls.server_context(config.receiver.tls)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(tuple(problems))
    return config


def _check_template(path: Path) -> None:
    from node import report  # only here: a node at rest does without the libraries that write reports

    report.load(path)


class Standing:
    """Looks after the configuration from ``start`` to ``stop``; ``apply`` must take effect at once or raise."""

    def __init__(
        self, config: Config, ledger: Ledger, apply: Callable[[Config], None], *, templates: bool = True
    ) -> None:
        self.config = config
        self._ledger = ledger
        self._apply = apply
        self._watched = Watched(config.file, partial(read, templates=templates))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="configuration", daemon=True)

    def start(self) -> None:
        """Record what is in force, and begin to look. Raises ``LedgerUnavailable``."""
        self._ledger.configs.keep(self.config.digest, bundle(self.config.file), "start")
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def look(self) -> None:
        """Look once; put in force what has changed, or say why not."""
        try:
            found = self._watched.look()
        except ConfigError as error:
            self._refuse(error)
            return
        if found is not None and found.digest != self.config.digest:
            self._put_in_force(found)

    def _put_in_force(self, found: Config) -> None:
        config, waiting = applicable(self.config, found)
        try:
            number = self._ledger.configs.keep(found.digest, bundle(found.file), "file")
        except LedgerUnavailable:
            self._watched.again()
            raise
        self._apply(config)
        self.config = config
        _log.info("config-in-force", number=number, digest=found.digest[:12])
        if waiting:
            _log.warning("config-waits-for-restart", parts=list(waiting))

    def _refuse(self, error: ConfigError) -> None:
        problems = [str(problem) for problem in error.problems]
        for problem in problems:
            _log.error("config-refused", problem=problem, in_force=self.config.digest[:12])
        self._ledger.configs.refused(problems)

    def _serve(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            try:
                self.look()
            except LedgerUnavailable as error:
                _log.error("config-postponed", why=str(error))
            except Exception as error:  # noqa: BLE001 - the thread must go on; the next look tries again
                _log.error("config-error", error=type(error).__name__, exc_info=True)
