"""Both languages say everything."""

from __future__ import annotations

import string

import pytest

from node.domain.findings import Caution, Refusal
from node.errors import StudyRefused
from node.report.words import Words, languages

ENGLISH, CHINESE = languages()


def holes(sentence: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("key", sorted(set(ENGLISH) | set(CHINESE)))
def test_every_sentence_has_both_languages_with_the_same_values(key: str) -> None:
    assert holes(ENGLISH[key]) == holes(CHINESE[key])


@pytest.mark.parametrize("reason", [kind.reason for kind in StudyRefused.__subclasses__()])
def test_every_refusal_is_known_in_chinese(reason: str) -> None:
    assert Words("zh").refusal(Refusal(reason, "English.")) != "English."


def test_an_unknown_warning_keeps_its_english_sentence() -> None:
    assert Words("zh").caution(Caution("new-code", "Something new.")) == "Something new."


def test_english_says_what_the_measurement_said() -> None:
    assert (
        Words("en").refusal(Refusal("phantom-not-found", "Nothing below the patient.")) == "Nothing below the patient."
    )
