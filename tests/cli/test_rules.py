from __future__ import annotations

from pathlib import Path

import pytest

from node import app
from node.domain.settings import AssemblySettings
from node.errors import ConfigError, NodeError
from node.intake import Assembly
from tests.cli.commands import Site, receive_slices

NOTHING = """
[[rules]]
name = "nothing"
when = { attribute = "modality", equals = "MR" }
"""


@pytest.fixture
def decided(site: Site) -> tuple[Site, str]:
    """A site with one series, decided as a running node decides it."""
    ledger = site.ledger()
    key = receive_slices(ledger)
    Assembly(ledger, AssemblySettings(0, 1), lambda: app.routes(site.config), lambda _job: None).sweep()
    ledger.close()
    return site, key


def test_the_rules_in_force_would_do_the_same(decided: tuple[Site, str]) -> None:
    site, _ = decided
    assert [one["changed"] for one in site.json("rules", "try", site.file)] == [False]


def test_other_rules_show_the_difference(decided: tuple[Site, str], tmp_path: Path) -> None:
    site, key = decided
    changed = tmp_path / "changed.toml"
    changed.write_text(NOTHING)
    (one,) = site.json("rules", "try", changed, "--since", "30d")
    assert (one["series_key"], one["changed"]) == (key, True)
    assert (one["before"]["action"], one["after"]["action"]) == ("measure", "ignore")
    printed = site.run("rules", "try", changed)
    assert "1 series since 30d, 1 would go another way" in printed
    assert "1 measure (unsuitable-series) → ignore (no-rule-matched)" in printed


def test_trying_changes_nothing(decided: tuple[Site, str], tmp_path: Path) -> None:
    site, key = decided
    before = site.json("status")
    (tmp_path / "changed.toml").write_text(NOTHING)
    site.run("rules", "try", tmp_path / "changed.toml")
    ledger = site.ledger()
    assert len(ledger.decisions.of(key)) == 1
    ledger.close()
    assert site.json("status") == before


def test_series_before_the_time_are_left_out(decided: tuple[Site, str]) -> None:
    site, _ = decided
    assert site.json("rules", "try", site.file, "--since", "2099-01-01") == []


def test_rules_that_are_wrong_are_refused_with_their_file(decided: tuple[Site, str], tmp_path: Path) -> None:
    site, _ = decided
    (tmp_path / "wrong.toml").write_text('[[rules]]\nname = "x"\nwhen = { attribute = "colour", equals = "red" }\n')
    with pytest.raises(ConfigError, match=r"wrong\.toml: rules\[0\]"):
        site.run("rules", "try", tmp_path / "wrong.toml")


def test_a_time_that_is_none_is_an_error(decided: tuple[Site, str]) -> None:
    site, _ = decided
    with pytest.raises(NodeError, match="is no time"):
        site.run("rules", "try", site.file, "--since", "yesterday")


def test_explain_names_each_rule_and_why(decided: tuple[Site, str]) -> None:
    site, key = decided
    site.file.write_text(site.file.read_text() + NOTHING)
    printed = site.run("rules", "explain", key)
    assert 'rule "trunk" matches:\n  all conditions are met' in printed
    assert 'rule "nothing" does not match:\n  modality is "CT", wanted "MR".' in printed


def test_explain_takes_the_uid_and_the_first_digits_of_the_key(decided: tuple[Site, str]) -> None:
    site, key = decided
    assert site.json("rules", "explain", "1.2.3") == site.json("rules", "explain", key[:6])


def test_explain_tells_what_was_decided_before(decided: tuple[Site, str]) -> None:
    site, key = decided
    (past,) = site.json("rules", "explain", key)["past"]
    assert (past["action"], past["config_version"]) == ("measure", site.config.digest)


def test_explain_of_an_unknown_series_is_an_error(decided: tuple[Site, str]) -> None:
    with pytest.raises(NodeError, match="No series"):
        decided[0].run("rules", "explain", "9.9.9")
