from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.ledger import Ledger, sqlite_url
from tests.ledger.arrivals import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger(sqlite_url(tmp_path / "ledger.sqlite"), clock)
    yield opened
    opened.close()
