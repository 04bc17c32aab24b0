"""``check``: everything that is wrong, with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli import cli
from node.errors import ConfigError
from node.resources import shipped

TEMPLATE = (shipped("sr_templates") / "bone_density.toml").read_text(encoding="utf-8")


def check(folder: Path, text: str = "", templates: dict[str, str] | None = None) -> Result:
    (folder / "node.toml").write_text(text)
    (folder / "sr_templates").mkdir(exist_ok=True)
    for name, content in (templates or {}).items():
        (folder / "sr_templates" / name).write_text(content, encoding="utf-8")
    return CliRunner().invoke(cli, ["check", str(folder)], env={"COLUMNS": "400"})


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('warning = { value = "2005"', 'warning = { value = "2004"', "concepts.warning", "repeats the code 2004"),
        ('unit = "mm3"', 'unit = "cc"', "numbers.voi_volume.unit", "'cc' is not known"),
        (', meaning = "Evidence"', "", "concepts.evidence.meaning", "must be a text that is not empty"),
        ("[findings]", "[finding]", "findings", "is missing"),
    ],
)
def test_every_template_of_the_folder_is_checked(old: str, new: str, key: str, said: str, tmp_path: Path) -> None:
    """Also one that no rule uses yet."""
    assert old in TEMPLATE
    result = check(tmp_path, templates={"ours.toml": TEMPLATE.replace(old, new, 1)})
    assert isinstance(result.exception, ConfigError)
    shown = str(result.exception)
    assert f"{tmp_path / 'sr_templates' / 'ours.toml'}: {key}" in shown
    assert said in shown


def test_a_template_of_the_sites_own_is_used_by_its_name(tmp_path: Path) -> None:
    own = TEMPLATE.replace('"Bone density (QCT)"', '"Knochendichte (QCT)"')
    rule = '[[rules]]\nname = "a"\ntemplate = "ours"\nwhen = { all = [] }\n'
    assert check(tmp_path, rule, {"ours.toml": own}).exit_code == 0


def test_chinese_without_a_font_is_noted(tmp_path: Path) -> None:
    result = check(tmp_path, '[page]\nlanguage = "zh"\nfont = "nowhere.ttc"\n')
    assert result.exit_code == 0
    assert "page.language is zh, but there is no font file" in " ".join(result.output.split())


def test_names_that_could_not_be_drawn_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.report.typeset.CJK_FONT", "/nowhere.ttc")
    monkeypatch.setattr("node.report.typeset.SYSTEM_FONTS", ())
    result = check(tmp_path)
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    assert "install fonts-noto-cjk" in shown
    assert "Cyrillic" in shown
