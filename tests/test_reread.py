"""A running node takes over what changes on disk: a sender approved, an edit refused, a version put back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from node.config import Config
from node.ledger import Ledger
from tests import running
from tests.peers import peer
from tests.workflow.house import wait_until

pytestmark = [pytest.mark.peer]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    made = running.configuration(tmp_path_factory.mktemp("site"), 1)
    with running.serving(made):
        yield made


def echoed(config: Config, ae_title: str) -> bool:
    command = [peer("echoscu"), "-aet", ae_title, "-aec", config.receiver.ae_title, "127.0.0.1"]
    return subprocess.run([*command, str(config.receiver.port)], capture_output=True).returncode == 0


def vbmd_node(config: Config, *arguments: str) -> str:
    command = [sys.executable, "-m", "node", *arguments, "--config", str(config.file)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def events(config: Config) -> list[str]:
    ledger = Ledger(config.database)
    try:
        return [event.kind for event in ledger.events()]
    finally:
        ledger.close()


def test_a_stranger_is_approved_by_one_command_without_a_restart(config: Config) -> None:
    assert not echoed(config, "NEW_CT")
    assert "NEW_CT" in vbmd_node(config, "senders")
    vbmd_node(config, "senders", "approve", "1")
    wait_until(lambda: echoed(config, "NEW_CT"), 20)
    assert "2" in vbmd_node(config, "config", "history")


def test_an_invalid_edit_leaves_the_node_as_it_was(config: Config) -> None:
    text = config.file.read_text()
    config.file.write_text(text.replace("quiet_period_s = 4.0", "quiet_period_s = -4.0"))
    wait_until(lambda: "config-refused" in events(config), 20)
    assert echoed(config, running.SCANNER)
    assert "quiet_period_s" in config.file.with_name("node.log").read_text()
    assert "is refused" in vbmd_node(config, "config", "history")
    config.file.write_text(text)


def test_a_version_put_back_is_in_force_again(config: Config) -> None:
    vbmd_node(config, "config", "rollback", "1")
    wait_until(lambda: not echoed(config, "NEW_CT"), 20)
    assert echoed(config, running.SCANNER)
    assert "as version 1" in vbmd_node(config, "config", "history")
