"""What an operator types, and what he is told: also when it cannot be done."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from node import cli
from node.cli.console import cli as commands
from node.errors import NodeError
from node.ledger.states import State
from tests.cli.commands import BASE, RULE, Site
from tests.ledger.arrivals import measure, plan, receive

DESTINATIONS = "".join(
    f'[[destinations]]\nname = "{name}"\nae_title = "{name}"\nhost = "127.0.0.1"\nport = 104\n' for name in ("A", "B")
)
SENDER = '[[senders]]\nname = "scanner"\nae_title = "CT1"\n'


@pytest.fixture
def measured(site: Site) -> Site:
    """A site with one measured series, 1.2.3, whose two objects wait for A."""
    site.file.write_text(BASE + DESTINATIONS + SENDER + RULE)
    ledger = site.ledger()
    receive(ledger)
    measure(ledger)
    ledger.close()
    return site


def state(site: Site) -> State:
    ledger = site.ledger()
    (row,) = ledger.status()
    ledger.close()
    return row.state


def refused(site: Site, *arguments: str) -> str:
    """Run a command that cannot be done; return why."""
    with pytest.raises(NodeError) as caught:
        CliRunner().invoke(commands, [*arguments, "--config", str(site.file)], catch_exceptions=False)
    return str(caught.value)


def test_hold_keeps_back(measured: Site) -> None:
    measured.run("hold", "1.2.3", "--why", "look first", "--by", "ann")
    assert state(measured) is State.HELD


def test_release_sends(measured: Site) -> None:
    measured.run("hold", "1.2.3")
    assert measured.run("release", "1.2.3") == "Released: 1 series, 2 objects are being sent.\n"


def test_release_all_takes_whatever_is_held(measured: Site) -> None:
    measured.run("hold", "1.2.3")
    measured.run("release", "--all")
    assert state(measured) is State.DELIVERING


def test_release_of_nothing_is_wrong_usage(measured: Site) -> None:
    assert CliRunner().invoke(commands, ["release", "--config", str(measured.file)]).exit_code == 2


def test_release_of_what_is_not_held_says_so(measured: Site) -> None:
    assert refused(measured, "release", "1.2.3") == "It is delivering, and not held."


@pytest.mark.parametrize("command", ["hold", "release", "retry", "history"])
def test_an_unknown_series_is_an_error(measured: Site, command: str) -> None:
    assert "There is no series 9.9" in refused(measured, command, "9.9")


def test_an_unknown_series_cannot_be_withdrawn(measured: Site) -> None:
    assert "There is no series 9.9" in refused(measured, "withdraw", "9.9", "--why", "wrong")


def test_withdraw_wants_a_reason(measured: Site) -> None:
    assert CliRunner().invoke(commands, ["withdraw", "1.2.3", "--config", str(measured.file)]).exit_code == 2


def test_a_report_that_went_nowhere_is_withdrawn_without_a_note(measured: Site) -> None:
    assert measured.run("withdraw", "1.2.3", "--why", "wrong") == "Withdrawn. It had been sent nowhere.\n"


def test_retry_says_what_happens(measured: Site) -> None:
    assert measured.run("retry", "1.2.3") == "2 objects are being sent again.\n"


def test_a_series_is_found_by_the_first_digits_of_its_key(measured: Site) -> None:
    ledger = measured.ledger()
    key = ledger.status()[0].series_key
    ledger.close()
    assert "series-opened" in measured.run("history", key[:6])


def test_history_is_machine_readable(measured: Site) -> None:
    assert measured.json("history", "1.2.3")[0]["kind"] == "series-opened"


def test_status_shows_the_key_that_commands_take(measured: Site) -> None:
    ledger = measured.ledger()
    key = ledger.status()[0].series_key
    ledger.close()
    assert key in measured.run("status")


def test_a_paused_node_begins_nothing(site: Site) -> None:
    ledger = site.ledger()
    receive(ledger)
    job_id = plan(ledger, ())
    site.run("pause", "--why", "service")
    paused = ledger.begin_job(job_id)
    site.run("resume")
    resumed = ledger.begin_job(job_id)
    ledger.close()
    assert (paused, resumed is not None) == (None, True)


def test_resume_of_what_was_not_paused_says_so(measured: Site) -> None:
    assert measured.run("resume") == "It was not paused.\n"


def test_a_sender_is_switched_by_its_name(measured: Site) -> None:
    assert "sender CT1 is switched off by ann: drift" in measured.run(
        *("switch", "off", "sender", "scanner", "--by", "ann", "--why", "drift")
    )


def test_what_is_switched_on_again_is_no_longer_listed(measured: Site) -> None:
    measured.run("switch", "off", "destination", "A")
    assert measured.run("switch", "on", "destination", "A") == "Nothing is switched off.\n"


def test_a_sender_that_is_known_by_its_address_alone_is_not_switched_by_name(measured: Site) -> None:
    measured.file.write_text(measured.file.read_text() + '[[senders]]\nname = "ct2"\nhost = "192.0.2.9"\n')
    assert "no ae_title" in refused(measured, "switch", "off", "sender", "ct2")


def test_an_unknown_sender_is_not_switched_off(measured: Site) -> None:
    assert "nobody of that name" in refused(measured, "switch", "off", "sender", "ct99")


def test_an_unknown_destination_is_not_switched_off(measured: Site) -> None:
    assert "There is no destination C" in refused(measured, "switch", "off", "destination", "C")


def test_switch_without_a_name_is_wrong_usage(measured: Site) -> None:
    result = CliRunner().invoke(commands, ["switch", "off", "sender", "--config", str(measured.file)])
    assert result.exit_code == 2


def test_what_waits_goes_elsewhere(measured: Site) -> None:
    assert measured.run("reroute", "A", "B") == "2 objects go to B instead of A.\n"


def test_it_does_not_go_where_nothing_is_configured(measured: Site) -> None:
    assert "There is no destination C" in refused(measured, "reroute", "A", "C")


def test_what_is_dropped_ends_measured(measured: Site) -> None:
    measured.run("drop", "A")
    assert state(measured) is State.MEASURED


@pytest.mark.parametrize("command", cli.OPERATING)
def test_every_command_helps(command: str) -> None:
    result = CliRunner().invoke(commands, [command, "--help"])
    assert (result.exit_code, "Usage" in result.output) == (0, True)
