"""One explained decision for each series of a study."""

from __future__ import annotations

from typing import Any

import pytest

from node.config import Config
from node.domain.decision import Decision
from node.domain.instance import Series
from node.errors import IncompleteSeries, StudyRefused
from node.routing import decide, phantoms_for
from tests.routing.series import rule, series

BODY = rule(destinations=["pacs"])


def decided(
    *study: Series, rules: Any = (BODY,), geometry: dict[str, StudyRefused | None] | None = None
) -> list[Decision]:
    return list(decide(study, rules, geometry or {}))


def actions(*study: Series, **options: Any) -> list[tuple[str, str]]:
    return [(decision.action, decision.reason) for decision in decided(*study, **options)]


def test_suitable_series() -> None:
    (decision,) = decided(series())
    assert (decision.action, decision.rule, decision.reason) == ("measure", "body", "selected")
    assert decision.message == (
        'Selected by rule "body": 100 slices, 2 mm thick, 2 mm apart, 198 mm long, field of 409.6 mm, '
        "kernel B30f (standard)."
    )
    assert decision.verdicts[0].matched


SR, SC, MR, PET = (
    "1.2.840.10008.5.1.4.1.1.88.67",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "slices": 2}, "localizer"),
        ({"sop_class_uid": SR, "modality": "SR", "slices": 1, "planes": ()}, "dose-report"),
        ({"sop_class_uid": SC, "series_description": "Dose Report", "slices": 1, "planes": ()}, "dose-report"),
        ({"sop_class_uid": SC, "series_description": "3D", "slices": 3, "planes": ()}, "secondary-capture"),
        ({"sop_class_uid": f"{SC}.4", "slices": 3, "planes": ()}, "secondary-capture"),
        ({"sop_class_uid": MR, "modality": "MR"}, "not-ct"),
        ({"sop_class_uid": PET, "modality": "PT"}, "not-ct"),
        ({"modality": "PT"}, "not-ct"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.481.3", "slices": 1, "planes": ()}, "not-an-image"),
        ({"image_type": ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")}, "derived-series"),
        ({"image_type": ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MPR")}, "derived-series"),
        ({"image_type": ("DERIVED", "PRIMARY", "MIP")}, "derived-series"),
        ({"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "not-axial"),
        ({"orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}, "not-axial"),
        ({"slices": 9}, "too-few-slices"),
        ({"slices": 20, "spacing_mm": 0.0}, "too-few-slices"),
        ({"slice_thickness_mm": 5.0}, "no-rule-matched"),
    ],
)
def test_what_is_left_out_has_its_own_reason(values: dict[str, Any], reason: str) -> None:
    assert actions(series(**values)) == [("ignore", reason)]


def test_derived_primary_axial_is_not_a_reformat() -> None:
    assert actions(series(image_type=("DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SPI"))) == [("measure", "selected")]


def test_no_rules() -> None:
    (decision,) = decided(series(), rules=())
    assert (decision.reason, decision.message) == ("no-rule-matched", "There are no rules.")


def test_why_no_rule_matched() -> None:
    (decision,) = decided(
        series(), rules=[rule("a", when={"attribute": "kvp", "max": 100}), rule("b", max_slice_thickness_mm=1)]
    )
    assert decision.message == (
        'Rule "a": kvp is 120, wanted at most 100. '
        'Rule "b": slices are 2 mm thick or apart, wanted at most 1 (max_slice_thickness_mm).'
    )
    assert [one.matched for one in decision.verdicts] == [False, False]


def test_the_first_rule_that_matches_counts() -> None:
    assert (
        decided(series(), rules=[rule("a", when={"attribute": "kvp", "max": 100}), rule("b"), rule("c")])[0].rule == "b"
    )


GOOD = series("1.1")


@pytest.mark.parametrize(
    ("worse", "because"),
    [
        ({"convolution_kernel": "B70f", "slice_thickness_mm": 0.6, "spacing_mm": 0.5}, "a standard kernel"),
        ({"convolution_kernel": None}, "a standard kernel"),
        ({"image_type": ("DERIVED", "PRIMARY", "AXIAL")}, "original images"),
        ({"contrast_bolus_agent": "IOHEXOL", "slice_thickness_mm": 1.0, "spacing_mm": 1.0}, "no contrast medium"),
        ({"pixel_mm": 0.4, "slice_thickness_mm": 1.0, "spacing_mm": 1.0}, "a large field of view"),
        ({"slice_thickness_mm": 5.0, "spacing_mm": 5.0, "slices": 200}, "slices of 3 mm or less"),
        ({"slices": 40}, "more coverage"),
        ({"slice_thickness_mm": 3.0}, "thinner slices"),
        ({"series_number": 7}, "a lower series number"),
    ],
)
def test_the_better_of_two_series(worse: dict[str, Any], because: str) -> None:
    rules = [rule(max_slice_thickness_mm=5)]
    for study in ([GOOD, series("1.2", **worse)], [series("1.2", **worse), GOOD]):
        decisions = {decision.series_instance_uid: decision for decision in decided(*study, rules=rules)}
        assert decisions["1.1"].action == "measure"
        assert (decisions["1.2"].action, decisions["1.2"].reason) == ("ignore", "better-series")
        assert decisions["1.2"].message == f'Series 2 "Abdomen 2 B30f" is better: {because}.'


def test_priority_of_the_rule_goes_before_the_qualities_of_the_series() -> None:
    rules = [rule("lung", when={"attribute": "kernel_class", "equals": "sharp"}, priority=5), rule("rest")]
    assert actions(series("1.1"), series("1.2", convolution_kernel="B70f"), rules=rules)[1] == ("measure", "selected")


def test_one_series_of_each_study() -> None:
    assert actions(series("1.1"), series("2.1", study_instance_uid="2")) == [("measure", "selected")] * 2


INCOMPLETE = IncompleteSeries("3 slices are missing.")


def test_incomplete_series_is_refused_when_it_is_the_only_one() -> None:
    (decision,) = decided(series(), geometry={"1.1": INCOMPLETE})
    assert (decision.action, decision.rule, decision.reason) == ("refuse", "body", "incomplete-series")
    assert decision.message == "3 slices are missing."


def test_incomplete_series_makes_way_for_a_worse_but_complete_one() -> None:
    study = series("1.1"), series("1.2", convolution_kernel="B70f", series_number=3)
    decisions = decided(*study, geometry={"1.1": INCOMPLETE, "1.2": None})
    assert [(d.action, d.reason) for d in decisions] == [("ignore", "incomplete-series"), ("measure", "selected")]
    assert decisions[0].message == '3 slices are missing. Series 3 "Abdomen 2 B30f" stands for the study instead.'


def test_one_refusal_for_a_study_without_a_complete_series() -> None:
    study = series("1.1"), series("1.2", slice_thickness_mm=3.0)
    assert actions(*study, geometry={"1.1": INCOMPLETE, "1.2": INCOMPLETE}) == [
        ("refuse", "incomplete-series"),
        ("ignore", "incomplete-series"),
    ]


QA = rule("qa", when={"attribute": "study_description", "matches": "quality"}, every_series=True)


def test_a_rule_may_want_every_series() -> None:
    """A spine phantom at 100 and 120 kV in one study: each makes a line of the scanner's record."""
    study = [series(uid, study_description="Quality ESP", kvp=kvp) for uid, kvp in (("1.1", 100.0), ("1.2", 120.0))]
    assert actions(*study, rules=(QA, BODY)) == [("measure", "selected"), ("measure", "selected")]


def test_what_every_series_rule_wants_does_not_compete() -> None:
    qa = rule("qa", when={"attribute": "kvp", "equals": 100.0}, every_series=True)
    study = series("1.1", kvp=100.0), series("1.2"), series("1.3", convolution_kernel="B70f")
    assert actions(*study, rules=(qa, BODY)) == [
        ("measure", "selected"),
        ("measure", "selected"),
        ("ignore", "better-series"),
    ]


def test_bad_geometry_does_not_matter_where_no_rule_matches() -> None:
    assert actions(series(slice_thickness_mm=5.0), geometry={"1.1": INCOMPLETE}) == [("ignore", "no-rule-matched")]


def test_answer_does_not_depend_on_the_order_of_series() -> None:
    study = [series("1.1"), series("1.2"), series("1.3", convolution_kernel="B70f")]
    one = {d.series_instance_uid: d for d in decided(*study)}
    other = {d.series_instance_uid: d for d in decided(*reversed(study))}
    assert one == other


def test_phantoms_of_the_rule_then_of_the_scanner_then_all(site: Config) -> None:
    def ids(one: Series, **values: Any) -> list[str]:
        return [phantom.id for phantom in phantoms_for(one, rule(**values), site)]

    assert ids(series(), phantoms=["b"]) == ["b"]
    assert ids(series(station_name="CT01")) == ["a"]
    assert ids(series(station_name="CT02")) == ["a", "b"]


@pytest.mark.parametrize("description", ["Topogram", "LUNG HR", "Dose info", "MPR cor", "head", "", None])
def test_what_a_series_is_called_does_not_decide(description: str | None) -> None:
    assert actions(series(series_description=description, protocol_name=description)) == [("measure", "selected")]
