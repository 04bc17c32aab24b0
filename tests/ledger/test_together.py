"""Calls that come at the same time share one run, and none fails for another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.ledger.together import Together
from tests.workflow.house import wait_until


class Slow:
    """Doubles numbers, in runs that wait for a go; negative ones are refused."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.runs: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.runs.append(list(numbers))
        assert self.go.wait(10)
        if min(numbers) < 0:
            raise ValueError(numbers)
        return [2 * number for number in numbers]


def gathered(slow: Slow, numbers: Sequence[int]) -> list[int | BaseException | None]:
    """Ask for the first number, for the others while that is under way, and then let it go."""
    together = Together(slow)
    with ThreadPoolExecutor(len(numbers)) as pool:
        asked = [pool.submit(together, numbers[0])]
        wait_until(lambda: slow.runs == [[numbers[0]]], 10)
        asked += [pool.submit(together, number) for number in numbers[1:]]
        wait_until(lambda: len(together._waiting) == len(numbers) - 1, 10)
        slow.go.set()
        return [one.exception() or one.result() for one in asked]


def test_each_gets_his_own_result() -> None:
    assert gathered(Slow(), range(1, 9)) == [2, 4, 6, 8, 10, 12, 14, 16]


def test_what_came_meanwhile_is_run_at_once() -> None:
    slow = Slow()
    gathered(slow, range(1, 9))
    assert [sorted(run) for run in slow.runs] == [[1], [2, 3, 4, 5, 6, 7, 8]]


def test_one_that_fails_fails_alone() -> None:
    outcomes = gathered(Slow(), [1, 2, -3, 4])
    assert outcomes[:2] + outcomes[3:] == [2, 4, 8]
    assert isinstance(outcomes[2], ValueError)


def test_after_a_failure_it_goes_on() -> None:
    slow = Slow()
    slow.go.set()
    together = Together(slow)
    with pytest.raises(ValueError, match="-1"):
        together(-1)
    assert together(1) == 2


def test_many_threads_and_calls_are_all_answered() -> None:
    slow = Slow()
    slow.go.set()
    together = Together(slow)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(together, range(3000))) == list(range(0, 6000, 2))
