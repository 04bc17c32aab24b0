"""What operators do to series, senders and destinations; each act with who and why in the history."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.domain.findings import Refusal
from node.domain.job import OutgoingObject
from node.ledger import Ledger
from node.ledger.controls import ALL, Switch
from node.ledger.operator import NotPossible
from node.ledger.records import Attempt, SeriesStatus
from node.ledger.states import DeliveryState, State
from tests.ledger.arrivals import VERSION, Clock, choose, measure, outcome, plan, quiet_study, receive

STORED = Attempt(DeliveryState.STORED, 0x0000, None, None)
GIVEN_UP = Attempt(DeliveryState.FAILED, 0xA900, "never", None)
WHO = ("Dr. A", "wrong phantom")
NOTE = OutgoingObject(Path("/outbox/note"), "1.2.840.10008.5.1.4.1.1.88.59", "9.77", "withdrawal", 0, "9.7")


def key(ledger: Ledger) -> str:
    return ledger.operator.find("1.2.3")


def row(ledger: Ledger) -> SeriesStatus:
    (only,) = ledger.status()
    return only


def send(ledger: Ledger, attempt: Attempt, destination: str = "A") -> int:
    shipment = ledger.due_shipment(destination)
    if shipment is None:
        return 0
    for item in shipment.objects:
        ledger.record_attempt(shipment, item.sop_instance_uid, attempt)
    return len(shipment.objects)


def shadow(ledger: Ledger) -> None:
    from dataclasses import replace

    study = quiet_study(ledger)
    choices = choose(study)
    (choice,) = choices
    assert choice.planned is not None
    ledger.settle(study, VERSION, [replace(choice, planned=replace(choice.planned, shadow=True))])
    (job_id,) = ledger.unfinished_jobs()
    ledger.begin_job(job_id)
    ledger.finish_job(job_id, outcome(1), {})


def test_a_held_series_is_not_sent_until_it_is_released(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.operator.hold(key(ledger), *WHO)
    assert (row(ledger).state, send(ledger, STORED)) == (State.HELD, 0)
    assert ledger.operator.release(key(ledger), *WHO) == 2
    assert (send(ledger, STORED), row(ledger).state) == (2, State.DELIVERED)


def test_a_series_held_before_it_is_measured_is_measured_and_kept(ledger: Ledger) -> None:
    receive(ledger)
    ledger.operator.hold(key(ledger), *WHO)
    measure(ledger)
    assert (row(ledger).state, row(ledger).held) == (State.HELD, "Dr. A: wrong phantom")
    assert send(ledger, STORED) == 0


def test_holding_a_series_that_is_partly_sent_says_how_much_was_stored(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    ledger.record_attempt(shipment, shipment.objects[0].sop_instance_uid, STORED)
    assert ledger.operator.hold(key(ledger), *WHO) == 1
    assert row(ledger).message == "Kept back by Dr. A: wrong phantom. 1 of its objects had been stored before."
    assert ledger.operator.release(key(ledger), *WHO) == 1


def test_a_report_that_was_removed_is_not_taken_back_and_the_answer_says_where_it_lies(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    send(ledger, STORED)
    ledger.ageing.forget_results(key(ledger))
    with pytest.raises(NotPossible, match="It lies at A: reject it there"):
        ledger.operator.sent(key(ledger))


def test_what_was_never_sent_of_a_withdrawn_report_does_not_count(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    ledger.record_attempt(shipment, shipment.objects[0].sop_instance_uid, STORED)
    ledger.operator.withdraw(ledger.operator.sent(key(ledger)), *WHO, NOTE)
    send(ledger, STORED)
    (there,) = row(ledger).deliveries
    assert (there.stored, there.total) == (2, 2)


def test_shadow_mode_measures_and_keeps(ledger: Ledger) -> None:
    receive(ledger)
    shadow(ledger)
    assert (row(ledger).state, row(ledger).reason, send(ledger, STORED)) == (State.HELD, "shadow", 0)
    ledger.operator.release(key(ledger), *WHO)
    assert send(ledger, STORED) == 2


def test_what_was_given_up_is_sent_again_on_request(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    send(ledger, GIVEN_UP)
    assert row(ledger).state is State.FAILED
    ledger.operator.retry(key(ledger), *WHO)
    assert (send(ledger, STORED), row(ledger).state) == (2, State.DELIVERED)


def test_a_failed_measurement_is_made_again_on_request(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    ledger.begin_job(job_id)
    ledger.fail_job(job_id, "measurement-failed", "It crashed.")
    turn, _ = ledger.turn(job_id)
    ledger.operator.retry(key(ledger), *WHO)
    assert plan(ledger) == job_id
    assert ledger.turn(job_id)[0] == turn + 1
    begun = ledger.begin_job(job_id)
    assert begun is not None
    ledger.finish_job(job_id, outcome(1), {}, begun.start)
    assert row(ledger).state is State.DELIVERING


def test_a_refused_series_is_decided_by_the_rules_in_force_on_request(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, (), refusal=Refusal("phantom-not-found", "No phantom.", {}))
    ledger.operator.retry(key(ledger), *WHO)
    study = quiet_study(ledger)
    ledger.settle(study, "config-2", choose(study, "ignore"))
    assert row(ledger).state is State.IGNORED


def test_what_was_delivered_is_not_done_again(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    send(ledger, STORED)
    with pytest.raises(NotPossible, match="nothing to do again"):
        ledger.operator.retry(key(ledger), *WHO)


def test_a_withdrawn_report_is_followed_by_a_note_to_whom_had_it(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, ("A", "B"))
    send(ledger, STORED)
    sent = ledger.operator.sent(key(ledger))
    assert sent.destinations == ("A",)
    ledger.operator.withdraw(sent, *WHO, NOTE)
    assert (row(ledger).state, send(ledger, STORED, "B")) == (State.WITHDRAWN, 0)
    assert send(ledger, STORED) == 1
    assert row(ledger).message == "Taken back by Dr. A: wrong phantom. A accepted the note that says so."


def test_who_withdrew_and_why_is_in_the_history(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.operator.withdraw(ledger.operator.sent(key(ledger)), *WHO, None)
    (event,) = [one for one in ledger.events(key(ledger)) if one.kind == "withdrawn"]
    assert (event.detail["by"], event.detail["why"]) == WHO


def test_the_note_is_sent_even_when_late_slices_make_a_new_report(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    send(ledger, STORED)
    ledger.operator.withdraw(ledger.operator.sent(key(ledger)), *WHO, NOTE)
    receive(ledger, 1, first=7)
    plan(ledger)
    assert send(ledger, STORED) == 1


def test_while_measuring_is_paused_no_job_begins(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    ledger.controls.off(Switch.MEASURING, ALL, *WHO)
    assert ledger.unfinished_jobs() == []
    assert ledger.begin_job(job_id) is None
    assert row(ledger).state is State.READY
    ledger.controls.on(Switch.MEASURING, ALL, *WHO)
    assert ledger.unfinished_jobs() == [job_id]
    assert ledger.begin_job(job_id) is not None


def test_a_sender_that_is_switched_off_is_received_and_not_measured(ledger: Ledger) -> None:
    ledger.controls.off(Switch.SENDER, "CT1", *WHO)
    receive(ledger)
    study = quiet_study(ledger)
    ledger.settle(study, VERSION, choose(study))
    assert (row(ledger).instances, ledger.unfinished_jobs()) == (3, [])


def test_nothing_of_a_sender_that_is_switched_off_is_sent_on(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.controls.off(Switch.SENDER, "CT1", *WHO)
    assert send(ledger, STORED) == 0
    ledger.controls.on(Switch.SENDER, "CT1", *WHO)
    assert send(ledger, STORED) == 2


def test_time_switched_off_does_not_count_towards_giving_up(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    ledger.controls.off(Switch.DESTINATION, "A", *WHO)
    clock.now += 10 * 86400
    assert ledger.due_shipment("A") is None
    ledger.controls.on(Switch.DESTINATION, "A", *WHO)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    assert {item.created_at for item in shipment.objects} == {clock.now}


def test_what_waits_for_a_destination_that_is_gone_is_shown_so(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    assert ledger.operator.strand(["B"]) == {"A": 2}
    assert (row(ledger).state, row(ledger).reason) == (State.HELD, "destination-removed")
    assert row(ledger).deliveries[0].waits == "stranded"


def test_a_destination_that_comes_back_is_served_again(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.operator.strand([])
    assert ledger.operator.strand(["A"]) == {}
    assert row(ledger).state is State.DELIVERING
    assert send(ledger, STORED) == 2


def test_what_waits_can_be_sent_elsewhere(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.operator.strand(["B"])
    assert ledger.operator.reroute("A", "B", *WHO) == 2
    assert (send(ledger, STORED, "B"), row(ledger).state) == (2, State.DELIVERED)


def test_what_waits_can_be_dropped_and_is_then_not_shown_as_delivered(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.operator.drop("A", *WHO)
    assert (row(ledger).state, row(ledger).reason) == (State.MEASURED, "dropped")


def test_the_more_urgent_job_comes_first(ledger: Ledger) -> None:
    from dataclasses import replace

    for series in ("1.2.3", "1.2.4"):
        receive(ledger, series=series)
    study = quiet_study(ledger)
    choices = choose(study)
    urgent = [
        replace(
            one, planned=replace(one.planned, priority=50 if one.record.series.series_instance_uid == "1.2.4" else 0)
        )
        for one in choices
        if one.planned is not None
    ]
    ledger.settle(study, VERSION, urgent)
    first = ledger.job(ledger.unfinished_jobs()[0])
    assert first.series.series_instance_uid == "1.2.4"


def test_an_outcome_of_a_start_that_was_taken_over_is_void(ledger: Ledger) -> None:
    receive(ledger)
    job_id = plan(ledger)
    slow, quick = ledger.begin_job(job_id), ledger.begin_job(job_id)
    assert slow is not None
    assert quick is not None
    ledger.finish_job(job_id, outcome(1), {"by": "slow"}, slow.start)
    assert row(ledger).state is State.MEASURING
    ledger.finish_job(job_id, outcome(1), {"by": "quick"}, quick.start)
    assert ledger.results() == [{"by": "quick"}]


def test_a_shipment_is_taken_by_one_process_while_it_lives(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.executors.beat("one", "host-1", ["deliver"], 0.0)
    assert ledger.due_shipment("A", "one") is not None
    assert ledger.due_shipment("A", "two") is None
    ledger.executors.leave("one")
    assert ledger.due_shipment("A", "two") is not None
