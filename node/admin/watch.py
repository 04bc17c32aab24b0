"""The watching part of the node: alarms at intervals, retention, and the HTTP endpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from prometheus_client.registry import Collector

from node import log
from node.admin import alarms, metrics, retention
from node.admin.alarms import Alarm, Machine
from node.admin.http import Endpoint, Page, as_json
from node.config import Config
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.figures import Lane

_log = log.get(__name__)


class Watch:
    """Watches from ``start`` to ``stop``. ``door``: what came through this process's door, if it has one."""

    def __init__(self, ledger: Ledger, config: Config, door: Callable[[], Mapping[str, int]]) -> None:
        self._ledger = ledger
        self._config = config
        self._door = door
        self._lasting: dict[tuple[str, str], Alarm] = {}
        self._looked = (time.time(), time.monotonic())
        self._jump_s = 0.0
        self._tidied = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="watch", daemon=True)
        self.endpoint: Endpoint | None = None

    def start(self) -> None:
        """Begin to watch. Raises ``OSError`` when the HTTP port is taken."""
        if self._config.admin.port is not None:
            pages: dict[str, Page] = {"/health": self._health, "/ready": self._ready, "/metrics": self._metrics}
            self.endpoint = Endpoint(self._config.admin.bind, self._config.admin.port, pages)
            self.endpoint.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=20.0)
        if self.endpoint is not None:
            self.endpoint.stop()

    def configure(self, config: Config) -> None:
        """Use other limits from the next look on."""
        self._config = config

    def look(self) -> list[Alarm]:
        """Look once; log what has begun and what is over."""
        wall, steady = time.time(), time.monotonic()
        self._jump_s = (wall - self._looked[0]) - (steady - self._looked[1])
        self._looked = (wall, steady)
        found = alarms.look(self._ledger, self._config.alarms, self.machine())
        now = {(one.kind, one.subject): one for one in found}
        for key in now.keys() - self._lasting.keys():
            _log.error("alarm", alarm=now[key].kind, subject=now[key].subject, what=now[key].message)
        for key in self._lasting.keys() - now.keys():
            _log.info("alarm-over", alarm=key[0], subject=key[1])
        self._lasting = now
        return found

    def machine(self) -> Machine:
        """This machine's side of the figures."""
        return alarms.machine(self._ledger, self._config, self._jump_s)

    def tidy(self) -> None:
        """Remove what may go, when the interval has passed."""
        settings = self._config.retention
        if time.monotonic() - self._tidied < settings.interval_h * 3600.0:
            return
        self._tidied = time.monotonic()
        retention.sweep(self._ledger, settings, self._config.receiver.spool, self._config.state / "jobs")

    def _serve(self) -> None:
        while not self._stopping.wait(self._config.alarms.interval_s):
            try:
                self.look()
                self.tidy()
            except LedgerUnavailable as error:
                _log.error("watch-postponed", why=str(error))
            except Exception as error:  # noqa: BLE001 - watching must go on
                _log.error("watch-error", error=type(error).__name__, exc_info=True)

    def _health(self) -> tuple[int, str, bytes]:
        return as_json(200, {"status": "alive"})

    def _ready(self) -> tuple[int, str, bytes]:
        """Whether the ledger answers and there is room; alarms are told, and do not make it unready."""
        try:
            offset = self._ledger.executors.clock() - time.time()
        except LedgerUnavailable:
            return as_json(503, {"status": "the ledger does not answer"})
        _, free = alarms.disks([self._config.receiver.spool])[str(self._config.receiver.spool)]
        if free < self._config.receiver.disk_reserve_mb * 1e6:
            return as_json(503, {"status": "the disk is full"})
        told = [f"{one.kind} {one.subject}".strip() for one in self._lasting.values()]
        return as_json(200, {"status": "ready", "alarms": told, "clock_offset_s": round(-offset, 3)})

    def _metrics(self) -> tuple[int, str, bytes]:
        return 200, "text/plain; version=0.0.4; charset=utf-8", metrics.render(self._collector)

    def _collector(self) -> Collector:
        figures, seen = self._ledger.figures.now(), self.machine()
        idle = {one.name: Lane(0, 0.0, 0, 0) for one in self._config.destinations}
        figures = replace(figures, lanes=idle | dict(figures.lanes))
        found = alarms.look(self._ledger, self._config.alarms, seen, figures)
        return metrics.NodeCollector(figures, seen, found, self._door(), self._ledger.controls.all())
