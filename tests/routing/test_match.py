"""Conditions and rules against a series."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.config.rules import ATTRIBUTES
from node.routing.facts import facts_of
from node.routing.match import met, verdict
from tests.routing.series import rule, series

FACTS = facts_of(series())
BARE = facts_of(
    series(
        body_part_examined=None, series_description=None, kvp=None, convolution_kernel=None, slice_thickness_mm=None,
        sender=None, image_type=(), planes=(),
    )
)  # fmt: skip


def ask(facts: Any, **when: Any) -> bool:
    return met(rule(when=when).when, facts)[0]


def test_every_attribute_has_a_fact() -> None:
    assert set(FACTS.values) == set(ATTRIBUTES)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_facts_are_of_the_stated_kind(attribute: str) -> None:
    value = FACTS.values[attribute]
    kinds = {"text": str, "number": float, "texts": tuple}
    assert value is None or isinstance(value, kinds[ATTRIBUTES[attribute][0]])


@pytest.mark.parametrize(
    "condition",
    [
        {"attribute": "modality", "equals": "ct"},
        {"attribute": "series_description", "matches": "abd.*b3"},
        {"attribute": "kvp", "min": 120, "max": 120},
        {"attribute": "kvp", "in": [100, 120]},
        {"attribute": "kvp", "equals": 120},
        {"attribute": "image_type", "equals": "axial"},
        {"attribute": "image_type", "in": ["AXIAL", "HELIX"]},
        {"attribute": "sender", "equals": "CT1"},
        {"attribute": "kernel_class", "equals": "standard"},
        {"attribute": "orientation", "equals": "axial"},
        {"attribute": "slices", "min": 100},
        {"attribute": "coverage_mm", "min": 198, "max": 198},
        {"attribute": "slice_spacing_mm", "equals": 2},
        {"attribute": "field_of_view_mm", "min": 409, "max": 410},
        {"attribute": "sop_class", "equals": "ct"},
        {"attribute": "contrast", "present": False},
        {"attribute": "contrast", "equals": "no", "missing": "accept"},
        {"all": []},
        {"any": [{"attribute": "kvp", "max": 100}, {"attribute": "kvp", "min": 120}]},
        {"not": {"attribute": "series_description", "matches": "lung"}},
    ],
)
def test_met(condition: dict[str, Any]) -> None:
    assert ask(FACTS, **condition)


@pytest.mark.parametrize(
    "condition",
    [
        {"attribute": "modality", "equals": "MR"},
        {"attribute": "series_description", "matches": "^b3"},
        {"attribute": "kvp", "max": 119.9},
        {"attribute": "kvp", "in": [80, 100]},
        {"attribute": "contrast", "present": True},
        {"attribute": "contrast", "equals": "no"},
        {"any": [{"attribute": "kvp", "max": 100}, {"attribute": "kvp", "min": 121}]},
        {"all": [{"attribute": "kvp", "min": 100}, {"attribute": "sender", "equals": "CT2"}]},
        {"not": {"attribute": "kvp", "min": 100}},
    ],
)
def test_not_met(condition: dict[str, Any]) -> None:
    assert not ask(FACTS, **condition)


@pytest.mark.parametrize(
    "condition",
    [
        {"attribute": "series_description", "matches": ".*"},
        {"attribute": "kvp", "min": 0},
        {"attribute": "kvp", "in": [120]},
        {"attribute": "sender", "equals": "CT1"},
        {"attribute": "image_type", "equals": "AXIAL"},
        {"attribute": "slice_spacing_mm", "max": 100},
    ],
)
def test_a_missing_attribute_makes_its_condition_false(condition: dict[str, Any]) -> None:
    assert not ask(BARE, **condition)
    assert ask(BARE, **condition, missing="accept")
    assert ask(BARE, **{"not": condition})


def test_verdict_names_attribute_value_and_wanted() -> None:
    answer = verdict(rule(when={"attribute": "kvp", "min": 130}), FACTS)
    assert (answer.matched, answer.why) == (False, "kvp is 120, wanted at least 130.")


def test_verdict_names_all_that_failed() -> None:
    conditions = [{"attribute": "kvp", "max": 100}, {"attribute": "sender", "equals": "CT2"}]
    assert verdict(rule(when={"all": conditions}), FACTS).why == (
        'kvp is 120, wanted at most 100; sender is "CT1", wanted "CT2".'
    )


@pytest.mark.parametrize(
    ("thickness", "spacing", "limit", "matched"),
    [(3.0, 3.0, 3.0, True), (3.0, 3.01, 3.0, True), (5.0, 4.25, 3.0, False), (5.0, 4.25, 5.0, True),
     (1.0, 10.0, 5.0, False), (None, 2.0, 3.0, True), (None, 5.0, 3.0, False)],
)  # fmt: skip
def test_slice_thickness(thickness: float | None, spacing: float, limit: float, matched: bool) -> None:
    facts = facts_of(series(slice_thickness_mm=thickness, spacing_mm=spacing))
    assert verdict(rule(max_slice_thickness_mm=limit), facts).matched is matched


def test_slice_thickness_of_which_nothing_is_known() -> None:
    assert verdict(rule(), BARE).why == "slice thickness and spacing are unknown, wanted at most 3 mm."


def test_derived_images_only_where_allowed() -> None:
    facts = facts_of(series(image_type=("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")))
    assert not verdict(rule(), facts).matched
    assert verdict(rule(allow_derived=True), facts).matched


def test_long_received_text_is_cut_before_a_pattern_sees_it() -> None:
    facts = facts_of(series(series_description="a" * 256 + "b"))
    assert not ask(facts, attribute="series_description", matches="b")


@pytest.mark.parametrize(
    ("agent", "contrast"), [("IOHEXOL 350", "yes"), ("none", "no"), (None, None), ("APPLIED", "yes")]
)
def test_contrast(agent: str | None, contrast: str | None) -> None:
    assert facts_of(series(contrast_bolus_agent=agent)).values["contrast"] == contrast


def test_images_that_differ_speak_with_the_commonest_and_the_median() -> None:
    one = series(slices=10)
    odd = replace(one.instances[0], header=replace(one.instances[0].header, kvp=80.0, body_part_examined="HEAD"))
    facts = facts_of(replace(one, instances=(odd, *one.instances[1:])))
    assert (facts.values["kvp"], facts.values["body_part_examined"]) == (120.0, "ABDOMEN")
