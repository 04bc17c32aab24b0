"""A series counts as delivered when the archive has shown that it holds every object, where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from node.domain.settings import Destination, Proof, ReceiverSettings, RetryPolicy, Sender
from node.intake import Receiver
from node.ledger.states import State
from tests.delivery.test_deliverer import Post, _to
from tests.fake_pacs import COMMITMENT, FakePacs, fake_pacs
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write
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


def test_what_it_never_holds_is_sent_less_and_less_often_and_then_given_up(post: Post) -> None:
    brief = RetryPolicy(first_delay_s=0.2, max_delay_s=1.0, give_up_after_s=3.0)
    with fake_pacs(forgets=[uid(5, 1, 2)]) as pacs:
        post.measured(replace(_proving(pacs, "find"), retry=brief))
        post.start(replace(_proving(pacs, "find"), retry=brief))
        post.wait_for(State.FAILED)
    assert post.ledger.status()[0].reason == "delivery-unproven"
    assert 2 <= pacs.requests.count(uid(5, 1, 2)) <= 7


def test_a_commitment_may_be_answered_over_another_association(post: Post, tmp_path: Path) -> None:
    with _door(post, tmp_path) as receiver, fake_pacs() as pacs:
        pacs.reports_to = ("NODE", receiver.port)
        post.measured(_proving(pacs, "commitment", timeout_s=1.0))
        post.start(_proving(pacs, "commitment", timeout_s=1.0))
        post.wait_for(State.DELIVERED)


def test_an_answer_that_comes_late_is_looked_at_at_once(post: Post, tmp_path: Path) -> None:
    patient = RetryPolicy(first_delay_s=600.0, max_delay_s=600.0)
    with _door(post, tmp_path) as receiver, fake_pacs(report_delay_s=1.5) as pacs:
        pacs.reports_to = ("NODE", receiver.port)
        destination = replace(_proving(pacs, "commitment", timeout_s=0.5), retry=patient)
        post.measured(destination)
        post.start(destination)
        post.wait_for(State.DELIVERED)


def test_an_archive_that_may_report_may_not_store(post: Post, tmp_path: Path) -> None:
    with _door(post, tmp_path) as receiver, _calling("PACS", receiver.port) as link:
        assert link.send_c_store(write(ct_slice(1, 1, 1), tmp_path / "1.dcm")).Status == 0x0124
    assert [row for row in post.ledger.status() if row.sender == "PACS"] == []


def test_a_report_that_nobody_asked_for_is_refused(post: Post, tmp_path: Path) -> None:
    report = Dataset()
    report.TransactionUID, report.ReferencedSOPSequence = "1.2.3", []
    with _door(post, tmp_path) as receiver, _calling("PACS", receiver.port) as link:
        status, _ = link.send_n_event_report(report, 1, UID(COMMITMENT), UID("1.2.840.10008.1.20.1.1"))
    assert status.Status == 0x0112


@contextmanager
def _door(post: Post, folder: Path) -> Iterator[Receiver]:
    """A receiver that knows no scanner, and one archive that is asked for storage commitment."""
    archive = Sender("archive", ae_title="PACS")
    settings = ReceiverSettings("NODE", 0, folder / "spool", "127.0.0.1", reporters=(archive,), disk_reserve_mb=1)
    receiver = Receiver(settings, post.ledger)
    receiver.start()
    yield receiver
    receiver.stop()


@contextmanager
def _calling(ae_title: str, port: int) -> Iterator[Association]:
    entity = AE(ae_title=ae_title)
    entity.add_requested_context(UID(CT_IMAGE), ExplicitVRLittleEndian)
    entity.add_requested_context(UID(COMMITMENT))
    roles: Any = [build_role(UID(COMMITMENT), scp_role=True)]
    link = entity.associate("127.0.0.1", port, ae_title="NODE", ext_neg=roles)
    assert link.is_established
    yield link
    link.release()
