"""docs/operations.md says what is so; a backup restores a node."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from node import cli
from node.admin import alarms, metrics
from node.admin.alarms import Machine
from node.admin.watch import Watch
from node.cli.console import cli as commands
from node.config import load
from node.demo.pacs import AE_TITLE, free_port
from node.ledger import Ledger, sqlite_url
from node.ledger.states import State
from tests import running
from tests.fake_pacs import fake_pacs
from tests.intake.objects import ct_series
from tests.workflow.house import wait_until

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
cli.load()


def _named(pattern: str) -> set[str]:
    return set(re.findall(pattern, PAGE, re.MULTILINE))


def test_every_command_on_the_page_exists() -> None:
    known = set(typer.main.get_command(commands).commands)  # type: ignore[attr-defined]
    assert _named(r"vbmd-node ([a-z]+)\b(?! \.)") - {"check"} <= known


def test_every_operating_command_is_on_the_page() -> None:
    assert set(cli.OPERATING) <= _named(r"`(?:vbmd-node )?([a-z]+)\b[^`]*`")


def test_every_alarm_of_the_code_is_on_the_page() -> None:
    source = Path(alarms.__file__).read_text(encoding="utf-8")
    kinds = set(re.findall(r"Alarm\(\s*\"([a-z-]+)\"", source))
    assert kinds == _named(r"^\| `([a-z-]+)` \| [^|]+ \| [^|]+ \|$") - {"receive", "work", "deliver", "admin"}


def test_every_metric_is_on_the_page(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    collector = metrics.NodeCollector(ledger.figures.now(), Machine({}, 0.0), [], {}, [])
    names = {family.name for family in collector.collect()}
    ledger.close()
    assert names == {name.removesuffix("_total") for name in _named(r"(vbmd_[a-z_]+)")}


def test_the_container_asks_whether_it_lives() -> None:
    assert 'CMD ["vbmd-node", "health"]' in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\nstate = "state"\n[admin]\nport = {free_port()}\n')
    return file


def test_health_of_a_living_node_ends_with_0(watched: Path) -> None:
    config = load(watched, {})
    config.state.mkdir()
    ledger = Ledger(config.database)
    watch = Watch(ledger, config, dict)
    watch.start()
    result = CliRunner().invoke(commands, ["health", "--config", str(watched)])
    watch.stop()
    ledger.close()
    assert (result.exit_code, "alive" in result.stdout) == (0, True)


def test_health_of_a_dead_node_ends_otherwise(watched: Path) -> None:
    assert CliRunner().invoke(commands, ["health", "--config", str(watched)]).exit_code != 0


RULE = """
retry = { first_delay_s = 0.5, max_delay_s = 1 }
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
"""


@pytest.mark.peer
def test_a_restored_backup_goes_on_where_it_was_made(tmp_path: Path) -> None:
    """A report waits for an archive that is down when the machine burns."""
    port, target = free_port(), tmp_path / "backup"
    config = running.configuration(tmp_path / "node", port, RULE, quiet_period_s=1.0)
    ct_series(tmp_path / "ct", 1, 1, 24)
    with running.serving(config) as process:
        running.dcmsend(config, tmp_path / "ct")
        _wait(config.database, State.DELIVERING)
        for _ in range(2):
            copied = CliRunner().invoke(commands, ["backup", str(target), "--config", str(config.file)])
        process.kill()
    shutil.rmtree(config.state)
    config.state.mkdir()
    for name in ("node.sqlite", "spool", "jobs"):
        source = target / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, config.state / name)
    with fake_pacs(port=port, ae_title=AE_TITLE) as pacs, running.serving(config):
        _wait(config.database, State.DELIVERED)
    assert ": 0 files copied, " in copied.output
    assert sorted(one.Modality for one in pacs.stored) == ["OT", "SR"]


def _wait(database: str, state: State) -> None:
    ledger = Ledger(database)
    try:
        wait_until(lambda: [row.state for row in ledger.status()] == [state], 120.0, ledger.status)
    finally:
        ledger.close()
