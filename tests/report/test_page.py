"""The summary page: what stands on it in every case, and that it never breaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from node.domain.findings import Caution, Findings, Refusal
from node.domain.prior import Change, Difference, NotComparable, PriorResult
from node.domain.settings import PageSettings
from node.report import page as page_module
from node.report.page import COLOURS, HEIGHT, REFUSED, WIDTH, Heading, _Page, language_of, page
from node.report.page import Style as PageStyle
from node.report.typeset import CJK_FONT
from node.report.words import Words
from tests.report.cases import CASES
from tests.report.conftest import Written

HEADING = Heading("Müller, Grete", "ID TEST-1", "2024-03-05", "Scanner 9", date(2024, 3, 5), "vbmd-node")


def near(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - np.array(colour)).max(axis=-1) < 24).sum())


def prior(year: int, value: float, **changes: object) -> PriorResult:
    usual = PriorResult(date(year, 3, 5), "1.2", "1.3", "K2HPO4", value, ("L1", "L2"))
    return replace(usual, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", CASES)
def test_every_case_gives_a_page(name: str, language: str, head_first: Written) -> None:
    findings, volume = CASES[name](head_first)
    drawn = page(findings, volume, (), "zh" if language == "zh" else "en", HEADING)
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    assert drawn.dtype == np.uint8


def test_the_same_arguments_give_the_same_pixels(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert np.array_equal(page(findings, volume, (), "en", HEADING), page(findings, volume, (), "en", HEADING))


def test_a_category_has_its_colour(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert near(page(findings, volume), COLOURS["low-bone-mass"]) > 200
    low = replace(findings, category="osteoporosis")
    assert near(page(low, volume), COLOURS["osteoporosis"]) > 200


def test_a_refusal_shows_no_density(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    said = written(head_first, "refused, levels found", monkeypatch)
    assert "Not measured" in said
    assert "No calibration phantom lies in the scan." in said
    assert not [text for text in said if "mg/cm" in text]
    assert [text for text in said if text.startswith("L1: 147 HU")]


def written(series: Written, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that a page writes."""
    findings, volume = CASES[name](series)
    said: list[str] = []
    plain = _Page.write

    def listening(self: _Page, x: float, y: float, text: str, *rest: object, **named: object) -> None:
        said.append(text)
        plain(self, x, y, text, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(_Page, "write", listening)
    page(findings, volume, (), "en", HEADING)
    return said


def test_levels_in_doubt_are_shown_in_every_reading(head_first: Written) -> None:
    one = {
        "probability": 0.62,
        "levels": {"L1": {"hu": 147.2, "vbmd_mg_cm3": 118.3}, "L2": {"hu": 1, "vbmd_mg_cm3": 121}},
    }
    other = {"probability": 0.31, "levels": {"L1": {"hu": 150.0}}}
    refusal = Refusal("levels-ambiguous", "Which vertebra is L1 cannot be told.", {"readings": [one, other]})
    assert page_module._readings(refusal, Words()) == ["62 %: L1 118.3 mg/cm³, L2 121.0 mg/cm³", "31 %: L1 150.0 HU"]


def test_the_result_is_printed_as_in_the_report(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    said = written(head_first, "measured", monkeypatch)
    assert {"Mean of L1, L2", "107.9", "± 3.4", "Low bone mass"} <= set(said)


def test_who_and_which_study_stand_on_top(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"Müller, Grete", "ID TEST-1", "2024-03-05"} <= set(written(head_first, "measured", monkeypatch))


def test_the_quality_of_the_calibration_is_stated(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    said = written(head_first, "measured", monkeypatch)
    assert "σ 1.420 HU per mg/cm³, β +0.0" in said
    assert "r² 0.9999, residual 1.0 HU" in said


def test_candidates_for_review_are_named(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    said = " ".join(written(head_first, "measured", monkeypatch))
    assert "For review: L2 wedge 22 %, grade 1? (confidence 0." in said


def test_warnings_are_listed(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Contrast medium: density is overestimated." in written(head_first, "warned, HA phantom", monkeypatch)


def test_limits_that_do_not_hold_are_called_so(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    said = written(head_first, "warned, HA phantom", monkeypatch)
    assert "Not classified" in said
    assert "The limits of 80 and 120 mg/cm³ are not valid here" in said


def test_many_warnings_end_in_a_count(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    many = tuple(Caution(f"code-{n}", f"Warning number {n} with some more words to it.") for n in range(12))
    drawn = page(replace(findings, cautions=many), volume, (), "en", HEADING)
    assert near(drawn[HEIGHT - 420 :], REFUSED) > 100


def changed(findings: Findings, *changes: Change) -> Findings:
    return replace(findings, changes=changes)


def test_a_change_is_stated_against_the_last_comparable_result(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    old, last, other = prior(2020, 120.0), prior(2022, 112.9495), prior(2023, 140.0, material="CaHA")
    drawn = changed(
        findings,
        Change(old, (), -12.05, -10.0, -2.5, 8.3, True),
        Change(last, (), -5.0, -4.4, -2.2, 8.3, False),
        Change(other, (NotComparable("material", "another material"),)),
    )
    made = _Page(drawn, volume, (old, last, other), HEADING, PageStyle())
    said = made._change()
    assert said == "-5.0 mg/cm³ since 2022-03-05 (-2.2 % per year), within the least significant change of 8.3"
    assert [point.comparable for point in made._points()] == [True, True, False, True]


def test_results_by_another_method_give_no_change(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    other = prior(2022, 140.0, material="CaHA")
    drawn = changed(findings, Change(other, (NotComparable("material", "another material"),)))
    said = _Page(drawn, volume, (other,), HEADING, PageStyle())._change()
    assert said == "No change since 2022-03-05 is stated: another material."
    said = _Page(drawn, volume, (other,), HEADING, PageStyle("zh"))._change()
    assert said == "与 2022-03-05 的结果不作比较：校准材料不同。"


@pytest.mark.parametrize(
    ("style", "said"),
    [
        (PageStyle(), "Measured otherwise: kernel B60f, now B30f."),
        (PageStyle("zh"), "测量条件不同：重建核 B60f → B30f。"),
    ],
)
def test_what_else_differed_is_said(head_first: Written, style: PageStyle, said: str) -> None:
    findings, volume = CASES["measured"](head_first)
    old = prior(2020, 120.0)
    differs = (Difference("kernel", "B60f", "B30f"),)
    drawn = changed(findings, Change(old, (), -12.05, -10.0, -2.5, 8.3, True, differs))
    assert _Page(drawn, volume, (old,), HEADING, style)._change().endswith(said)


def test_no_earlier_result_is_said(head_first: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No earlier result is known." in written(head_first, "measured", monkeypatch)


def test_chinese_needs_a_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.report.typeset.CJK_FONT", "/nowhere.ttc")
    assert language_of(PageSettings(language="zh")) == "en"


@pytest.mark.skipif(not Path(CJK_FONT).is_file(), reason="fonts-noto-cjk is not installed")
def test_chinese_is_written_where_there_is_a_font() -> None:
    assert language_of(PageSettings(language="zh")) == "zh"


def test_very_long_text_stays_inside(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    long = Heading("W" * 80, "ID " + "8" * 80, "S" * 200, "K" * 200, date(2024, 3, 5), "v" * 90)
    drawn = page(findings, volume, (), "en", long, PageStyle())
    assert (drawn[:, : page_module.MARGIN - 6].max(axis=-1) < 60).all()
    assert (drawn[:, -(page_module.MARGIN - 6) :].max(axis=-1) < 60).all()
