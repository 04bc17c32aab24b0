"""Reminders with a held clock, and what the record lends to a series."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from node import assurance, attention
from node.config import Config, load
from node.domain.instance import InstanceHeader, Plane, Series, StoredInstance
from node.domain.quality import QualityRecord
from node.domain.settings import QualitySettings
from node.ledger import Ledger, sqlite_url
from tests.ledger.arrivals import Clock
from tests.quality.records import KEY, START, qa_scan, recorded, series

NOON = datetime(START.year, START.month, START.day, 12, tzinfo=UTC)
SETTINGS = QualitySettings()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON.timestamp())


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger(sqlite_url(tmp_path / "ledger.sqlite"), clock)
    yield opened
    opened.close()


def logged(reminder: assurance.Reminder) -> list[dict[str, Any]]:
    with structlog.testing.capture_logs() as lines:
        reminder.remind()
    return [dict(line) for line in lines]


def test_a_qa_scan_is_due_one_interval_after_the_last(ledger: Ledger, clock: Clock) -> None:
    ledger.record_scan("1.2.1", "set", qa_scan(START))
    reminder = assurance.Reminder(ledger, SETTINGS)
    clock.now = (NOON + timedelta(days=30)).timestamp()
    assert logged(reminder) == []
    clock.now = (NOON + timedelta(days=31)).timestamp()
    (line,) = logged(reminder)
    assert (line["event"], line["scanner"], line["days"]) == ("qa-scan-due", KEY.scanner, 1)


def test_the_reminder_comes_again_until_the_scan_is_there(ledger: Ledger, clock: Clock) -> None:
    ledger.record_scan("1.2.1", "set", qa_scan(START))
    reminder = assurance.Reminder(ledger, SETTINGS)
    clock.now = (NOON + timedelta(days=40)).timestamp()
    assert [len(logged(reminder)) for _ in range(2)] == [1, 1]
    ledger.record_scan("1.2.2", "set", qa_scan(START + timedelta(days=40)))
    assert logged(reminder) == []


def test_status_shows_what_is_overdue_and_out_of_control(ledger: Ledger, clock: Clock) -> None:
    scans = series(11, 1, shift_from=10, shift=9.0)
    for number, scan in enumerate(scans):
        ledger.record_scan(f"1.2.{number}", "set", scan)
    clock.now = (NOON + timedelta(days=400)).timestamp()
    told = attention.attention(ledger, SETTINGS)
    assert told[0].startswith("QA scan of SN-1001, 120 kV, standard kernel due since")
    assert all(line.startswith("Out of control: SN-1001") for line in told[1:])
    assert len(told) > 1


def test_a_new_alarm_is_logged_once(ledger: Ledger) -> None:
    for number, scan in enumerate(series(11, 1, shift_from=10, shift=9.0)):
        ledger.record_scan(f"1.2.{number}", "set", scan)
    reminder = assurance.Reminder(ledger, SETTINGS)
    with structlog.testing.capture_logs() as lines:
        reminder.look()
        reminder.look()
    alarms = [line["message"] for line in lines if line["event"] == "scanner-out-of-control"]
    assert len(alarms) == len(set(alarms)) > 0


def test_the_scheduler_reminds_at_the_start(ledger: Ledger, clock: Clock) -> None:
    ledger.record_scan("1.2.1", "set", qa_scan(START))
    clock.now = (NOON + timedelta(days=40)).timestamp()
    reminder = assurance.Reminder(ledger, SETTINGS)
    with structlog.testing.capture_logs() as lines:
        reminder.start()
        deadline = datetime.now(UTC) + timedelta(seconds=10)
        while not lines and datetime.now(UTC) < deadline:
            pass
        reminder.stop()
    assert [line["event"] for line in lines] == ["qa-scan-due"]


def ct(**changes: Any) -> Series:
    plane = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    header = InstanceHeader(
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        sop_instance_uid="1.2.3.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        manufacturer="SIEMENS",
        convolution_kernel="B30f",
        device_serial_number="SN-1001",
        kvp=120.0,
        study_date="20250110",
        planes=(Plane((0.0, 0.0, 0.0), plane, (0.8, 0.8)),),  # type: ignore[arg-type]
    )
    return Series("1.2", "1.2.3", (StoredInstance(Path("x"), replace(header, **changes), "d"),))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "node.toml").write_text(
        '[measure]\nphantoms = ["mindways-model3-4541a"]\n[[rules]]\nname = "r"\nasynchronous = true\n'
    )
    return load(tmp_path, {})


def lent(config: Config, one: Series, record: QualityRecord) -> float | None:
    rule = config.rules[0]
    quality = assurance.quality_for(
        one, rule, config, lambda scanner: record if scanner == KEY.scanner else QualityRecord()
    )
    return quality.asynchronous.sigma_ct if quality.asynchronous else None


def test_a_series_borrows_from_its_own_scanner(config: Config) -> None:
    assert lent(config, ct(), recorded(qa_scan(phantom="mindways-model3-4541a"))) == pytest.approx(1.42)


@pytest.mark.parametrize(
    "changes",
    [
        {"device_serial_number": "SN-2002"},
        {"kvp": 100.0},
        {"kvp": None},
        {"convolution_kernel": "B70f"},
        {"study_date": None},
        {"study_date": "20260110"},
        {"device_serial_number": None},
    ],
)
def test_a_series_of_other_or_unknown_kind_borrows_nothing(config: Config, changes: dict[str, Any]) -> None:
    assert lent(config, ct(**changes), recorded(qa_scan(phantom="mindways-model3-4541a"))) is None


def test_a_station_name_stands_in_for_a_serial_number(config: Config) -> None:
    record = recorded(qa_scan(phantom="mindways-model3-4541a"))
    assert lent(config, ct(device_serial_number=None, station_name=KEY.scanner), record) is not None


def test_what_is_lent_crosses_a_process_border(config: Config) -> None:
    from node.app import job_for
    from node.domain.decision import Decision
    from node.workflow.child import JOB

    record = recorded(qa_scan(phantom="mindways-model3-4541a"))
    decision = Decision("1.2.3", "measure", "r", "selected", "", ())
    job = job_for(ct(), decision, config, Path("out"), lambda _scanner: record)
    assert job.quality.asynchronous is not None
    assert JOB.validate_json(JOB.dump_json(job)) == job
    assert json.loads(JOB.dump_json(job))["scanner"]["scanner"] == "SN-1001"
