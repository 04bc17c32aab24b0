"""When to try again: a pure decision."""

from __future__ import annotations

from node.domain.settings import RetryPolicy


def next_delay_s(policy: RetryPolicy, attempts: int, waited_s: float, jitter: float) -> float | None:
    """Return how long to wait before the next attempt, or ``None`` to give up.

    ``attempts``: those made so far (at least 1). ``waited_s``: time since the object was first due. ``jitter`` in
    [0, 1) spreads retries over the upper half of the delay, so that many objects do not return at once.
    """
    if waited_s >= policy.give_up_after_s:
        return None
    exponent = min(max(attempts - 1, 0), 64)
    full = min(policy.first_delay_s * policy.factor**exponent, policy.max_delay_s)
    return full * (0.5 + 0.5 * jitter)
