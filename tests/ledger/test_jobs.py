from __future__ import annotations

from node.domain.findings import Refusal
from node.ledger import Ledger
from node.ledger.states import State
from tests.ledger.arrivals import VERSION, choose, measure, outcome, plan, quiet_study, receive


def _state(ledger: Ledger) -> State:
    return ledger.status()[0].state


def test_a_planned_job_is_started_and_finished(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    assert _state(ledger) is State.READY
    begun = ledger.begin_job(job_id)
    assert begun is not None
    assert begun.starts == 1
    assert _state(ledger) is State.MEASURING
    ledger.finish_job(job_id, outcome(1), {"status": "measured", "mean_vbmd_mg_cm3": 123.4})
    assert _state(ledger) is State.DELIVERING
    assert ledger.unfinished_jobs() == []
    assert ledger.results() == [{"status": "measured", "mean_vbmd_mg_cm3": 123.4}]


def test_an_interrupted_job_is_started_again_and_counted(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    ledger.begin_job(job_id)
    begun = ledger.begin_job(job_id)
    assert begun is not None
    assert begun.starts == 2


def test_finishing_twice_is_finishing_once(ledger: Ledger) -> None:
    receive(ledger)
    job_id = measure(ledger)
    ledger.finish_job(job_id, outcome(1, 2, 3), {"status": "other"})
    assert ledger.results() == [{"status": "measured"}]
    assert ledger.status()[0].deliveries[0].total == 2


def test_a_finished_job_is_not_started_again(ledger: Ledger) -> None:
    receive(ledger)
    assert ledger.begin_job(measure(ledger)) is None


def test_without_a_destination_a_series_ends_measured(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, destinations=())
    assert _state(ledger) is State.MEASURED


def test_a_refusal_keeps_its_reason_and_is_delivered(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, refusal=Refusal("phantom-not-found", "No phantom.", {}))
    assert _state(ledger) is State.DELIVERING
    reasons = [event.detail.get("reason") for event in ledger.events() if event.kind == "state"]
    assert "phantom-not-found" in reasons


def test_a_refusal_that_nobody_is_told_ends_refused(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, destinations=(), refusal=Refusal("phantom-not-found", "No phantom.", {}))
    (row,) = ledger.status()
    assert (row.state, row.reason, row.message) == (State.REFUSED, "phantom-not-found", "No phantom.")


def test_a_failed_job_refuses_its_series(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    ledger.begin_job(job_id)
    ledger.fail_job(job_id, "measurement-failed", "It crashed.")
    ledger.fail_job(job_id, "measurement-failed", "It crashed again.")
    (row,) = ledger.status()
    assert (row.state, row.reason, row.message) == (State.REFUSED, "measurement-failed", "It crashed.")


def test_a_job_has_exactly_the_instances_it_was_planned_for(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    receive(ledger, 2, first=3)
    assert len(ledger.job(job_id).series.instances) == 3


def test_the_result_of_an_outdated_set_is_kept_but_not_delivered(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    ledger.begin_job(job_id)
    receive(ledger, 1, first=3)
    ledger.finish_job(job_id, outcome(1), {"status": "measured"})
    assert _state(ledger) is State.RECEIVING
    assert ledger.due_shipment("A") is None


def test_a_planned_job_of_an_outdated_set_is_not_started(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    receive(ledger, 1, first=3)
    assert ledger.begin_job(job_id) is None


def test_a_changed_set_is_measured_again_and_names_its_predecessor(ledger: Ledger) -> None:
    receive(ledger)
    first = measure(ledger, destinations=())
    receive(ledger, 1, first=3)
    second = plan(ledger)
    assert second != first
    with ledger._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT job_id, predecessor FROM jobs").all()
    assert dict(rows) == {first: None, second: first}


def test_a_changed_set_takes_back_what_was_not_sent_yet(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    receive(ledger, 1, first=3)
    plan(ledger)
    assert ledger.due_shipment("A") is None


def test_the_same_set_is_never_measured_twice(ledger: Ledger) -> None:
    receive(ledger)
    job_id = measure(ledger)
    receive(ledger, 1, series="1.2.4")  # another series of the study: the study is decided again
    study = quiet_study(ledger)
    assert [record.settled for record in study.series if record.key == job_id[:16]] == [True]
    ledger.settle(study, "config-2", choose(study))
    states = {row.series_instance_uid: row.state for row in ledger.status()}
    assert states == {"1.2.3": State.DELIVERING, "1.2.4": State.READY}


def test_of_two_hosts_that_decide_a_study_one_is_faster(ledger: Ledger) -> None:
    receive(ledger)
    study = quiet_study(ledger)
    choices = choose(study)
    assert ledger.settle(study, VERSION, choices)
    assert not ledger.settle(study, VERSION, choices)
    assert len(ledger.unfinished_jobs()) == 1


def test_a_new_decision_replaces_a_job_that_was_not_started(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    receive(ledger, 1, series="1.2.4")
    study = quiet_study(ledger)
    ledger.settle(study, VERSION, choose(study, "ignore"))
    assert ledger.begin_job(job_id) is None
    assert {row.state for row in ledger.status()} == {State.IGNORED}
