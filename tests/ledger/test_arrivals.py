from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.errors import NodeError
from node.ledger import Ledger, LedgerUnavailable, sqlite_url
from node.ledger.records import Recorded
from node.ledger.states import State
from tests.ledger.arrivals import VERSION, Clock, arrival, choose, measure, plan, quiet_study, receive


def test_the_first_object_opens_its_series(ledger: Ledger) -> None:
    assert ledger.record_arrival(arrival(1)) is Recorded.NEW
    (row,) = ledger.status()
    assert (row.state, row.reason, row.instances, row.sender) == (State.RECEIVING, "arriving", 1, "CT1")


def test_the_same_bytes_again_are_recorded_once(ledger: Ledger) -> None:
    ledger.record_arrival(arrival(1))
    assert ledger.record_arrival(arrival(1)) is Recorded.DUPLICATE
    assert ledger.status()[0].instances == 1


def test_other_bytes_under_a_known_uid_are_kept_beside(ledger: Ledger) -> None:
    ledger.record_arrival(arrival(1))
    assert ledger.record_arrival(arrival(1, digest="other")) is Recorded.VARIANT
    (record,) = quiet_study(ledger).series
    assert [instance.digest for instance in record.series.instances] == ["1.2.3-1"]
    assert [event.kind for event in ledger.events(record.key)] == ["series-opened", "variant-instance"]


def test_a_variant_sent_twice_is_recorded_once(ledger: Ledger) -> None:
    ledger.record_arrival(arrival(1))
    ledger.record_arrival(arrival(1, digest="other"))
    assert ledger.record_arrival(arrival(1, digest="other")) is Recorded.DUPLICATE


def test_a_repeated_object_does_not_reopen_a_decided_series(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.record_arrival(arrival(0))
    assert ledger.status()[0].state is State.DELIVERING
    assert ledger.quiet_studies(0.0) == []


def test_a_late_object_reopens_a_decided_series(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    receive(ledger, 1, first=3)
    (row,) = ledger.status()
    assert (row.state, row.reason, row.instances) == (State.RECEIVING, "late-instance", 4)


def test_a_study_is_quiet_only_after_its_last_instance(ledger: Ledger, clock: Clock) -> None:
    receive(ledger, 1)
    clock.now += 50
    receive(ledger, 1, first=1)
    clock.now += 50
    assert ledger.quiet_studies(60.0) == []
    clock.now += 10
    assert len(ledger.quiet_studies(60.0)) == 1


def test_a_header_is_kept_as_it_was(ledger: Ledger) -> None:
    sent = arrival(7)
    ledger.record_arrival(sent)
    (record,) = quiet_study(ledger).series
    assert record.series.instances[0].header == sent.header


def test_four_threads_record_everything_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        recorded = list(pool.map(lambda number: ledger.record_arrival(arrival(number % 40)), range(80)))
    assert recorded.count(Recorded.NEW) == 40
    assert ledger.status()[0].instances == 40


def test_what_is_recorded_is_there_after_reopening(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    first = Ledger(url)
    receive(first)
    first.close()
    second = Ledger(url)
    assert second.status()[0].instances == 3
    second.close()


def test_commits_are_synced_in_wal_mode(ledger: Ledger) -> None:
    with ledger._database.read() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_a_database_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with sa.create_engine(sqlite_url(tmp_path / "ledger.sqlite")).connect() as other:
        other.exec_driver_sql("DROP TABLE instances")
    with pytest.raises(LedgerUnavailable):
        ledger.record_arrival(arrival(1))
    ledger.close()


def test_a_ledger_of_another_schema_version_is_not_opened(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    Ledger(url).close()
    with sa.create_engine(url).begin() as connection:
        connection.exec_driver_sql("UPDATE about SET schema_version = 999")
    with pytest.raises(NodeError, match="999"):
        Ledger(url)


def test_an_error_of_the_database_does_not_quote_a_header(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with sa.create_engine(sqlite_url(tmp_path / "ledger.sqlite")).connect() as other:
        other.exec_driver_sql("DROP TABLE instances")
    with pytest.raises(LedgerUnavailable) as caught:
        ledger.record_arrival(arrival(1))
    assert "Abdomen" not in str(caught.value)
    ledger.close()


def test_a_decision_about_a_study_that_grew_meanwhile_is_void(ledger: Ledger) -> None:
    receive(ledger)
    study = quiet_study(ledger)
    receive(ledger, 1, first=3)
    assert not ledger.settle(study, VERSION, choose(study))
    assert ledger.status()[0].state is State.RECEIVING
    assert plan(ledger)


def test_what_was_removed_is_not_known_until_it_has_come_again(ledger: Ledger) -> None:
    one = arrival(1)
    ledger.record_arrival(one)
    with ledger._database.write() as connection:
        connection.exec_driver_sql("UPDATE instances SET path = ''")
    assert not ledger.knows(one.header.sop_instance_uid, one.digest)
    assert ledger.record_arrival(one) is Recorded.DUPLICATE
    assert ledger.knows(one.header.sop_instance_uid, one.digest)
