"""The commands in this process, on a site in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import cli
from node.config import Config, load
from node.ledger import Ledger
from node.standing import Standing
from tests.intake.objects import CT_IMAGE
from tests.ledger.arrivals import arrival

BASE = """
[node]
state = "state"
quiet_period_s = 0
"""
RULE = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
"""


@dataclass
class Site:
    """A node's folder; the node itself does not run."""

    file: Path

    @property
    def config(self) -> Config:
        return load(self.file, {})

    def ledger(self) -> Ledger:
        self.config.state.mkdir(exist_ok=True)
        return Ledger(self.config.database)

    def keep(self, text: str) -> None:
        """Put a configuration in force, as a running node does."""
        self.file.write_text(text)
        ledger = self.ledger()
        standing = Standing(self.config, ledger, lambda _config: None)
        standing.start()
        standing.stop()
        ledger.close()

    def run(self, *arguments: object) -> str:
        """Run a command that ends well; return what it printed."""
        result = CliRunner().invoke(cli, [*map(str, arguments), "--config", str(self.file)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json"))


def receive_slices(ledger: Ledger, count: int = 40) -> str:
    """Record the slices of one axial series; return its key."""
    for number in range(count):
        ledger.record_arrival(arrival(number))
    assert arrival(0).header.sop_class_uid == CT_IMAGE
    return ledger.status()[0].series_key


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "node.toml"
    file.write_text(BASE + RULE)
    return Site(file)
