from __future__ import annotations

import pytest

from node.domain.settings import Sender
from node.intake.admission import admitted


@pytest.mark.parametrize(
    ("sender", "ae_title", "host", "expected"),
    [
        (Sender("any"), "CT1", "192.0.2.7", True),
        (Sender("by title", ae_title="CT1"), "CT1", "192.0.2.7", True),
        (Sender("padded", ae_title="CT1"), "CT1   ", "192.0.2.7", True),
        (Sender("other title", ae_title="CT2"), "CT1", "192.0.2.7", False),
        (Sender("case matters", ae_title="ct1"), "CT1", "192.0.2.7", False),
        (Sender("by host", host="192.0.2.7"), "CT1", "192.0.2.7", True),
        (Sender("by network", host="192.0.2.0/24"), "CT1", "192.0.2.7", True),
        (Sender("other network", host="198.51.100.0/24"), "CT1", "192.0.2.7", False),
        (Sender("mapped", host="192.0.2.7"), "CT1", "::ffff:192.0.2.7", True),
        (Sender("both", ae_title="CT1", host="192.0.2.7"), "CT1", "192.0.2.8", False),
    ],
)
def test_a_sender_is_matched_by_title_and_host(sender: Sender, ae_title: str, host: str, expected: bool) -> None:
    assert (admitted([sender], ae_title, host) is sender) is expected


def test_nobody_is_admitted_by_default() -> None:
    assert admitted([], "CT1", "192.0.2.7") is None
