"""A series counts as delivered when the archive has shown that it holds every object, where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.settings import Destination, Proof, ReceiverSettings, Sender
from node.intake import Receiver
from node.ledger.states import State
from tests.delivery.test_deliverer import Post, _to
from tests.fake_pacs import FakePacs, fake_pacs
from tests.intake.objects import uid
from tests.workflow.house import wait_until

KINDS: tuple[Proof, ...] = ("find", "commitment")


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.close()


def _proving(pacs: FakePacs, *kinds: Proof, timeout_s: float = 3.0) -> Destination:
    return replace(_to(pacs), proof=kinds, proof_delay_s=0.2, timeout_s=timeout_s)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_archive_holds_is_delivered(post: Post, kind: Proof) -> None:
    with fake_pacs() as pacs:
        post.measured(_proving(pacs, kind))
        post.start(_proving(pacs, kind))
        post.wait_for(State.DELIVERED)
    (status,) = post.ledger.status()[0].deliveries
    assert (status.stored, status.proven, status.proof) == (3, 3, "proven")


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_accepted_and_does_not_hold_is_sent_again(post: Post, kind: Proof) -> None:
    with fake_pacs(forgets=[uid(5, 1, 2)]) as pacs:
        post.measured(_proving(pacs, kind))
        post.start(_proving(pacs, kind))
        wait_until(lambda: pacs.requests.count(uid(5, 1, 2)) >= 2)
        assert post.state() is State.DELIVERING
        pacs.forgets.clear()
        post.wait_for(State.DELIVERED)
    assert pacs.requests.count(uid(5, 1, 1)) == 1


def test_an_archive_that_cannot_be_asked_is_asked_again_and_then_given_up(post: Post) -> None:
    with fake_pacs() as pacs:
        one = _proving(pacs, "find", timeout_s=0.5)
        post.measured(one)
    hopeless = replace(one, retry=replace(one.retry, give_up_after_s=0.5))
    with fake_pacs(port=pacs.port) as again:
        again._on_find = lambda _event: iter([(0xA700, None)])  # type: ignore[method-assign]
        post.start(hopeless)
        again.wait_for(3)
    post.wait_for(State.FAILED)
    assert post.ledger.status()[0].reason == "delivery-unproven"


def test_a_commitment_may_be_answered_over_another_association(post: Post, tmp_path: Path) -> None:
    archive = Sender("archive", ae_title="PACS")
    settings = ReceiverSettings("NODE", 0, tmp_path / "spool", "127.0.0.1", senders=(archive,), disk_reserve_mb=1)
    receiver = Receiver(settings, post.ledger)
    receiver.start()
    try:
        with fake_pacs() as pacs:
            pacs.reports_to = ("NODE", receiver.port)
            post.measured(_proving(pacs, "commitment", timeout_s=1.0))
            post.start(_proving(pacs, "commitment", timeout_s=1.0))
            post.wait_for(State.DELIVERED)
    finally:
        receiver.stop()
