"""What is removed when, and what never is: real files, a real ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.admin import retention
from node.domain.job import MeasureOutcome
from node.domain.settings import RetentionSettings
from node.ledger import Ledger
from node.ledger.figures import DAY_S
from node.ledger.records import Attempt
from node.ledger.states import DeliveryState, State
from tests.ledger.arrivals import VERSION, Clock, arrival, choose, job, outcome, quiet_study

STORED = Attempt(DeliveryState.STORED, 0x0000, None, None)
AGES = RetentionSettings(inputs_days=30.0, results_days=60.0, history_days=90.0, disk_used_part=0.0)


class Site:
    """A ledger with files in a spool and in jobs' folders."""

    def __init__(self, ledger: Ledger, clock: Clock, folder: Path) -> None:
        self.ledger, self.clock = ledger, clock
        self.spool, self.jobs = folder / "spool", folder / "jobs"

    def series(self, number: int, *, destinations: tuple[str, ...] = ("A",), action: str = "measure") -> Path:
        """Receive, decide and measure a series; return its folder in the spool."""
        folder = self.spool / str(number)
        folder.mkdir(parents=True)
        for index in range(3):
            one = arrival(index, series=f"1.2.{number}", study=f"1.{number}")
            path = folder / str(index)
            path.write_bytes(b"image")
            self.ledger.record_arrival(replace(one, path=path))
        study = quiet_study(self.ledger)
        choices = choose(study, action, destinations)
        out = self.jobs / str(number)
        choices = [
            replace(one, planned=replace(one.planned, job=job(one.record.series, str(out)))) if one.planned else one
            for one in choices
        ]
        self.ledger.settle(study, VERSION, choices)
        if action == "measure":
            (job_id,) = self.ledger.unfinished_jobs()
            self.ledger.begin_job(job_id)
            self.ledger.finish_job(job_id, self._outcome(out, number), {})
        return folder

    def _outcome(self, out: Path, number: int) -> MeasureOutcome:
        out.mkdir(parents=True)
        (out / "report.dcm").write_bytes(b"report")
        made = outcome(1)
        objects = tuple(replace(one, path=out / "report.dcm") for one in made.objects)
        return replace(made, objects=objects, result_json=out / "result.json")

    def deliver(self) -> None:
        while (shipment := self.ledger.due_shipment("A")) is not None:
            for item in shipment.objects:
                self.ledger.record_attempt(shipment, item.sop_instance_uid, STORED)

    def later(self, days: float, settings: RetentionSettings = AGES) -> dict[str, int]:
        self.clock.now += days * DAY_S
        return retention.sweep(self.ledger, settings, self.spool, self.jobs)


@pytest.fixture
def site(ledger: Ledger, clock: Clock, tmp_path: Path) -> Site:
    return Site(ledger, clock, tmp_path)


def test_images_go_when_they_are_old(site: Site) -> None:
    folder = site.series(1)
    site.deliver()
    assert site.later(31) == {"inputs": 1, "results": 0, "history": 0}
    assert not folder.exists()


def test_images_stay_until_then(site: Site) -> None:
    folder = site.series(1)
    site.deliver()
    site.later(29)
    assert len(list(folder.iterdir())) == 3


def test_what_is_not_delivered_is_never_touched(site: Site) -> None:
    folder = site.series(1)
    assert site.later(1000) == {"inputs": 0, "results": 0, "history": 0}
    assert folder.exists()
    assert (site.jobs / "1" / "report.dcm").exists()


def test_what_is_held_is_never_touched(site: Site) -> None:
    site.series(1)
    site.ledger.operator.hold(site.ledger.operator.find("1.2.1"), "ann", "wait")
    assert site.later(1000) == {"inputs": 0, "results": 0, "history": 0}


def test_what_was_given_up_is_never_touched(site: Site) -> None:
    site.series(1)
    shipment = site.ledger.due_shipment("A")
    assert shipment is not None
    for item in shipment.objects:
        site.ledger.record_attempt(shipment, item.sop_instance_uid, Attempt(DeliveryState.FAILED, None, "gone", None))
    assert site.ledger.status()[0].state is State.FAILED
    assert site.later(1000) == {"inputs": 0, "results": 0, "history": 0}


def test_what_is_not_confirmed_yet_is_never_touched(site: Site) -> None:
    site.series(1)
    shipment = site.ledger.due_shipment("A")
    assert shipment is not None
    for item in shipment.objects:
        site.ledger.record_attempt(shipment, item.sop_instance_uid, replace(STORED, prove_at=site.clock.now + 1e9))
    assert site.later(1000) == {"inputs": 0, "results": 0, "history": 0}


def test_ignored_series_go_as_well(site: Site) -> None:
    folder = site.series(1, action="ignore")
    site.later(31)
    assert not folder.exists()


def test_a_study_that_is_being_added_to_is_not_touched(site: Site) -> None:
    folder = site.series(1, action="ignore")
    site.clock.now += 100 * DAY_S
    site.ledger.record_arrival(arrival(9, series="1.2.99", study="1.1"))
    assert site.later(0)["inputs"] == 0
    assert folder.exists()


def test_results_go_at_their_own_age(site: Site) -> None:
    site.series(1)
    site.deliver()
    site.later(31)
    assert (site.jobs / "1" / "report.dcm").exists()
    assert site.later(30)["results"] == 1
    assert not (site.jobs / "1").exists()


def test_history_goes_last(site: Site) -> None:
    site.series(1)
    site.deliver()
    site.later(61)
    assert len(site.ledger.status()) == 1
    assert site.later(30)["history"] == 1
    assert site.ledger.status() == []


def test_history_with_files_stays(site: Site) -> None:
    site.series(1)
    site.deliver()
    site.later(1000, replace(AGES, results_days=0.0))
    assert len(site.ledger.status()) == 1


def test_removal_is_in_the_history_of_the_series(site: Site) -> None:
    site.series(1)
    site.deliver()
    site.later(31)
    last = site.ledger.events(site.ledger.operator.find("1.2.1"))[-1]
    assert (last.kind, last.detail) == ("inputs-removed", {"objects": 3})


def test_zero_days_is_never(site: Site) -> None:
    site.series(1)
    site.deliver()
    assert site.later(10_000, RetentionSettings(0.0, 0.0, 0.0, 0.0))["inputs"] == 0


def test_on_a_full_disk_the_longest_ended_goes_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for number in (1, 2, 3):
        folders.append(site.series(number, action="ignore"))
        site.clock.now += 10.0
    left = lambda: sum(folder.exists() for folder in folders)  # noqa: E731
    monkeypatch.setattr(retention, "used_part", lambda _folder: 0.8 + 0.05 * left())
    site.later(0, replace(AGES, disk_used_part=0.92))
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_on_a_full_disk_the_undelivered_stays(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site.series(1)
    monkeypatch.setattr(retention, "used_part", lambda _folder: 1.0)
    site.later(0, replace(AGES, disk_used_part=0.9))
    assert folder.exists()


def test_images_sent_again_after_they_went_are_received_again(site: Site) -> None:
    site.series(1, action="ignore")
    site.later(31)
    again = site.spool / "again"
    again.write_bytes(b"image")
    site.ledger.record_arrival(replace(arrival(0, series="1.2.1", study="1.1"), path=again))
    assert site.ledger.stored_at(site.ledger.operator.find("1.2.1"))["1.2.1.0"] == again
