"""docs/sr-content.md lists every output, every item and every code, and no code that is not used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pydicom
import pytest

from node.domain.settings import Output
from node.report.template import Coded, load
from node.resources import shipped
from tests.report import independent
from tests.report.studies import REPORTS, Study

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


OBJECTS = {
    "sagittal": TEMPLATE.sagittal,
    "bone-density": TEMPLATE.document,
    "segmentation": TEMPLATE.segmentation,
    "heights": TEMPLATE.heights,
    "curved": TEMPLATE.pictures["curved-sagittal"],
    "key-images": TEMPLATE.pictures["key-images"],
    "summary": TEMPLATE.pictures["summary"],
    "summary-pdf": TEMPLATE.pictures["summary-pdf"],
}


@pytest.mark.parametrize("output", get_args(Output))
def test_every_output_is_listed(output: str) -> None:
    spec = OBJECTS[output]
    (row,) = [line for line in PAGE.splitlines() if f"| {spec.series_number} | {spec.series_description} |" in line]
    assert f"| `{output}` |" in row


def test_every_item_that_is_written_is_listed(study: Study) -> None:
    """Names and answers of all items of all reports, whatever wrote them."""
    page = " ".join(PAGE.split())
    for path in study.paths(*REPORTS):
        dataset = pydicom.dcmread(path)
        for item in independent.items(dataset):
            for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
                scheme, value = independent.code(item, keyword)
                assert not value or scheme in ANYWHERE or f"({value}, {scheme})" in page, item


ANYWHERE = ("RFC5646",)
"""The language."""


def test_no_private_code_is_listed_that_the_template_has_not() -> None:
    known = {code.value for code in every_code() if code.scheme == TEMPLATE.scheme.designator}
    assert set(re.findall(rf"\((\d+), ?{TEMPLATE.scheme.designator}", PAGE)) == known


def every_code() -> Iterator[Coded]:
    yield from (spec.code for spec in TEMPLATE.numbers.values())
    yield from TEMPLATE.concepts.values()
    yield from TEMPLATE.findings.values()
    yield from (code for codes in TEMPLATE.values.values() for code in codes.values())
    yield from (TEMPLATE.document.title, TEMPLATE.document.title_refused)


def test_scheme_is_listed() -> None:
    assert TEMPLATE.scheme.uid in PAGE
