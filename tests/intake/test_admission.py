from __future__ import annotations

from pathlib import Path

import pytest

from node.domain.settings import ReceiverSettings, Sender
from node.intake import admission
from node.intake.admission import Knock, Rejection, judge


def answer(*senders: Sender, open_to_all: bool = False, **knock: object) -> Sender | Rejection:
    settings = ReceiverSettings("NODE", 0, Path("spool"), senders=senders, open_to_all=open_to_all)
    asked = {"calling_ae_title": "CT1", "called_ae_title": "NODE", "host": "192.0.2.7", **knock}
    return judge(settings, Knock(**asked))  # type: ignore[arg-type]


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
    found = answer(sender, calling_ae_title=ae_title, host=host)
    assert found is (sender if expected else admission.UNKNOWN_SENDER)


def test_nobody_is_admitted_by_default() -> None:
    assert answer() is admission.UNKNOWN_SENDER


def test_an_open_node_admits_anybody() -> None:
    assert answer(open_to_all=True) is admission.ANYBODY


def test_who_calls_by_another_title_is_told_so() -> None:
    assert answer(Sender("ct", "CT1"), called_ae_title="OTHER") is admission.OTHER_CALLED_TITLE


def test_a_sender_may_call_the_node_by_a_title_of_its_own() -> None:
    sender = Sender("ct", "CT1", called_ae_title="OLDNODE")
    assert answer(sender, called_ae_title="OLDNODE") is sender


def test_a_sender_of_tls_only_is_not_admitted_at_the_plain_port() -> None:
    sender = Sender("ct", "CT1", tls_only=True)
    assert [answer(sender, tls=tls) for tls in (False, True)] == [admission.IN_THE_CLEAR, sender]
