"""A report template is data: read whole, or refused with every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigError, StudyRefused
from node.report.template import load
from node.resources import shipped

SHIPPED = shipped("sr_templates") / "bone_density.toml"


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = SHIPPED.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{old!r} is not in the shipped template"
        text = text.replace(old, new, 1)
    path = tmp_path / "changed.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    found: dict[str, str] = {}
    for problem in caught.value.problems:
        found[problem.key] = found.get(problem.key, "") + str(problem)
    return found


def test_shipped_template_is_right() -> None:
    assert load(SHIPPED).numbers["vbmd"].unit.value == "mg/cm3"


def test_every_refusal_has_a_code_of_its_own() -> None:
    template = load(SHIPPED)
    reasons = [kind.reason for kind in StudyRefused.__subclasses__()]
    assert len({template.refusal(reason).value for reason in reasons}) == len(reasons)


def test_unknown_refusal_gets_the_general_code() -> None:
    template = load(SHIPPED)
    assert template.refusal("a-reason-of-tomorrow") == template.values["refusal"]["other"]


def test_unknown_level_gets_the_general_site() -> None:
    assert load(SHIPPED).site("L6").meaning == "Vertebra"


def test_unknown_unit_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ('unit = "mg/cm3"', 'unit = "mg per cc"')))
    assert "'mg per cc' is not known" in found["numbers.vbmd.unit"]


def test_repeated_code_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ('warning = { value = "2005"', 'warning = { value = "2004"')))
    assert "concepts.evidence" in found["concepts.warning"]


def test_misspelt_key_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ("series_number = 9002", "series_numbr = 9002")))
    assert {"document.series_numbr", "document.series_number"} <= set(found)


def test_sentence_with_a_name_it_has_not_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ("{level} trabecular VOI", "{patient} trabecular VOI")))
    assert "{patient}" in found["texts.tracking_voi"]


def test_sentence_with_an_attribute_of_a_name_is_refused(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ("{level} trabecular VOI", "{level.__class__} trabecular VOI")))
    assert "texts.tracking_voi" in found


def test_sentence_that_loses_the_level_is_refused(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ("{level} trabecular VOI", "trabecular VOI")))
    assert "texts.tracking_voi" in found


def test_unclosed_brace_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ("{level}: body heights", "{level: body heights")))
    assert "texts.comment_body" in found


def test_too_long_meaning_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ('meaning = "Explanation"', f'meaning = "{"x" * 65}"')))
    assert "65" in found["concepts.refusal_message.meaning"]


def test_private_code_of_an_undescribed_scheme_is_named(tmp_path: Path) -> None:
    found = problems(changed(tmp_path, ('value = "2003", scheme = "99VBMD"', 'value = "2003", scheme = "99OTHER"')))
    assert "99OTHER" in found["concepts.refusal_message.scheme"]


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, ('unit = "mm3"', 'unit = "cc"'), ("decimals = 2", "decimals = -1"), ("uid =", "id ="))
    assert {"numbers.voi_volume.unit", "numbers.level_confidence.decimals", "scheme.uid"} <= set(problems(path))


def test_every_problem_names_the_file(tmp_path: Path) -> None:
    path = changed(tmp_path, ('unit = "mm3"', 'unit = "cc"'))
    assert all(text.startswith(str(path)) for text in problems(path).values())


def test_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("title = ")
    assert "is not TOML" in problems(path)[""]


def test_absent_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "absent.toml")[""]
