"""Bringing results to their destinations, for days if need be.

The rows of the ledger are the whole state: what is open, how often it was tried, when it is due again. There is no
second queue that could disagree with them, a long wait holds nothing (no worker, no timer), and a restart continues
where the rows stand. One thread serves each destination, so a slow or dead one holds up no other. Sending the same
object twice is harmless (same UIDs), so no attempt needs to be exactly once.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from node import log
from node.delivery import proof, stow
from node.delivery.retry import next_delay_s
from node.delivery.scu import Answer, Carrier, Parcel, Unreachable, association
from node.domain.settings import Destination, TlsSettings
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.proofs import Holding
from node.ledger.records import Attempt, OutgoingDelivery, Shipment
from node.ledger.states import DeliveryState

PATIENCE = 4
"""Refusals of an image after which the report that cites it goes without it."""
_IDLE_S = 2.0
"""Another process, or an operator, may have left something to deliver."""

_log = log.get(__name__)


class Deliverer:
    """Delivers from ``start`` to ``stop``; ``wake`` when something new may be due."""

    def __init__(
        self,
        ledger: Ledger,
        destinations: Sequence[Destination],
        own_ae_title: str,
        jitter: Callable[[], float] = random.random,
        *,
        tls: TlsSettings | None = None,
        owner: str = "node",
    ) -> None:
        self._ledger = ledger
        self._tls = tls
        self._owner = owner
        self._own_ae_title = own_ae_title
        self._jitter = jitter
        self._stopping = threading.Event()
        self._lanes = {destination.name: (destination, threading.Event()) for destination in destinations}
        self._threads: list[threading.Thread] = []
        self._started = False

    def start(self) -> None:
        """Begin to deliver."""
        self._started = True
        self._strand()
        self._hurry(list(self._lanes))
        for name in self._lanes:
            self._open_lane(name)

    def configure(self, destinations: Sequence[Destination]) -> None:
        """Serve these destinations from now on; what is under way is finished as it was begun."""
        before = self._lanes
        self._lanes = {
            one.name: (one, before[one.name][1] if one.name in before else threading.Event()) for one in destinations
        }
        for name in self._lanes.keys() - before.keys() if self._started else ():
            self._open_lane(name)
        if self._started:
            self._strand()
            self._hurry([one.name for one in destinations if one.name in before and before[one.name][0] != one])
        for _, event in before.values():
            event.set()

    def _strand(self) -> None:
        """Say of what waits for a destination that is not configured (any more) that it does; take up what is again."""
        try:
            gone = self._ledger.operator.strand(list(self._lanes))
        except LedgerUnavailable as error:
            _log.error("delivery-postponed", destination="*", why=str(error))
            return
        for name, objects in gone.items():
            _log.warning("destination-removed", destination=name, objects=objects)

    def _hurry(self, names: Sequence[str]) -> None:
        """What was put off is tried at once at destinations that are looked at afresh."""
        try:
            self._ledger.hurry(names)
        except LedgerUnavailable as error:
            _log.error("delivery-postponed", destination=",".join(names), why=str(error))

    def _open_lane(self, name: str) -> None:
        thread = threading.Thread(target=self._serve, args=(name,), name=f"deliver-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Stop after the object under way."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=10.0)
        with contextlib.suppress(LedgerUnavailable):
            self._ledger.release_shipments(self._owner)

    def wake(self) -> None:
        """Look now for what is due."""
        for _, event in self._lanes.values():
            event.set()

    def deliver_due(self, destination: Destination) -> float | None:
        """Give a destination all that is due; return until when it is to be left alone, when it cannot be reached."""
        while not self._stopping.is_set():
            shipment = self._ledger.due_shipment(destination.name, self._owner)
            if shipment is None:
                return self._prove_due(destination)
            with log.series_bound(shipment.series_key):
                until = self._ship(destination, shipment)
            if until is not None:
                return until
        return None

    def _prove_due(self, destination: Destination) -> float | None:
        """Ask a destination about all that it accepted and has not been asked about yet."""
        while not self._stopping.is_set():
            shipment = self._ledger.due_shipment(destination.name, self._owner, proof=True)
            if shipment is None:
                return None
            with log.series_bound(shipment.series_key):
                self._prove(destination, shipment)
        return None

    def _prove(self, destination: Destination, shipment: Shipment) -> None:
        try:
            holding = self._asked(destination, shipment)
        except Unreachable as failure:
            first = shipment.objects[0]
            waited = self._ledger.now() - (first.stored_at or first.created_at)
            delay = next_delay_s(destination.retry, first.proof_attempts + 1, waited, self._jitter())
            again = None if delay is None else self._ledger.now() + delay
            _log.warning("proof-outstanding", destination=destination.name, why=str(failure))
            self._ledger.record_no_proof(shipment, str(failure), again)
            return
        absent = {
            item.sop_instance_uid: self._again_at(destination, item)
            for item in shipment.objects
            if item.sop_instance_uid in holding.missing
        }
        self._ledger.record_proof(shipment, sorted(holding.held), absent)
        _log.info("proof", destination=destination.name, held=len(holding.held), missing=len(holding.missing))

    def _asked(self, destination: Destination, shipment: Shipment) -> Holding:
        """What every proof that is wanted agrees on; what one does not find, no other is asked about."""
        held = frozenset(item.sop_instance_uid for item in shipment.objects)
        missing: frozenset[str] = frozenset()
        for kind in destination.proof or ("find",):
            if destination.kind == "stow":
                answer = stow.find(destination, shipment, self._tls)
            elif kind == "find":
                answer = proof.find(destination, self._own_ae_title, shipment, self._tls)
            else:
                answer = proof.commitment(destination, self._own_ae_title, shipment, self._tls, self._ledger)
            missing |= held - answer.held
            if missing:
                break
        return Holding(held - missing, missing)

    def _carrier(self, destination: Destination, parcels: Sequence[Parcel]) -> AbstractContextManager[Carrier]:
        if destination.kind == "stow":
            return stow.service(destination, self._tls)
        return association(destination, self._own_ae_title, parcels, self._tls)

    def _serve(self, name: str) -> None:
        """The outermost loop of one destination, as long as it is configured."""
        while not self._stopping.is_set() and (lane := self._lanes.get(name)) is not None:
            destination, woken = lane
            woken.clear()
            pause = _IDLE_S
            try:
                begun = self._ledger.now()
                until = self.deliver_due(destination)
                if until is not None:
                    self._leave_alone(destination, begun, until, woken)
                    continue
                due = self._ledger.next_due(destination.name)
                pause = _IDLE_S if due is None else min(_IDLE_S, max(0.05, due - self._ledger.now()))
            except LedgerUnavailable as error:
                _log.error("delivery-postponed", destination=destination.name, why=str(error))
                time.sleep(1.0)
            except Exception as error:  # noqa: BLE001 - a destination's thread must not end
                _log.error("delivery-error", destination=destination.name, error=type(error).__name__, exc_info=True)
            woken.wait(pause)

    def _leave_alone(self, destination: Destination, since: float, until: float, woken: threading.Event) -> None:
        """Wait, but no longer than until something gives reason to try again: other settings, or more to send."""
        while not self._stopping.is_set() and (rest := until - self._ledger.now()) > 0:
            woken.wait(min(_IDLE_S, rest))
            woken.clear()
            lane = self._lanes.get(destination.name)
            if lane is None or lane[0] != destination or self._ledger.owed_since(destination.name, since):
                return

    def _ship(self, destination: Destination, shipment: Shipment) -> float | None:
        """Send what is open of one job, images before the reports that cite them.

        Returns until when the destination is to be left alone, when it cannot be reached. Should the node stop in
        between, the rest is due as it was.
        """
        waiting = list(shipment.objects)
        held_from: tuple[int, float] | None = None  # order and time: what comes later waits for a refused object
        try:
            with self._carrier(destination, [_parcel(item) for item in waiting]) as carrier:
                while waiting and not self._stopping.is_set():
                    item = waiting[0]
                    if held_from is not None and item.order > held_from[0]:
                        self._ledger.postpone(shipment, item.sop_instance_uid, held_from[1])
                    else:
                        again_at = self._offer(destination, shipment, item, carrier)
                        if again_at is not None and item.refusals + 1 < PATIENCE and held_from is None:
                            held_from = (item.order, again_at)
                    waiting.pop(0)
        except Unreachable as failure:
            _log.warning("destination-unreachable", destination=destination.name, why=str(failure))
            return self._put_off(destination, shipment, waiting, str(failure))
        except LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be sent must not stop what can
            _log.error("shipment-failed", destination=destination.name, error=type(error).__name__, exc_info=True)
            self._put_off(destination, shipment, waiting, f"an error of the node itself ({type(error).__name__})")
        return None

    def _offer(
        self, destination: Destination, shipment: Shipment, item: OutgoingDelivery, carrier: Carrier
    ) -> float | None:
        """Send one object; return when it is to be tried again, if it is."""
        answer = carrier.store(_parcel(item))
        attempt = self._judged(destination, item, answer)
        self._ledger.record_attempt(shipment, item.sop_instance_uid, attempt)
        status = None if answer.status is None else f"{answer.status:04X}"
        _log.info("object-offered", destination=destination.name, state=attempt.state.value, status=status)
        return attempt.next_attempt_at

    def _judged(self, destination: Destination, item: OutgoingDelivery, answer: Answer) -> Attempt:
        if answer.accepted:
            state = DeliveryState.STORED_WITH_WARNING if answer.warning else DeliveryState.STORED
            prove_at = self._ledger.now() + destination.proof_delay_s if destination.proof else None
            return Attempt(state, answer.status, answer.comment, None, prove_at)
        error = answer.comment or "the destination refused it"
        return self._failed(destination, item, DeliveryState.REFUSED, answer.status, error)

    def _put_off(
        self, destination: Destination, shipment: Shipment, waiting: Sequence[OutgoingDelivery], why: str
    ) -> float:
        """Postpone what was not answered; return when it is tried again."""
        until = self._ledger.now() + destination.retry.first_delay_s
        for item in waiting:
            attempt = self._failed(destination, item, DeliveryState.PENDING, None, why)
            self._ledger.record_attempt(shipment, item.sop_instance_uid, attempt)
            until = attempt.next_attempt_at or until
        return until

    def _failed(
        self, destination: Destination, item: OutgoingDelivery, state: DeliveryState, status: int | None, error: str
    ) -> Attempt:
        again_at = self._again_at(destination, replace(item, attempts=item.attempts + 1))
        return Attempt(DeliveryState.FAILED if again_at is None else state, status, error, again_at)

    def _again_at(self, destination: Destination, item: OutgoingDelivery) -> float | None:
        """When an object is tried again that has been tried ``attempts`` times; ``None``: never."""
        now = self._ledger.now()
        delay = next_delay_s(destination.retry, item.attempts, now - item.created_at, self._jitter())
        return None if delay is None else now + delay


def _parcel(item: OutgoingDelivery) -> Parcel:
    return Parcel(item.path, item.sop_class_uid, item.sop_instance_uid)
