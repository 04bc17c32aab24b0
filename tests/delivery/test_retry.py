from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.delivery.retry import next_delay_s
from node.domain.settings import RetryPolicy

POLICY = RetryPolicy(first_delay_s=15.0, factor=2.0, max_delay_s=1800.0, give_up_after_s=604_800.0)


@pytest.mark.parametrize(
    ("attempts", "expected"), [(1, 15.0), (2, 30.0), (3, 60.0), (7, 960.0), (8, 1800.0), (1000, 1800.0)]
)
def test_the_delay_doubles_up_to_its_cap(attempts: int, expected: float) -> None:
    assert next_delay_s(POLICY, attempts, 0.0, jitter=1.0) == expected


def test_without_jitter_half_the_delay_is_waited() -> None:
    assert next_delay_s(POLICY, 1, 0.0, jitter=0.0) == 7.5


def test_after_the_time_allowed_it_gives_up() -> None:
    assert next_delay_s(POLICY, 3, POLICY.give_up_after_s, jitter=0.5) is None


def test_a_week_of_outage_is_waited_through() -> None:
    waited, attempts = 0.0, 1
    while (delay := next_delay_s(POLICY, attempts, waited, jitter=0.5)) is not None:
        waited, attempts = waited + delay, attempts + 1
    assert waited >= 7 * 86_400
    assert attempts < 600


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_every_delay_lies_between_half_of_the_first_and_the_cap(attempts: int, jitter: float) -> None:
    delay = next_delay_s(POLICY, attempts, 0.0, jitter)
    assert delay is not None
    assert POLICY.first_delay_s / 2 <= delay <= POLICY.max_delay_s
