"""Calls that come at the same time share one transaction, and so one sync of the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    """One call: what it asks, and what it got."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.woken = threading.Event()
        self.results: list[Result] = []
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return bool(self.results) or self.error is not None

    def outcome(self) -> Result:
        if self.error is not None:
            raise self.error
        return self.results[0]


class Together(Generic[Item, Result]):
    """Gathers what is asked while ``run`` is busy, and asks for it at once when it is not.

    ``run`` takes items and returns as many results; it does all or raises. Nobody waits for calls that came after the
    ones that are run with his own: the first of those is the next to run, for all who came meanwhile.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._waiting: list[_Call[Item, Result]] = []
        self._busy = False

    def __call__(self, item: Item) -> Result:
        """Return the result for one item. Raises what ``run`` raises for it."""
        mine: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._waiting.append(mine)
            leads, self._busy = not self._busy, True
        if not leads:
            mine.woken.wait()
        if not mine.done:
            self._lead()
        return mine.outcome()

    def _lead(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        self._serve(calls)
        with self._lock:
            if self._waiting:
                self._waiting[0].woken.set()
            else:
                self._busy = False
        for call in calls:
            call.woken.set()

    def _serve(self, calls: Sequence[_Call[Item, Result]]) -> None:
        """Run all at once; where that fails, each alone, so that none fails for another."""
        try:
            for call, result in zip(calls, self._run([call.item for call in calls]), strict=True):
                call.results = [result]
        except BaseException as error:  # noqa: BLE001 - handed to who asked
            if len(calls) == 1:
                calls[0].error = error
                return
            for call in calls:
                self._serve([call])
