"""A series walks from a real sender to a real PACS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from node.ledger.states import State
from tests.fake_pacs import fake_pacs
from tests.intake.objects import COMPREHENSIVE_SR, SECONDARY_CAPTURE, ct_series
from tests.peers import peer
from tests.workflow.house import build, destination


@pytest.mark.peer
def test_a_series_sent_by_dcmsend_ends_delivered(tmp_path: Path) -> None:
    files = ct_series(tmp_path / "ct")
    with fake_pacs() as pacs:
        house = build(tmp_path / "node", [destination(pacs.port)])
        house.start()
        try:
            subprocess.run([peer("dcmsend"), "-aec", "NODE", "127.0.0.1", str(house.receiver.port), *files], check=True)
            row = house.wait_for(State.DELIVERED)
        finally:
            house.stop()
    assert row.instances == 5
    assert [str(dataset.SOPClassUID) for dataset in pacs.stored] == [SECONDARY_CAPTURE, COMPREHENSIVE_SR]
