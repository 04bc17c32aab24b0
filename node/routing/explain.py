"""Why a series was, or would be, decided as it is: everything that the rules know of it, and each rule's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.config import Rule
from node.domain.decision import RuleVerdict
from node.domain.instance import Series
from node.routing.exclude import excluded
from node.routing.facts import Value, facts_of
from node.routing.match import verdict


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one series, and what each rule says to it."""

    facts: Mapping[str, Value]
    """By attribute, as conditions name them; ``None``: the series does not have it."""
    excluded: tuple[str, str] | None
    """Reason and sentence, where the series cannot be measured whatever the rules say."""
    verdicts: tuple[RuleVerdict, ...]
    """Of every rule, in order, also where the series is excluded."""


def explain(series: Series, rules: Sequence[Rule]) -> Explanation:
    """Ask every rule."""
    facts = facts_of(series)
    return Explanation(facts.values, excluded(series, facts, rules), tuple(verdict(rule, facts) for rule in rules))
