from __future__ import annotations

import json
import time

from node.ledger import Ledger, schema
from node.ledger.states import State
from tests.ledger.arrivals import VERSION, choose, measure, quiet_study, receive


def test_every_series_that_arrived_is_listed_with_a_reason(ledger: Ledger) -> None:
    receive(ledger)
    receive(ledger, series="1.2.4")
    rows = ledger.status()
    assert {row.series_instance_uid for row in rows} == {"1.2.3", "1.2.4"}
    assert all(row.reason and row.message for row in rows)


def test_counts_name_every_state(ledger: Ledger) -> None:
    receive(ledger)
    assert ledger.counts() == {state: int(state is State.RECEIVING) for state in State}


def test_status_can_be_limited_to_states(ledger: Ledger) -> None:
    receive(ledger)
    assert ledger.status(states=(State.DELIVERED,)) == []
    assert len(ledger.status(states=(State.RECEIVING,))) == 1


def test_the_history_of_a_series_is_append_only_and_in_order(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    key = ledger.status()[0].series_key
    moves = [(event.detail["origin"], event.detail["target"]) for event in ledger.events(key) if event.kind == "state"]
    assert moves == [
        ("receiving", "ready"),
        ("ready", "measuring"),
        ("measuring", "measured"),
        ("measured", "delivering"),
    ]


def test_each_decision_is_kept_with_its_configuration(ledger: Ledger) -> None:
    receive(ledger)
    study = quiet_study(ledger)
    ledger.settle(study, VERSION, choose(study, "ignore"))
    with ledger._database.read() as connection:
        row = connection.exec_driver_sql("SELECT action, config_version, verdicts FROM decisions").one()
    assert (row[0], row[1], json.loads(row[2])) == ("ignore", VERSION, [])


def test_status_answers_within_100_ms_among_100_000_series(ledger: Ledger) -> None:
    _fill(ledger, series=100_000)
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        assert len(ledger.status(100)) == 100
        assert sum(ledger.counts().values()) == 100_000
        assert ledger.figures.now().instances == 30_000_000
        spent.append(time.perf_counter() - begun)
    assert min(spent) < 0.1, spent


def _fill(ledger: Ledger, series: int) -> None:
    studies = [
        {"study_key": f"{n:016x}", "study_instance_uid": f"1.{n}", "first_received_at": n, "last_received_at": n}
        for n in range(series // 4)
    ]
    rows = [
        {
            "series_key": f"{n:016x}",
            "study_key": f"{n // 4:016x}",
            "series_instance_uid": f"1.{n // 4}.{n}",
            "instances": 300,
            "first_received_at": n,
            "last_received_at": n * 7919 % series,
            "state": list(State)[n % len(State)].value,
            "reason": "made-up",
            "message": "Made up.",
            "state_since": n,
        }
        for n in range(series)
    ]
    with ledger._database.write() as connection:
        connection.execute(schema.studies.insert().values(revision=1, undecided=False), studies)
        connection.execute(schema.series.insert(), rows)
