"""Charts and the page: everything that a physicist signs for stands on it."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from node.domain.settings import QualitySettings
from node.quality import drawing
from node.quality.page import Edition, page
from node.quality.standing import standings
from tests.quality.records import START, patient, recorded, resolution, series

SETTINGS = QualitySettings()
SCANS = series(16, 1, shift_from=12, shift=6.0)
RECORD = recorded(
    *SCANS,
    *(patient(START + timedelta(days=n), sigma=1.40) for n in range(5)),
    resolutions=(resolution(START + timedelta(days=380), 13),),
)
(STANDING,) = standings(RECORD, SETTINGS)
BY = Edition(date(2026, 5, 1), "9.9.9", "0123456789abcdef")


@pytest.fixture(scope="module")
def html() -> str:
    return page((STANDING,), RECORD, SETTINGS, ("mindways",), BY)


@pytest.fixture(scope="module")
def text(html: str) -> str:
    """What can be read of it, charts left out."""
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>|<style.*?</style>", "", html, flags=re.S))
    )


def test_accuracy_and_precision_are_those_of_the_standing(text: str) -> None:
    for insert in STANDING.inserts:
        assert f"{insert.nominal_mg_cm3:.1f} CaHA {insert.mean_mg_cm3:.1f} K2HPO4" in text
        assert f"{insert.cv_percent:.2f}" in text


def test_every_quantity_has_its_limits(text: str) -> None:
    for chart in STANDING.charts:
        base = chart.control.baseline
        assert base is not None
        assert f"{chart.quantity}, {chart.unit} {base.first} to {base.last} (10)" in text


def test_alarms_and_resolutions_are_its_history(text: str) -> None:
    assert "resolved by physicist: cause found" in text
    assert re.search(r"beyond limits: L1 [\d.]+ \(\+[\d.]+ SD\), L2 .*; open", text)


def test_nothing_is_lent_while_the_scanner_is_out_of_control(text: str) -> None:
    assert "out of control" in text
    assert "Asynchronous: none while the scanner is out of control" in text


def test_a_calibration_in_force_is_named_with_its_end() -> None:
    record = recorded(*series(12, 1))
    html = page(
        standings(record, SETTINGS), record, SETTINGS, ("mindways",), replace(BY, today=START + timedelta(days=335))
    )
    assert "mean of 6 scans" in html  # of the last 180 days
    assert f"valid until {START + timedelta(days=330 + 180)}" in html


def test_there_is_room_to_sign(text: str) -> None:
    assert all(word in text for word in ("Medical physicist", "Signature", "Date"))


def test_the_page_says_what_made_it(text: str) -> None:
    assert "Page of 2026-05-01, vbmd-node 9.9.9, configuration 0123456789ab" in text


def test_text_from_outside_cannot_break_the_page() -> None:
    odd = replace(SCANS[0], station='<script>alert("x")</script>')
    record = recorded(odd)
    html = page(standings(record, SETTINGS), record, SETTINGS, (), BY)
    assert "<script>" not in html


def test_the_svg_is_well_formed_and_always_the_same() -> None:
    first = drawing.svg(STANDING, SETTINGS)
    assert ET.fromstring(first).tag.endswith("svg")
    assert drawing.svg(STANDING, SETTINGS) == first


def test_the_svg_names_every_quantity() -> None:
    drawn = drawing.svg(STANDING, SETTINGS)
    assert all(chart.quantity in drawn for chart in STANDING.charts)


def test_the_png_is_a_picture_of_printable_size() -> None:
    image = Image.open(io.BytesIO(drawing.png(STANDING, SETTINGS)))
    assert min(image.size) > 1000
    assert np.asarray(image.convert("L")).std() > 10.0


def test_a_record_of_one_scan_can_be_drawn() -> None:
    record = recorded(SCANS[0])
    assert page(standings(record, SETTINGS), record, SETTINGS, ("mindways",), BY).count("being built: 1 of 10") == 5
