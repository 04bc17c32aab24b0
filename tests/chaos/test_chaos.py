"""The chaos suite in its short form; ``python -m tests.chaos.run`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Chaos


@pytest.mark.peer
def test_nothing_acknowledged_is_lost_and_every_report_arrives_once(tmp_path: Path) -> None:
    counts = Chaos(tmp_path, seed=3).run(studies=6, kills=4, say=print)
    print(counts)
    assert counts.good(), counts
    assert (counts.kills, counts.archive_stopped, counts.archive_refusing, counts.database_locked) == (4, 1, 1, 1)
