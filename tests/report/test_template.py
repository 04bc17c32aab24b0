"""A report template is data: read whole, or refused with every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.domain.settings import CategoryLimits
from node.errors import ConfigError, StudyRefused
from node.report import words
from node.report.template import Coded, Template, load
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


CHINESE = shipped("sr_templates") / "bone_density_zh.toml"
PUBLIC = ("DCM", "SCT", "LN", "UMLS")


def every_code(template: Template) -> dict[str, Coded]:
    groups: dict[str, dict[str, Coded]] = {
        "concepts": dict(template.concepts),
        "findings": dict(template.findings),
        "sites": dict(template.sites),
        "numbers": {name: spec.code for name, spec in template.numbers.items()},
        "document": {"title": template.document.title, "refused": template.document.title_refused},
        **{f"values.{name}": dict(codes) for name, codes in template.values.items()},
    }
    return {f"{group}.{name}": code for group, codes in groups.items() for name, code in codes.items()}


def test_the_chinese_template_has_the_same_codes() -> None:
    english, chinese = every_code(load(SHIPPED)), every_code(load(CHINESE))
    assert {name: code.key for name, code in chinese.items()} == {name: code.key for name, code in english.items()}


def test_meanings_of_public_codes_are_those_of_their_schemes() -> None:
    english, chinese = every_code(load(SHIPPED)), every_code(load(CHINESE))
    public = {name for name, code in english.items() if code.scheme in PUBLIC}
    assert {name: chinese[name].meaning for name in public} == {name: english[name].meaning for name in public}


def test_the_chinese_template_is_in_chinese() -> None:
    template = load(CHINESE)
    assert template.language.value == "zh"
    own = {name: code.meaning for name, code in every_code(template).items() if code.scheme == "99VBMD"}
    assert [name for name, meaning in own.items() if meaning.isascii()] == []
    wordless = {"warning", "exclusion", "change_rate"}
    assert {name for name, text in template.texts.items() if text.isascii()} <= wordless


def test_every_sentence_of_the_page_in_chinese_is_in_the_template(tmp_path: Path) -> None:
    messages = load(CHINESE).messages
    assert {*words._CAUTIONS, *words._REFUSALS} <= set(messages)
    assert {f"excluded-{code}" for code in words._REASONS} <= set(messages)
    assert {f"not-comparable-{code}" for code in words._NOT_COMPARABLE} <= set(messages)


def test_limits_of_the_template_win_over_those_of_the_configuration(tmp_path: Path) -> None:
    path = changed(tmp_path, ("[category]\nsource", "[category]\nnormal_above_mg_cm3 = 110\nsource"))
    limits = load(path).category.over(CategoryLimits())
    assert (limits.normal_above_mg_cm3, limits.osteoporosis_below_mg_cm3) == (110.0, 80.0)


@pytest.mark.parametrize(
    ("old", "new", "key", "words_"),
    [
        ("[category]\nsource", "[category]\nnormal_above_mg_cm3 = -1\nsource",
         "category.normal_above_mg_cm3", "positive"),
        ("[category]\nsource", '[category]\nmaterial = "chalk"\nsource', "category.material", "'chalk' is not known"),
        ("[category]\nsource", "[category]\norigin", "category.source", "must be a text"),
        ("[category]\nsource", "[category]\nosteoporosis_below_mg_cm3 = 130\nnormal_above_mg_cm3 = 120\nsource",
         "category.osteoporosis_below_mg_cm3", "must be below"),
        ("[texts]", '[messages]\ncontrast = ""\n[texts]', "messages.contrast", "not empty"),
        ("[texts]", '[messages]\ncontrast = "{level}"\n[texts]', "messages.contrast", "braces"),
        ("[texts]", '[messages]\nContrast = "x"\n[texts]', "messages.Contrast", "no code"),
        (', meaning = "Warning" }', "}", "concepts.warning.meaning", "must be a text"),
        ('notice = "Automatic', 'note = "Automatic', "texts.notice", "must be a text"),
    ],
)  # fmt: skip
def test_each_fault_is_named_by_its_key(old: str, new: str, key: str, words_: str, tmp_path: Path) -> None:
    assert words_ in problems(changed(tmp_path, (old, new)))[key]
