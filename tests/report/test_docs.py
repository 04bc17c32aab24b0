"""docs/sr-content.md lists every code of the shipped template."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.report.template import load
from node.resources import shipped

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sr-content.md").read_text(encoding="utf-8")
TEMPLATE = load(shipped("sr_templates") / "bone_density.toml")


@pytest.mark.parametrize(
    "row",
    [
        f"{code.meaning} | ({code.value}, {code.scheme})"
        for code in (*(spec.code for spec in TEMPLATE.numbers.values()), *TEMPLATE.concepts.values())
    ],
)
def test_every_item_is_listed(row: str) -> None:
    assert row in PAGE


@pytest.mark.parametrize(
    "row",
    [
        f"{code.meaning} (`{slug}`) | ({code.value}, {code.scheme})"
        for codes in TEMPLATE.values.values()
        for slug, code in codes.items()
    ],
)
def test_every_value_is_listed(row: str) -> None:
    assert row in PAGE


def test_units_and_decimals_are_listed() -> None:
    for spec in TEMPLATE.numbers.values():
        assert f"({spec.code.value}, {spec.code.scheme}) | {spec.unit.value} | {spec.decimals} |" in PAGE


def test_series_numbers_are_listed() -> None:
    for number, description in (
        (TEMPLATE.sagittal.series_number, TEMPLATE.sagittal.series_description),
        (TEMPLATE.document.series_number, TEMPLATE.document.series_description),
    ):
        assert f"| {number} | {description} |" in PAGE


def test_scheme_is_listed() -> None:
    assert TEMPLATE.scheme.uid in PAGE
