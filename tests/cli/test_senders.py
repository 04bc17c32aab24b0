from __future__ import annotations

import pytest

from node.errors import ConfigError, NodeError
from node.intake.admission import IN_THE_CLEAR, Knock, judge
from tests.cli.commands import BASE, Site

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def knocked(site: Site) -> Site:
    ledger = site.ledger()
    for _ in range(3):
        ledger.senders.turned_away("CT 1", "VBMD_NODE", "192.0.2.7", "unknown-sender", [CT])
    ledger.close()
    return site


def test_who_was_turned_away_is_listed(knocked: Site) -> None:
    listed = knocked.run("senders")
    assert [word in listed for word in ("CT 1", "192.0.2.7", "3", "CT Image Storage")] == [True] * 4


def test_nobody_is_nobody(site: Site) -> None:
    site.ledger().close()
    assert "Nobody" in site.run("senders")


def test_the_list_is_machine_readable(knocked: Site) -> None:
    (row,) = knocked.json("senders")
    assert (row["id"], row["attempts"], row["sop_classes"]) == (1, 3, [CT])


def test_who_is_approved_is_admitted(knocked: Site) -> None:
    knocked.run("senders", "approve", 1)
    (sender,) = knocked.config.receiver.senders
    assert (sender.name, sender.ae_title, sender.host) == ("ct-1", "CT 1", "192.0.2.7")
    assert judge(knocked.config.receiver, Knock("CT 1", "VBMD_NODE", "192.0.2.7")) == sender


def test_who_is_approved_is_no_longer_listed(knocked: Site) -> None:
    knocked.run("senders", "approve", 1, "--name", "scanner")
    assert knocked.json("senders") == []
    assert knocked.config.receiver.senders[0].name == "scanner"


def test_a_sender_of_tls_only_is_not_let_in_at_the_plain_port_by_approval(site: Site) -> None:
    ledger = site.ledger()
    ledger.senders.turned_away("CT1", "VBMD_NODE", "192.0.2.7", IN_THE_CLEAR.reason, [CT])
    ledger.close()
    with pytest.raises(NodeError, match="over TLS alone"):
        site.run("senders", "approve", 1)


def test_a_sender_that_calls_by_another_title_is_approved_with_it(site: Site) -> None:
    ledger = site.ledger()
    ledger.senders.turned_away("CT2", "OLDNODE", "192.0.2.8", "unknown-sender", [CT])
    ledger.close()
    site.run("senders", "approve", 1, "--any-host")
    (sender,) = site.config.receiver.senders
    assert (sender.called_ae_title, sender.host) == ("OLDNODE", None)


def test_approval_that_would_break_the_configuration_changes_nothing(knocked: Site) -> None:
    text = BASE + "open_to_all = true\n"
    knocked.file.write_text(text)
    with pytest.raises(ConfigError):
        knocked.run("senders", "approve", 1)
    assert knocked.file.read_text() == text
    assert len(knocked.json("senders")) == 1


def test_a_number_that_nobody_has_is_an_error(knocked: Site) -> None:
    with pytest.raises(NodeError, match="number 7"):
        knocked.run("senders", "approve", 7)


def test_who_is_forgotten_is_no_longer_listed(knocked: Site) -> None:
    knocked.run("senders", "forget", 1)
    assert knocked.json("senders") == []
