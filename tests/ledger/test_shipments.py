from __future__ import annotations

from node.domain.findings import Refusal
from node.ledger import Ledger
from node.ledger.records import Attempt
from node.ledger.states import DeliveryState, State
from tests.ledger.arrivals import Clock, measure, plan, receive

STORED = Attempt(DeliveryState.STORED, 0x0000, None, None)
WARNED = Attempt(DeliveryState.STORED_WITH_WARNING, 0xB000, "coerced", None)
GIVEN_UP = Attempt(DeliveryState.FAILED, 0xA900, "never", None)


def _refused(until: float) -> Attempt:
    return Attempt(DeliveryState.REFUSED, 0xA700, "out of resources", until)


def _send(ledger: Ledger, destination: str, *attempts: Attempt) -> None:
    shipment = ledger.due_shipment(destination)
    assert shipment is not None
    for item, attempt in zip(shipment.objects, attempts, strict=False):
        ledger.record_attempt(shipment, item.sop_instance_uid, attempt)


def test_a_shipment_lists_images_before_reports(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    assert [item.order for item in shipment.objects] == [0, 1]


def test_a_series_is_delivered_when_every_object_is_accepted_everywhere(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, destinations=("A", "B"))
    _send(ledger, "A", STORED, WARNED)
    assert ledger.status()[0].state is State.DELIVERING
    _send(ledger, "B", STORED)
    assert ledger.status()[0].state is State.DELIVERING
    _send(ledger, "B", STORED)
    (row,) = ledger.status()
    assert (row.state, row.message) == (
        State.DELIVERED,
        "Every object was accepted by 2 destinations. 1 of them with a warning.",
    )


def test_a_refused_object_is_never_shown_as_sent(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    _send(ledger, "A", STORED, _refused(clock.now + 60))
    (row,) = ledger.status()
    assert row.state is State.DELIVERING
    (status,) = row.deliveries
    assert (status.stored, status.total, status.last_status, status.last_error) == (1, 2, 0xA700, "out of resources")
    assert status.next_attempt_at == clock.now + 60


def test_a_refused_object_is_due_again_at_its_time(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    _send(ledger, "A", STORED, _refused(clock.now + 60))
    assert ledger.due_shipment("A") is None
    assert ledger.next_due("A") == clock.now + 60
    clock.now += 60
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    assert [(item.attempts, item.refusals) for item in shipment.objects] == [(1, 1)]


def test_what_was_accepted_stays_accepted(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    first = shipment.objects[0].sop_instance_uid
    ledger.record_attempt(shipment, first, STORED)
    ledger.record_attempt(shipment, first, _refused(clock.now))
    assert ledger.status()[0].deliveries[0].stored == 1


def test_an_object_given_up_fails_the_series(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    _send(ledger, "A", STORED, GIVEN_UP)
    (row,) = ledger.status()
    assert (row.state, row.reason) == (State.FAILED, "delivery-given-up")


def test_a_delivered_refusal_says_why_it_was_not_measured(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger, refusal=Refusal("phantom-not-found", "No phantom.", {}))
    _send(ledger, "A", STORED, STORED)
    (row,) = ledger.status()
    assert (row.state, row.reason) == (State.DELIVERED, "phantom-not-found")
    assert "No phantom." in row.message


def test_a_reopened_series_is_not_called_delivered(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    receive(ledger, 1, first=3)
    for item in shipment.objects:
        ledger.record_attempt(shipment, item.sop_instance_uid, STORED)
    assert ledger.status()[0].state is State.RECEIVING
    assert plan(ledger)


def test_the_longest_waiting_job_goes_first(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    first = measure(ledger)
    clock.now += 1
    receive(ledger, series="1.2.9")
    measure(ledger)
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    assert shipment.job_id == first
