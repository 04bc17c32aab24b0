"""What the routing rules said about a series, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule's answer: a sentence that names the attribute, its value and what was wanted."""

    rule: str
    matched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one series."""

    series_instance_uid: str
    action: Literal["measure", "ignore", "refuse"]
    rule: str | None
    """The rule that selected it, for ``measure`` and ``refuse``."""
    reason: str
    """A stable slug: "selected", "not-an-image", "no-rule-matched", "better-series", "incomplete-series", ..."""
    message: str
    verdicts: tuple[RuleVerdict, ...]
