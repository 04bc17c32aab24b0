"""Conditions and rules against the facts of a series, with a sentence for each answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from node.config.rules import AllOf, AnyOf, AttributeTest, Condition, Not, Rule
from node.domain.decision import RuleVerdict
from node.routing.facts import Facts, Value

MAX_TEXT = 256
"""Received text is cut to this before a regular expression sees it (DICOM allows 64 in these attributes)."""
THICKNESS_TOLERANCE_MM = 0.05
"""Spacings are differences of rounded positions."""

_PROJECTED = {"MIP", "MINIP", "MAXIMUM", "MINIMUM", "PROJECTION", "VRT", "SSD", "VOLREN", "CURVED", "CPR"}
_CALCULATED = {"SUBTRACTION", "PERFUSION", "QUANTITY", "MASKED", "DIVISION", "MULTIPLICATION", "DEVIATION"}
_REFORMATTED = {"MPR", "REFORMATTED", "RESAMPLED", "AVERAGE", "MEAN", "MEDIAN", "FILTERED"}


def met(condition: Condition, facts: Facts) -> tuple[bool, str]:
    """Whether a condition is met, and the sentence that decides it."""
    if isinstance(condition, AllOf):
        answers = [met(part, facts) for part in condition.all]
        failed = [why for ok, why in answers if not ok]
        return not failed, "; ".join(failed or [why for _, why in answers]) or "no condition"
    if isinstance(condition, AnyOf):
        answers = [met(part, facts) for part in condition.any]
        passed = [why for ok, why in answers if ok]
        return bool(passed), passed[0] if passed else "none of: " + "; ".join(why for _, why in answers)
    if isinstance(condition, Not):
        ok, why = met(condition.negated, facts)
        return not ok, f"not wanted: {why}" if ok else f"rightly not so: {why}"
    return _test(condition, facts.values[condition.attribute])


def verdict(rule: Rule, facts: Facts) -> RuleVerdict:
    """A rule's answer: its conditions, then its limits on slice thickness and derived images."""
    ok, why = met(rule.when, facts)
    if ok:
        ok, thickness = _thin_enough(rule, facts)
        why = f"{why}; {thickness}" if ok else thickness
    if ok and not rule.allow_derived and is_reformatted(facts):
        ok, why = False, f"image_type is {_shown(facts.image_type)}, derived images are not wanted (allow_derived)"
    return RuleVerdict(rule.name, ok, f"all conditions are met: {why}." if ok else f"{why}.")


def is_reformatted(facts: Facts) -> bool:
    """Made from other images, such as a multiplanar reformat or an average of slices."""
    image_type = tuple(value.upper() for value in facts.image_type)
    return image_type[:2] == ("DERIVED", "SECONDARY") or bool(_words(image_type) & _REFORMATTED)


def is_calculated(facts: Facts) -> bool:
    """Values are no longer attenuation: projections, subtractions, perfusion maps."""
    return bool(_words(value.upper() for value in facts.image_type) & (_PROJECTED | _CALCULATED))


def _words(values: Iterable[str]) -> set[str]:
    return {word for value in values for word in re.split(r"[^A-Z0-9]+", value)}


def _thin_enough(rule: Rule, facts: Facts) -> tuple[bool, str]:
    thickness, limit = facts.effective_thickness_mm, rule.max_slice_thickness_mm
    if thickness is None:
        return False, f"slice thickness and spacing are unknown, wanted at most {limit:g} mm"
    if thickness > limit + THICKNESS_TOLERANCE_MM:
        return False, f"slices are {thickness:g} mm thick or apart, wanted at most {limit:g} (max_slice_thickness_mm)"
    return True, f"slices are {thickness:g} mm, wanted at most {limit:g}"


def _test(test: AttributeTest, value: Value) -> tuple[bool, str]:
    name = test.attribute
    if test.present is not None:
        there = value is not None
        return there == test.present, f"{name} is {_shown(value)}, wanted {'present' if test.present else 'missing'}"
    if value is None:
        accepted = test.missing == "accept"
        return accepted, f"{name} is missing{', which is accepted' if accepted else f', wanted {_wanted(test)}'}"
    values = value if isinstance(value, tuple) else (value,)
    return any(_passes(test, one) for one in values), f"{name} is {_shown(value)}, wanted {_wanted(test)}"


def _passes(test: AttributeTest, value: str | float) -> bool:
    if isinstance(value, str):
        text = value[:MAX_TEXT]
        if test.matches is not None:
            return _compiled(test.matches).search(text) is not None
        wanted = test.one_of if test.one_of is not None else (test.equals,)
        return text.casefold() in {one.casefold() for one in wanted if isinstance(one, str)}
    if test.one_of is not None:
        return value in test.one_of
    if test.equals is not None:
        return value == test.equals
    return (test.min is None or value >= test.min) and (test.max is None or value <= test.max)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _wanted(test: AttributeTest) -> str:
    if test.matches is not None:
        return f"to match {_shown(test.matches)}"
    if test.one_of is not None:
        return f"one of {', '.join(_shown(value) for value in test.one_of)}"
    if test.equals is not None:
        return _shown(test.equals)
    if test.min is not None and test.max is not None:
        return f"{test.min:g} to {test.max:g}"
    return f"at least {test.min:g}" if test.min is not None else f"at most {test.max:g}"


def _shown(value: Value) -> str:
    if value is None:
        return "missing"
    if isinstance(value, tuple):
        return '"' + "\\".join(value) + '"'
    return f'"{value[:80]}"' if isinstance(value, str) else f"{value:g}"
