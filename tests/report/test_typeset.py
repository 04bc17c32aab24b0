"""Text is set with the fonts there are, and fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from node.report.typeset import CJK_FONT, Type, font_problem, scripts_without_font
from tests.peers import peer_file

chinese = pytest.mark.skipif(not Path(CJK_FONT).is_file(), reason="fonts-noto-cjk is not installed")


def ink(kind: Type, text: str, anchor: str = "ls") -> tuple[int, int, int, int]:
    """Bounding box of what is drawn at (400, 200)."""
    picture = Image.new("RGB", (800, 400))
    kind.draw(ImageDraw.Draw(picture), (400, 200), text, anchor)
    box = picture.getbbox()
    assert box is not None
    return box


def test_length_is_what_is_drawn() -> None:
    kind = Type(20)
    left, _, right, _ = ink(kind, "124.0 mg/cm³ K₂HPO₄")
    assert right - left == pytest.approx(kind.length("124.0 mg/cm³ K₂HPO₄"), abs=6)


@pytest.mark.parametrize(("anchor", "place"), [("lm", 0.0), ("mm", 0.5), ("rm", 1.0)])
def test_anchors(anchor: str, place: float) -> None:
    left, top, right, bottom = ink(Type(20), "HEIGHT", anchor)
    assert left + place * (right - left) == pytest.approx(400, abs=5)
    assert (top + bottom) / 2 == pytest.approx(200, abs=3)


def test_raised_digits_stand_higher_and_lowered_ones_lower() -> None:
    kind = Type(20)
    plain, raised, lowered = (ink(kind, text) for text in ("2", "²", "₂"))
    assert raised[3] < plain[3] - 4
    assert lowered[3] > plain[3] + 2


@pytest.mark.parametrize("text", ["Müller", "Łukasz", "Ελένη", "Жанна"])
def test_letters_that_the_first_font_lacks_are_found_elsewhere_or_simplified(text: str) -> None:
    shown = "".join(part for part, _, _ in Type(20)._runs(text))
    assert shown == text or "?" not in shown or not Path(CJK_FONT).is_file()
    assert len(shown) == len(text)


def test_without_any_other_font_accents_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.report.typeset.SYSTEM_FONTS", ())
    assert "".join(part for part, _, _ in Type(20)._runs("Müller 王")) == "Muller ?"


@chinese
def test_chinese_is_set() -> None:
    assert "".join(part for part, _, _ in Type(20)._runs("骨密度")) == "骨密度"
    assert font_problem("zh") is None


def test_missing_fonts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.report.typeset.CJK_FONT", "/nowhere.ttc")
    assert "fonts-noto-cjk" in (font_problem("zh") or "")
    assert "/no/font.ttf" in (font_problem("en", "/no/font.ttf") or "")
    assert font_problem("en") is None


def test_wrapped_lines_fit_and_lose_nothing() -> None:
    kind, text = Type(20), "The levels may be off by one: L1 is L1 with a probability of 0.85."
    lines = kind.wrapped(text, 300)
    assert all(kind.length(line) <= 300 for line in lines)
    assert " ".join(lines) == text


@chinese
def test_chinese_breaks_without_spaces_but_not_before_a_full_stop() -> None:
    kind = Type(20)
    lines = kind.wrapped("使用了对比剂，骨密度读数偏高。" * 3, 330)
    assert len(lines) > 2
    assert not any(line[0] in "，。" for line in lines)


def test_fitted_text_ends_in_an_ellipsis() -> None:
    kind = Type(20)
    cut = kind.fitted("a long line that does not fit", 200)
    assert cut.endswith("…")
    assert kind.length(cut) <= 200


def test_one_word_that_is_too_long_is_kept() -> None:
    assert Type(20).wrapped("W" * 60, 100) == ["W" * 60]


def test_the_same_text_gives_the_same_pixels() -> None:
    pictures = []
    for _ in range(2):
        picture = Image.new("RGB", (300, 60))
        Type(20, bold=True).draw(ImageDraw.Draw(picture), (10, 40), "107.9 ± 3.4")
        pictures.append(np.asarray(picture))
    assert np.array_equal(pictures[0], pictures[1])


@pytest.mark.peer
def test_names_of_every_script_can_be_drawn() -> None:
    peer_file(CJK_FONT, "fonts-noto-cjk")
    assert scripts_without_font() == ()


def test_scripts_that_no_font_has_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.report.typeset.CJK_FONT", "/nowhere.ttc")
    monkeypatch.setattr("node.report.typeset.SYSTEM_FONTS", ())
    assert {"Cyrillic", "Chinese", "Korean"} <= set(scripts_without_font())
