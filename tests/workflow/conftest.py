from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.house import House, build


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Build and start houses on one folder, one after the other; stop what is running in the end."""
    running: list[House] = []

    def start(*arguments: Any, **options: Any) -> House:
        while running:
            running.pop().stop()
        house = build(tmp_path / "node", *arguments, **options)
        house.start()
        running.append(house)
        return house

    yield start
    for house in running:
        house.stop()
