from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node import log
from node.domain.settings import ReceiverSettings
from node.intake import Receiver
from node.ledger import Ledger, sqlite_url


@dataclass
class Door:
    """A receiver that listens, with its ledger and its log."""

    receiver: Receiver
    ledger: Ledger
    spool: Path
    log: io.StringIO

    @property
    def port(self) -> int:
        return self.receiver.port

    def files(self) -> list[Path]:
        return sorted(path for path in self.spool.rglob("*.dcm"))


class OpenDoors:
    """Opens receivers and closes them all in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._doors: list[Door] = []

    def open(self, **changes: object) -> Door:
        folder = self._folder / f"node-{len(self._doors)}"
        folder.mkdir()
        defaults = ReceiverSettings("NODE", 0, folder / "spool", "127.0.0.1", open_to_all=True, disk_reserve_mb=10)
        stream = io.StringIO()
        log.setup("DEBUG", stream=stream)
        ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        receiver = Receiver(replace(defaults, **changes), ledger)  # type: ignore[arg-type]
        receiver.start()
        self._doors.append(Door(receiver, ledger, folder / "spool", stream))
        return self._doors[-1]

    def again(self, door: Door) -> None:
        """Start a door anew that was stopped, with the settings it had."""
        door.receiver = Receiver(door.receiver._settings, door.ledger)
        door.receiver.start()

    def close(self) -> None:
        for door in self._doors:
            door.receiver.stop()
            door.ledger.close()


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[OpenDoors]:
    opened = OpenDoors(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def door(doors: OpenDoors) -> Door:
    return doors.open()
