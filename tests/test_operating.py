"""A node of its own process, a scanner, an emergency scanner, two archives of which one is dead, and an operator."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import cli
from node.config import Config, load
from node.demo.pacs import free_port
from node.ledger import Ledger
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from tests import running
from tests.fake_pacs import FakePacs, fake_pacs, refuse_first
from tests.intake.objects import ct_series, uid
from tests.peers import peer
from tests.workflow.house import wait_until

pytestmark = pytest.mark.peer
cli.load()

MARK = "GEHEIM"
SLICES = 24
PLAIN, URGENT, POISON, REFUSED, LATER = 1, 2, 3, 4, 5
REJECTION_NOTE = "1.2.840.10008.5.1.4.1.1.88.59"


def _configuration(folder: Path, pacs_port: int) -> Config:
    file = folder / "node.toml"
    file.write_text(
        f"""
[node]
bind = "127.0.0.1"
port = {free_port()}
state = "state"
quiet_period_s = 1
sweep_interval_s = 0.2
disk_reserve_mb = 1
disk_watermark = 1.0
[[senders]]
name = "scanner"
ae_title = "{running.SCANNER}"
[[senders]]
name = "emergency"
ae_title = "ER"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs_port}
proof = ["find"]
proof_delay_s = 0.2
retry = {{ first_delay_s = 0.3, max_delay_s = 1 }}
[[destinations]]
name = "dead"
ae_title = "DEAD"
host = "127.0.0.1"
port = {free_port()}
retry = {{ first_delay_s = 0.5, max_delay_s = 1 }}
[[rules]]
name = "urgent"
when = {{ attribute = "sender", equals = "ER" }}
priority = 50
destinations = ["pacs"]
[[rules]]
name = "trunk"
when = {{ attribute = "modality", equals = "CT" }}
destinations = ["pacs", "dead"]
[retention]
disk_used_part = 0
[alarms]
disk_free_part = 0
"""
    )
    return load(file)


@dataclass
class Site:
    """What an operator has before him."""

    config: Config
    pacs: FakePacs
    said: list[str] = field(default_factory=list)

    def run(self, *arguments: str) -> str:
        """Give a command that ends well."""
        result = CliRunner().invoke(cli.cli, [*arguments, "--config", str(self.config.file)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        self.said.append(result.output)
        return result.output

    def send(self, folder: Path, study: int, description: str, ae_title: str = running.SCANNER) -> None:
        """Send a series under a marked name."""
        marked = {"PatientName": f"{MARK}^Anna", "PatientID": f"{MARK}-1", "AccessionNumber": f"{MARK}2"}
        files = ct_series(folder / str(study), study, 1, SLICES, SeriesDescription=description, **marked)
        address = ("127.0.0.1", str(self.config.receiver.port))
        subprocess.run([peer("dcmsend"), "-aet", ae_title, "-aec", "VBMD_NODE", *address, *map(str, files)], check=True)

    def rows(self) -> dict[int, SeriesStatus]:
        ledger = Ledger(self.config.database)
        try:
            by_uid = {row.series_instance_uid: row for row in ledger.status()}
        finally:
            ledger.close()
        return {study: by_uid[uid(study, 1)] for study in range(1, 9) if uid(study, 1) in by_uid}

    def wait(self, study: int, state: State) -> None:
        wait_until(lambda: study in self.rows() and self.rows()[study].state is state, 40.0, self.rows)

    @property
    def log(self) -> str:
        return self.config.file.with_name("node.log").read_text()

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.splitlines()]


@contextmanager
def _serving(config: Config) -> Iterator[None]:
    program = "from tests.test_operating import serve; import sys; serve(sys.argv[1])"
    with config.file.with_name("node.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", program, str(config.file)], stdout=log, stderr=log)
        try:
            running.wait_for_echo(config)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def serve(file: str) -> None:
    """The node, with a measurement that does as the series' description says."""
    from node import app, log, standing

    log.setup("DEBUG", as_json=True)
    app.serve(standing.read(Path(file)), function="tests.workflow.measurements:by_description")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The whole walk; the tests look at what is left of it."""
    folder = tmp_path_factory.mktemp("operating")
    with fake_pacs(refuse_first(2)) as pacs:
        site = Site(_configuration(folder, pacs.port), pacs)
        with _serving(site.config):
            _walk(site, folder)
        yield site


def _walk(site: Site, folder: Path) -> None:
    site.run("pause", "--why", "service")
    for study, description in ((POISON, "poison"), (REFUSED, "refused"), (PLAIN, "plain")):
        site.send(folder, study, description)
    site.send(folder, URGENT, "urgent", "ER")
    for study in (POISON, REFUSED, PLAIN, URGENT):
        site.wait(study, State.READY)
    site.run("resume")
    site.wait(URGENT, State.DELIVERED)
    site.wait(POISON, State.REFUSED)
    for study in (PLAIN, REFUSED):
        site.wait(study, State.DELIVERING)
    wait_until(lambda: len({str(one.StudyInstanceUID) for one in site.pacs.stored}) == 3, 20.0)
    site.run("drop", "dead", "--by", "ann", "--why", "it is gone")
    site.wait(PLAIN, State.DELIVERED)
    site.wait(REFUSED, State.DELIVERED)
    site.run("withdraw", uid(PLAIN, 1), "--by", "ann", "--why", "another phantom")
    site.run("switch", "off", "destination", "dead", "--why", "it is gone")
    site.run("switch", "off", "sender", "scanner", "--why", "drift")
    site.send(folder, LATER, "later")
    site.wait(LATER, State.READY)
    site.run("hold", uid(LATER, 1), "--by", "ann", "--why", "look first")
    site.run("switch", "on", "sender", "scanner")
    site.wait(LATER, State.HELD)
    site.run("retry", uid(POISON, 1), "--why", "once more")
    wait_until(lambda: site.log.count('"event": "measurement-failed"') >= 4, 30.0)
    site.wait(POISON, State.REFUSED)
    wait_until(lambda: REJECTION_NOTE in [str(one.SOPClassUID) for one in site.pacs.stored], 20.0)


def test_no_log_holds_anything_of_a_patient(site: Site) -> None:
    assert MARK not in site.log


def test_all_of_it_was_logged(site: Site) -> None:
    expected = {"decided", "measuring", "measured", "measurement-failed", "object-offered", "destination-unreachable"}
    assert expected <= {str(line["event"]) for line in site.lines()}


def test_every_line_about_a_series_names_it(site: Site) -> None:
    of_series = ("decided", "measuring", "measured", "measurement-failed", "object-offered", "proof")
    keys = {row.series_key for row in site.rows().values()}
    assert {line.get("series") for line in site.lines() if line["event"] in of_series} == keys


def test_the_urgent_series_is_measured_first(site: Site) -> None:
    begun = [line["series"] for line in site.lines() if line["event"] == "measuring"]
    assert begun[0] == site.rows()[URGENT].series_key


def test_a_poisoned_study_is_set_aside_with_its_reason(site: Site) -> None:
    row = site.rows()[POISON]
    assert (row.state, row.reason) == (State.REFUSED, "measurement-failed")


def test_the_input_of_a_poisoned_study_is_kept(site: Site) -> None:
    ledger = Ledger(site.config.database)
    paths = ledger.stored_at(site.rows()[POISON].series_key).values()
    ledger.close()
    assert [path.exists() for path in paths] == [True] * SLICES


def test_what_follows_a_poisoned_study_is_delivered(site: Site) -> None:
    assert {site.rows()[URGENT].state, site.rows()[REFUSED].state} == {State.DELIVERED}


def test_a_refusal_that_was_reported_says_why(site: Site) -> None:
    assert site.rows()[REFUSED].reason == "phantom-not-found"


def test_an_archive_that_refused_at_first_holds_everything_once(site: Site) -> None:
    reports = [str(one.SOPInstanceUID) for one in site.pacs.stored if one.StudyInstanceUID == uid(URGENT)]
    assert len(reports) == len(set(reports)) == 2


def test_a_dead_archive_did_not_hold_up_the_other(site: Site) -> None:
    taken = {one.destination: one.stored for one in site.rows()[REFUSED].deliveries}
    assert taken == {"pacs": 2, "dead": 0}


def test_a_report_that_was_taken_back_is_withdrawn(site: Site) -> None:
    assert site.rows()[PLAIN].state is State.WITHDRAWN


def test_the_archive_is_told_who_took_it_back_and_why(site: Site) -> None:
    (note,) = [one for one in site.pacs.stored if one.SOPClassUID == REJECTION_NOTE]
    said = [str(item.get("TextValue") or item.get("PersonName") or "") for item in note.ContentSequence]
    assert {"another phantom", "ann^"} <= set(said)


def test_history_says_who_and_why(site: Site) -> None:
    told = site.run("history", uid(PLAIN, 1))
    assert "withdrawn  by ann, why another phantom" in told


def test_a_series_that_is_held_was_sent_nowhere(site: Site) -> None:
    assert site.rows()[LATER].state is State.HELD
    assert uid(LATER) not in {str(one.StudyInstanceUID) for one in site.pacs.stored}


def test_status_shows_what_is_switched_off(site: Site) -> None:
    assert "destination dead is switched off" in site.run("status")
