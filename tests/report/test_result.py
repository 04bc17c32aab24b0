"""The result as JSON keeps to its schema, key by key."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

from node.domain.decision import Decision
from node.domain.findings import Refusal
from node.domain.job import Provenance
from node.report import document, result
from tests.report.cases import CASES
from tests.report.conftest import Written

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = json.loads((DOCS / "result.schema.json").read_text(encoding="utf-8"))


def whole(name: str, series: Written) -> dict[str, Any]:
    findings, _ = CASES[name](series)
    ignored = Decision("1.2.3", "ignore", None, "no-rule-matched", "No rule takes a localizer.", ())
    made = document([result(findings, ["1.2.4"])], [ignored], Provenance("0.1.0", "ab" * 32))
    loaded: dict[str, Any] = json.loads(json.dumps(made, allow_nan=False))
    return loaded


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", CASES)
def test_document_keeps_to_the_schema(name: str, head_first: Written) -> None:
    Draft202012Validator(SCHEMA).validate(whole(name, head_first))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("results", 0, "status"), "refused"),
        (("results", 0, "category"), "severe"),
        (("results", 0, "levels", "L1", "vbmd_mg_cm3"), "112.6"),
        (("results", 0, "levels", "L9b"), {}),
        (("results", 0, "mean_levels"), []),
        (("results", 0, "surprise"), 1),
        (("schema",), "vbmd-node/result/2"),
    ],
)
def test_schema_refuses_what_is_wrong(path: tuple[str | int, ...], value: object, head_first: Written) -> None:
    wrong: Any = deepcopy(whole("measured", head_first))
    inner = wrong
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(wrong)


def test_measured_level(head_first: Written) -> None:
    level = whole("measured", head_first)["results"][0]["levels"]["L1"]
    assert level["vbmd_mg_cm3"] == 112.649
    assert level["heights_mm"] == {"anterior": 25.04, "middle": 23.96, "posterior": 25.25}
    assert (level["included_in_mean"], level["exclusion_reason"], level["complete"]) == (True, None, True)


def test_levels_run_from_head_to_foot(head_first: Written) -> None:
    assert list(whole("measured", head_first)["results"][0]["levels"]) == ["T12", "L1", "L2", "L3"]


def test_refused_series_keeps_attenuation_but_no_density(head_first: Written) -> None:
    entry = whole("refused, levels found", head_first)["results"][0]
    level = entry["levels"]["L2"]
    assert (level["voi"]["hu_mean"], level["vbmd_mg_cm3"], entry["mean_vbmd_mg_cm3"]) == (147.25, None, None)


def test_density_of_a_refused_series_is_never_written(head_first: Written) -> None:
    findings, _ = CASES["measured"](head_first)
    entry = result(replace(findings, refusal=Refusal("levels-ambiguous", "Two names fit.")), [])
    assert entry["levels"]["L1"]["vbmd_mg_cm3"] is None
    assert (entry["mean_vbmd_mg_cm3"], entry["mean_levels"], entry["category"]) == (None, [], "not-classified")


def test_evidence_of_any_kind_becomes_plain(head_first: Written) -> None:
    findings, _ = CASES["refused, levels found"](head_first)
    evidence = {
        "array": np.array([[1, 2]]),
        "number": np.float32(1.5),
        "whole": np.int64(3),
        "not a number": float("nan"),
        "infinite": np.float64("inf"),
        "tuple": (1, ("a", None)),
        "set": {2, 1},
        "path": Path("x"),
        "yes": np.bool_(True),
    }
    entry = result(replace(findings, refusal=Refusal("poor-calibration", "Bad.", evidence)), [])
    assert json.loads(json.dumps(entry["refusal"]["evidence"], allow_nan=False)) == {
        "array": [[1, 2]],
        "number": 1.5,
        "whole": 3,
        "not a number": None,
        "infinite": None,
        "tuple": [1, ["a", None]],
        "set": [1, 2],
        "path": "x",
        "yes": True,
    }


def test_ignored_series_says_why(head_first: Written) -> None:
    assert whole("measured", head_first)["ignored"] == [
        {"series_instance_uid": "1.2.3", "reason": "no-rule-matched", "message": "No rule takes a localizer."}
    ]


def test_every_key_is_explained() -> None:
    page = (DOCS / "result.md").read_text(encoding="utf-8")
    explained = {
        *SCHEMA["$defs"]["result"]["properties"],
        *SCHEMA["$defs"]["level"]["properties"],
        *SCHEMA["$defs"]["calibration"]["properties"],
    }
    assert [key for key in explained if key not in page] == []
