"""The states of a series and of a delivery: the only tables of what may follow what.

A series that ever arrived is always in exactly one state, with a reason (a slug) and a message (a sentence).
"""

from __future__ import annotations

from enum import StrEnum

from node.errors import NodeError


class State(StrEnum):
    """Where a series stands."""

    RECEIVING = "receiving"
    """Instances are arriving, or have arrived after an earlier decision."""
    READY = "ready"
    """Selected by a rule; its measurement is planned."""
    IGNORED = "ignored"
    """No rule wants it."""
    MEASURING = "measuring"
    MEASURED = "measured"
    """There is a result and nothing to deliver it to."""
    REFUSED = "refused"
    """It will not be measured as it is, or the measurement said no."""
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    """Every object was accepted by every destination."""
    FAILED = "failed"
    """A destination did not accept an object within the time allowed."""
    HELD = "held"
    """Measured, and kept back: by an operator, in shadow mode, or because a destination is no longer configured."""
    WITHDRAWN = "withdrawn"
    """Its report was taken back; destinations that have it are told so."""


_S = State
TRANSITIONS: dict[State, frozenset[State]] = {
    _S.RECEIVING: frozenset({_S.READY, _S.IGNORED, _S.REFUSED}),
    _S.READY: frozenset({_S.MEASURING, _S.IGNORED, _S.REFUSED, _S.RECEIVING}),
    _S.IGNORED: frozenset({_S.READY, _S.REFUSED, _S.RECEIVING}),
    _S.MEASURING: frozenset({_S.MEASURED, _S.REFUSED, _S.READY, _S.RECEIVING}),
    _S.MEASURED: frozenset({_S.DELIVERING, _S.HELD, _S.WITHDRAWN, _S.READY, _S.IGNORED, _S.REFUSED, _S.RECEIVING}),
    _S.REFUSED: frozenset({_S.READY, _S.IGNORED, _S.DELIVERING, _S.HELD, _S.WITHDRAWN, _S.RECEIVING}),
    _S.DELIVERING: frozenset({_S.DELIVERED, _S.FAILED, _S.HELD, _S.MEASURED, _S.WITHDRAWN, _S.RECEIVING}),
    _S.DELIVERED: frozenset({_S.WITHDRAWN, _S.RECEIVING}),
    _S.FAILED: frozenset({_S.DELIVERING, _S.HELD, _S.WITHDRAWN, _S.RECEIVING}),
    _S.HELD: frozenset({_S.DELIVERING, _S.DELIVERED, _S.FAILED, _S.MEASURED, _S.WITHDRAWN, _S.RECEIVING}),
    _S.WITHDRAWN: frozenset({_S.RECEIVING}),
}
"""Late instances lead back to ``receiving`` from everywhere; a refusal may itself be delivered as a report; an operator
may have decided anew what was measured or refused and is not on its way."""


class ForbiddenTransition(NodeError):
    """A series was to go where the table does not lead: our bug."""

    def __init__(self, origin: State, target: State) -> None:
        super().__init__(f"a series cannot go from {origin} to {target}")
        self.origin, self.target = origin, target


def check(origin: State, target: State) -> None:
    """Raise ``ForbiddenTransition`` unless the table allows it. Staying (a new reason) is not a transition."""
    if target not in TRANSITIONS[origin]:
        raise ForbiddenTransition(origin, target)


class JobState(StrEnum):
    """Where one measurement of one set of instances stands."""

    PLANNED = "planned"
    RUNNING = "running"
    MEASURED = "measured"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    """Another set of instances, or another decision, took its place before it was done."""
    WITHDRAWN = "withdrawn"
    """Its report was taken back."""


class DeliveryState(StrEnum):
    """Where one object stands at one destination."""

    PENDING = "pending"
    """Not tried yet, or the destination could not be reached."""
    REFUSED = "refused"
    """The destination answered with a failure status; tried again."""
    STORED = "stored"
    STORED_WITH_WARNING = "stored-with-warning"
    FAILED = "failed"
    """Given up after the time allowed."""
    CANCELLED = "cancelled"
    """A newer decision about the series, or an operator, made it obsolete before it was sent."""
    HELD = "held"
    """Kept back until it is released."""
    STRANDED = "stranded"
    """Its destination is no longer configured."""


class ProofState(StrEnum):
    """Whether the destination confirmed later that it holds what it accepted."""

    WANTED = "wanted"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    """It could not be asked within the time allowed."""


OPEN_DELIVERIES = (DeliveryState.PENDING, DeliveryState.REFUSED)
ACCEPTED_DELIVERIES = (DeliveryState.STORED, DeliveryState.STORED_WITH_WARNING)
WAITING_DELIVERIES = (*OPEN_DELIVERIES, DeliveryState.HELD, DeliveryState.STRANDED)
"""Not accepted, and not given up."""
