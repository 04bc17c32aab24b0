from __future__ import annotations

import itertools

import pytest

from node.ledger import states
from node.ledger.states import TRANSITIONS, ForbiddenTransition, State


@pytest.mark.parametrize(("origin", "target"), list(itertools.product(State, State)))
def test_every_pair_is_allowed_or_refused_by_the_table(origin: State, target: State) -> None:
    if target in TRANSITIONS[origin]:
        states.check(origin, target)
    else:
        with pytest.raises(ForbiddenTransition, match=f"from {origin} to {target}"):
            states.check(origin, target)


def test_late_instances_reopen_a_series_from_every_state() -> None:
    assert all(State.RECEIVING in TRANSITIONS[state] for state in State if state is not State.RECEIVING)


def test_nothing_is_delivered_that_was_not_measured_or_refused() -> None:
    assert {state for state in State if State.DELIVERING in TRANSITIONS[state]} == {
        State.MEASURED,
        State.REFUSED,
        State.FAILED,
        State.HELD,
    }
    assert {state for state in State if State.DELIVERED in TRANSITIONS[state]} == {State.DELIVERING, State.HELD}


def test_what_was_withdrawn_comes_back_only_with_other_instances() -> None:
    assert TRANSITIONS[State.WITHDRAWN] == {State.RECEIVING}


def test_every_state_can_be_reached_from_the_first() -> None:
    reached = {State.RECEIVING}
    while grown := {target for state in reached for target in TRANSITIONS[state]} - reached:
        reached |= grown
    assert reached == set(State)
