from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.delivery import Deliverer
from node.delivery.deliverer import PATIENCE
from node.domain.job import Kind, MeasureOutcome, OutgoingObject
from node.domain.settings import Destination, RetryPolicy
from node.ledger import Ledger, sqlite_url
from node.ledger.states import State
from tests.fake_pacs import ABORT, STORE_AND_ABORT, FakePacs, fake_pacs, refuse_class, refuse_first
from tests.intake.objects import COMPREHENSIVE_SR, SECONDARY_CAPTURE, ct_slice, uid, write
from tests.ledger.arrivals import plan, receive
from tests.workflow.house import wait_until

RETRY = RetryPolicy(first_delay_s=0.1, max_delay_s=0.2)


class Post:
    """A ledger with one measured series, and deliverers to take its objects away."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self._folder = folder
        self._started: list[Deliverer] = []

    def measured(self, *destinations: Destination, series: str = "1.2.3", study: str = "1.2") -> None:
        """Leave two images and a report to be delivered."""
        receive(self.ledger, series=series, study=study)
        job_id = plan(self.ledger, tuple(destination.name for destination in destinations))
        self.ledger.begin_job(job_id)
        outgoing = [self._object(n, SECONDARY_CAPTURE) for n in (1, 2)] + [self._object(3, COMPREHENSIVE_SR)]
        result = self._folder / "result.json"
        self.ledger.finish_job(job_id, MeasureOutcome("measured", None, result, tuple(reversed(outgoing)), ()), {})

    def _object(self, number: int, sop_class: str) -> OutgoingObject:
        path = write(ct_slice(5, 1, number, SOPClassUID=sop_class), self._folder / f"{number}.dcm")
        report = sop_class == COMPREHENSIVE_SR
        kind: Kind = "sr" if report else "sagittal"
        return OutgoingObject(path, sop_class, uid(5, 1, number), kind, int(report), uid(5, 1))

    def start(self, *destinations: Destination) -> Deliverer:
        deliverer = Deliverer(self.ledger, destinations, "NODE", jitter=lambda: 0.0)
        deliverer.start()
        self._started.append(deliverer)
        return deliverer

    def state(self) -> State:
        return self.ledger.status()[0].state

    def wait_for(self, state: State, limit_s: float = 20.0) -> None:
        wait_until(lambda: self.state() is state, limit_s, self.ledger.status)

    def close(self) -> None:
        for deliverer in self._started:
            deliverer.stop()
        self.ledger.close()


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.close()


def _to(pacs: FakePacs, name: str = "A", retry: RetryPolicy = RETRY) -> Destination:
    return Destination(name, "PACS", "127.0.0.1", pacs.port, timeout_s=3.0, retry=retry)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_images_arrive_before_the_report(post: Post) -> None:
    with fake_pacs() as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        post.wait_for(State.DELIVERED)
    assert [dataset.SOPClassUID for dataset in pacs.stored] == [SECONDARY_CAPTURE, SECONDARY_CAPTURE, COMPREHENSIVE_SR]
    assert pacs.associations == 1


def test_what_is_refused_is_sent_again_until_it_is_accepted(post: Post) -> None:
    with fake_pacs(refuse_first(2)) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        post.wait_for(State.DELIVERED)
    assert sorted(pacs.stored_uids) == [uid(5, 1, 1), uid(5, 1, 2), uid(5, 1, 3)]
    refusals = [event for event in post.ledger.events() if event.kind == "object-refused"]
    assert [event.detail["status"] for event in refusals] == [0xA700, 0xA700]


def test_a_report_waits_for_an_image_that_was_refused(post: Post) -> None:
    with fake_pacs(refuse_first(1)) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        post.wait_for(State.DELIVERED)
    assert pacs.stored_uids[-1] == uid(5, 1, 3)


def test_a_report_does_not_wait_for_ever_for_an_image(post: Post) -> None:
    with fake_pacs(refuse_class(SECONDARY_CAPTURE, times=10**6)) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        pacs.wait_for(1)
        assert pacs.stored_uids == [uid(5, 1, 3)]
        assert post.state() is State.DELIVERING
        assert pacs.requests.count(uid(5, 1, 1)) >= PATIENCE


def test_a_refusal_is_never_shown_as_sent(post: Post) -> None:
    with fake_pacs(lambda *_: 0xC000) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        wait_until(lambda: len(pacs.requests) > 5)
        (status,) = post.ledger.status()[0].deliveries
    assert (status.stored, status.total, status.last_status) == (0, 3, 0xC000)
    assert post.state() is State.DELIVERING


def test_after_the_time_allowed_the_series_has_failed(post: Post) -> None:
    hopeless = replace(RETRY, give_up_after_s=0.3)
    with fake_pacs(lambda *_: 0xA900) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs, retry=hopeless))
        post.wait_for(State.FAILED)


def test_a_pacs_that_was_down_is_served_when_it_is_back(post: Post) -> None:
    port = _closed_port()
    destination = Destination("A", "PACS", "127.0.0.1", port, timeout_s=2.0, retry=RETRY)
    post.measured(destination)
    post.start(destination)
    wait_until(lambda: any(status.last_error for status in post.ledger.status()[0].deliveries))
    with fake_pacs(port=port) as pacs:
        post.wait_for(State.DELIVERED)
    assert len(pacs.stored) == 3


def test_a_dead_destination_does_not_hold_up_another(post: Post) -> None:
    dead = Destination("dead", "PACS", "127.0.0.1", _closed_port(), timeout_s=2.0, retry=RETRY)
    with fake_pacs() as pacs:
        post.measured(dead, _to(pacs))
        post.start(dead, _to(pacs))
        pacs.wait_for(3)
    assert post.state() is State.DELIVERING


def test_a_slow_destination_does_not_hold_up_another(post: Post) -> None:
    with fake_pacs(delay_s=1.0) as slow, fake_pacs() as quick:
        post.measured(_to(slow, "slow"), _to(quick, "quick"))
        post.start(_to(slow, "slow"), _to(quick, "quick"))
        quick.wait_for(3)
        assert len(slow.stored) < 3
        post.wait_for(State.DELIVERED)


def test_an_abort_is_tried_again(post: Post) -> None:
    with fake_pacs(lambda number, _: ABORT if number == 1 else 0x0000) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        post.wait_for(State.DELIVERED)
    assert pacs.stored_uids == [uid(5, 1, 1), uid(5, 1, 2), uid(5, 1, 3)]


def test_an_object_stored_before_the_abort_is_sent_again_under_the_same_uid(post: Post) -> None:
    with fake_pacs(lambda number, _: STORE_AND_ABORT if number == 0 else 0x0000) as pacs:
        post.measured(_to(pacs))
        post.start(_to(pacs))
        post.wait_for(State.DELIVERED)
    assert pacs.stored_uids == [uid(5, 1, 1), uid(5, 1, 1), uid(5, 1, 2), uid(5, 1, 3)]


def test_a_new_deliverer_goes_on_where_the_rows_stand(post: Post) -> None:
    with fake_pacs(lambda number, _: 0x0000 if number == 0 else 0xA700) as refusing:
        destination = _to(refusing, retry=replace(RETRY, first_delay_s=1.0))
        post.measured(destination)
        deliverer = post.start(destination)
        refusing.wait_for(1)
        wait_until(lambda: len(refusing.requests) >= 2)
        deliverer.stop()
    with fake_pacs() as pacs:
        post.start(_to(pacs))
        post.wait_for(State.DELIVERED)
    assert pacs.stored_uids == [uid(5, 1, 2), uid(5, 1, 3)]


def _put_off_for_long(post: Post, port: int) -> tuple[Deliverer, Destination]:
    """Deliver to nobody; the next try would be in five minutes."""
    dead = Destination("A", "PACS", "127.0.0.1", port, timeout_s=2.0, retry=replace(RETRY, first_delay_s=300.0))
    post.measured(dead)
    deliverer = post.start(dead)
    wait_until(lambda: any(status.last_error for status in post.ledger.status()[0].deliveries))
    return deliverer, dead


def test_an_operator_need_not_wait_for_the_next_try(post: Post) -> None:
    port = _closed_port()
    deliverer, _ = _put_off_for_long(post, port)
    with fake_pacs(port=port) as pacs:
        post.ledger.operator.retry(post.ledger.status()[0].series_key, "me", "it is back")
        deliverer.wake()
        pacs.wait_for(3, limit_s=5)


def test_a_corrected_address_is_tried_at_once(post: Post) -> None:
    deliverer, dead = _put_off_for_long(post, _closed_port())
    with fake_pacs() as pacs:
        deliverer.configure([replace(dead, port=pacs.port)])
        pacs.wait_for(3, limit_s=5)


def test_a_restart_tries_at_once(post: Post) -> None:
    port = _closed_port()
    deliverer, dead = _put_off_for_long(post, port)
    deliverer.stop()
    with fake_pacs(port=port) as pacs:
        post.start(dead)
        pacs.wait_for(3, limit_s=5)


def test_waking_delivers_at_once(post: Post) -> None:
    with fake_pacs() as pacs:
        deliverer = post.start(_to(pacs))
        time.sleep(0.3)  # it has found nothing and sleeps
        post.measured(_to(pacs))
        deliverer.wake()
        pacs.wait_for(3, limit_s=5)


def test_a_thing_that_cannot_be_read_does_not_hold_up_the_rest(post: Post, tmp_path: Path) -> None:
    with fake_pacs() as pacs:
        post.measured(_to(pacs))
        (tmp_path / "1.dcm").unlink()
        post.start(_to(pacs))
        pacs.wait_for(2)
    assert uid(5, 1, 3) in pacs.stored_uids
