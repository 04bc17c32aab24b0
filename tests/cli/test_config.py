from __future__ import annotations

import pytest

from node.errors import ConfigError, NodeError
from tests.cli.commands import BASE, RULE, Site

FIRST, SECOND = BASE + RULE, BASE + RULE.replace("trunk", "chest")


@pytest.fixture
def twice(site: Site) -> Site:
    site.keep(FIRST)
    site.keep(SECOND)
    return site


def test_history_lists_every_version(twice: Site) -> None:
    assert [one["number"] for one in twice.json("config", "history")] == [1, 2]
    assert "in force" in twice.run("config", "history")


def test_history_says_what_is_wrong_with_the_file_on_disk(twice: Site) -> None:
    twice.file.write_text(BASE + "speed = 3\n[[rules]\n")
    assert "is not TOML" in twice.run("config", "history")
    twice.file.write_text(BASE + "speed = 3\n")
    assert "node.speed" in twice.run("config", "history")


def test_diff_compares_two_versions(twice: Site) -> None:
    lines = twice.run("config", "diff", 1, 2).splitlines()
    assert ['-name = "trunk"' in lines, '+name = "chest"' in lines] == [True, True]


def test_diff_compares_what_is_in_force_with_the_disk(twice: Site) -> None:
    assert "No difference" in twice.run("config", "diff")
    twice.file.write_text(SECOND + "# later\n")
    assert "+# later" in twice.run("config", "diff")


def test_rollback_puts_a_version_back(twice: Site) -> None:
    twice.run("config", "rollback", 1)
    assert twice.file.read_text() == FIRST


def test_rollback_works_where_the_file_on_disk_is_broken(twice: Site) -> None:
    twice.file.write_text(BASE + "[[rules]\nname = ")
    twice.run("config", "rollback", 2)
    assert twice.file.read_text() == SECOND


def test_rollback_to_a_version_that_is_no_longer_valid_changes_nothing(twice: Site) -> None:
    ledger = twice.ledger()
    number = ledger.configs.keep("0" * 64, {"node.toml": "[node]\nold_key = 1\n"}, "start")
    ledger.close()
    with pytest.raises(ConfigError):
        twice.run("config", "rollback", number)
    assert twice.file.read_text() == SECOND


def test_a_version_that_never_was_is_an_error(twice: Site) -> None:
    with pytest.raises(NodeError, match="no version 9"):
        twice.run("config", "rollback", 9)
