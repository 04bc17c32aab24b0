"""The scanners' record survives, and every line is there once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.domain.quality import CrossCalibration
from node.domain.settings import QualitySettings
from node.errors import NodeError
from node.ledger import Ledger, sqlite_url
from node.ledger.quality import NewResolution
from node.quality.charts import charts
from tests.ledger.arrivals import outcome, plan, receive
from tests.quality.records import KEY, START, patient, qa_scan, series


def finished(ledger: Ledger, count: int = 3, first: int = 0, sigma: float = 1.42) -> None:
    """One series arrives, is measured, and its outcome says something of the scanner."""
    receive(ledger, count, first=first)
    job_id = plan(ledger)
    ledger.begin_job(job_id)
    ledger.finish_job(job_id, replace(outcome(1), scan_record=patient(sigma=sigma)), {"status": "measured"})


def test_a_finished_measurement_adds_its_line(ledger: Ledger) -> None:
    finished(ledger)
    (line,) = ledger.quality_record().scans
    assert (line.series_instance_uid, line.record) == ("1.2.3", patient())


def test_finishing_twice_adds_one_line(ledger: Ledger) -> None:
    finished(ledger)
    (job_id,) = {event.detail["job_id"] for event in ledger.events() if event.kind == "job-closed"}
    ledger.finish_job(str(job_id), replace(outcome(1), scan_record=patient(sigma=9.0)), {"status": "measured"})
    assert [line.record.sigma_ct for line in ledger.quality_record().scans] == [1.42]


def test_late_images_take_the_place_of_the_line(ledger: Ledger) -> None:
    finished(ledger)
    finished(ledger, count=2, first=3, sigma=1.43)
    lines = ledger.quality_record().scans
    assert [(line.record.sigma_ct, line.excluded is None) for line in lines] == [(1.42, False), (1.43, True)]


def test_the_same_scan_by_network_and_by_hand_is_one_line(ledger: Ledger) -> None:
    first = ledger.record_scan("1.2.9", "set", qa_scan())
    assert ledger.record_scan("1.2.9", "set", qa_scan()) == first
    assert len(ledger.quality_record().scans) == 1


def test_measured_again_with_another_certificate_it_is_brought_up_to_date(ledger: Ledger) -> None:
    ledger.record_scan("1.2.9", "set", qa_scan())
    ledger.record_scan("1.2.9", "set", qa_scan(sigma=1.5))
    assert [line.record.sigma_ct for line in ledger.quality_record().scans] == [1.5]
    assert "quality-measured-again" in {event.kind for event in ledger.events()}


def test_the_record_survives_a_restart(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    opened = Ledger(url)
    for number, scan in enumerate(series(13, 1, shift_from=10, shift=9.0)):
        opened.record_scan(f"1.2.{number}", "set", scan)
    opened.resolve_alarms(NewResolution(KEY.scanner, date(2026, 1, 1), False, "physicist", "tube arcing"))
    crossing = CrossCalibration(KEY, "CaHA", 0.94, 1.0, 1.2, START, date(2026, 1, 6), "esp")
    opened.keep_cross_calibration(crossing)
    before = opened.quality_record()
    opened.close()
    again = Ledger(url)
    after = again.quality_record()
    again.close()
    assert after == before
    assert charts(after, QualitySettings()) == charts(before, QualitySettings())
    assert (len(after.scans), after.cross_calibrations) == (13, (crossing,))


def test_a_ledger_of_the_first_release_takes_the_record(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "old.sqlite")
    engine = sa.create_engine(url)
    Ledger(url).close()
    with engine.begin() as connection:
        for table in ("quality_scans", "quality_resolutions", "quality_crossings"):
            connection.execute(sa.text(f"DROP TABLE {table}"))
    engine.dispose()
    opened = Ledger(url)
    opened.record_scan("1.2.9", "set", qa_scan())
    assert len(opened.quality_record().scans) == 1
    opened.close()


def test_an_excluded_scan_stays_and_does_not_count(ledger: Ledger) -> None:
    scan = ledger.record_scan("1.2.9", "set", qa_scan())
    ledger.exclude_scan(scan, "phantom misplaced")
    (line,) = ledger.quality_record().scans
    assert line.excluded == "phantom misplaced"
    assert charts(ledger.quality_record(), QualitySettings()) == ()


def test_an_unknown_scan_cannot_be_excluded(ledger: Ledger) -> None:
    with pytest.raises(NodeError, match="no scan 7"):
        ledger.exclude_scan(7, "x")


def test_patients_can_be_left_out_of_what_is_read(ledger: Ledger) -> None:
    ledger.record_scan("1.2.8", "set", patient())
    ledger.record_scan("1.2.9", "set", qa_scan())
    assert [line.record.kind for line in ledger.quality_record(KEY.scanner, patients=False).scans] == ["qa"]
