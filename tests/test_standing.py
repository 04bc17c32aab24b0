"""The configuration of a running node: re-read whole, or refused with every problem while the last good one stays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node import log
from node.config import Config, load
from node.ledger import Ledger, sqlite_url
from node.standing import Standing


@dataclass
class Site:
    file: Path
    ledger: Ledger
    standing: Standing
    applied: list[Config] = field(default_factory=list)
    log: io.StringIO = field(default_factory=io.StringIO)

    def edit(self, text: str) -> None:
        self.file.write_text(text)
        self.standing.look()
        self.standing.look()


GOOD = "[node]\nquiet_period_s = 5\n"
BETTER = "[node]\nquiet_period_s = 6\n"
BAD = '[node]\nquiet_period_s = -1\nspeed = 3\n[[rules]]\nname = "x"\ndestinations = ["nowhere"]\n'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    file = tmp_path / "node.toml"
    file.write_text(GOOD)
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    applied: list[Config] = []
    stream = io.StringIO()
    log.setup("INFO", stream=stream)
    standing = Standing(load(file), ledger, applied.append)
    standing.start()
    yield Site(file, ledger, standing, applied, stream)
    standing.stop()
    ledger.close()


def test_what_a_node_starts_with_is_version_1(site: Site) -> None:
    (version,) = site.ledger.configs.all()
    assert (version.number, version.digest, version.files) == (1, site.standing.config.digest, {"node.toml": GOOD})


def test_an_edit_is_applied_and_kept(site: Site) -> None:
    site.edit(BETTER)
    assert [config.assembly.quiet_period_s for config in site.applied] == [6]
    assert [version.digest for version in site.ledger.configs.all()][-1] == site.applied[0].digest


def test_a_comment_alone_changes_nothing(site: Site) -> None:
    site.edit(GOOD + "# a comment\n")
    assert (site.applied, len(site.ledger.configs.all())) == ([], 1)


def test_an_invalid_edit_leaves_the_last_good_one_in_force(site: Site) -> None:
    site.edit(BAD)
    assert site.applied == []
    assert site.standing.config.assembly.quiet_period_s == 5
    assert len(site.ledger.configs.all()) == 1


def test_every_problem_of_an_invalid_edit_is_named(site: Site) -> None:
    site.edit(BAD)
    written = site.log.getvalue()
    assert [key in written for key in ("node.quiet_period_s", "node.speed", "rules[0].destinations")] == [True] * 3
    (event,) = [event for event in site.ledger.events() if event.kind == "config-refused"]
    assert len(event.detail["problems"]) == 3  # type: ignore[arg-type]


def test_a_repaired_edit_is_applied(site: Site) -> None:
    site.edit(BAD)
    site.edit(BETTER)
    assert [config.assembly.quiet_period_s for config in site.applied] == [6]


def test_a_return_names_the_version_returned_to(site: Site) -> None:
    site.edit(BETTER)
    site.edit(GOOD)
    assert [version.origin for version in site.ledger.configs.all()] == ["start", "file", "as version 1"]


def test_a_broken_report_template_is_refused_like_the_rest(site: Site) -> None:
    (site.file.parent / "sr_templates").mkdir()
    (site.file.parent / "sr_templates" / "mine.toml").write_text("title = 3\n")
    site.edit(GOOD + '[[rules]]\nname = "x"\ntemplate = "mine"\n')
    assert site.applied == []
    assert "mine.toml" in site.log.getvalue()


def test_a_restart_with_the_same_configuration_is_the_same_version(site: Site) -> None:
    again = Standing(load(site.file), site.ledger, site.applied.append)
    again.start()
    again.stop()
    assert len(site.ledger.configs.all()) == 1


def test_what_needs_a_restart_is_said(site: Site) -> None:
    site.edit(GOOD + "port = 1104\n")
    assert "config-waits-for-restart" in site.log.getvalue()
