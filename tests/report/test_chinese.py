"""The report in Chinese: written by its template, valid, and read back by anybody who knows the codes."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pydicom
import pytest

from node.domain.job import OutgoingObject
from node.domain.prior import Change, NotComparable, PriorResult
from node.report import priors, summary, write
from node.report.sr import walk
from node.resources import shipped
from tests.peers import peer
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.conftest import Written

TEMPLATE = shipped("sr_templates") / "bone_density_zh.toml"
ENGLISH = shipped("sr_templates") / "bone_density.toml"


def written(series: Written, out_dir: Path, case: str = "measured", template: Path = TEMPLATE) -> list[OutgoingObject]:
    findings, volume = CASES[case](series)
    job = fixtures.job(series[0], out_dir, template=template)
    return list(write(findings, volume, job))


def report_of(objects: list[OutgoingObject]) -> Path:
    return next(one.path for one in objects if one.kind == "sr")


@pytest.mark.parametrize("case", ["measured", "warned, HA phantom", "refused, levels found"])
def test_numbers_are_the_same_in_both_languages(case: str, head_first: Written, out_dir: Path) -> None:
    chinese = summary(report_of(written(head_first, out_dir / "zh", case)))
    english = summary(report_of(written(head_first, out_dir / "en", case, ENGLISH)))
    assert [replace(one, method=None, exclusion=None) for one in chinese.levels] == [
        replace(one, method=None, exclusion=None) for one in english.levels
    ]
    same = (
        "measured",
        "mean_vbmd_mg_cm3",
        "mean_expanded_uncertainty_mg_cm3",
        "category",
        "method_slug",
        "refusal_reason",
    )
    assert [getattr(chinese, name) for name in same] == [getattr(english, name) for name in same]


@pytest.mark.peer
@pytest.mark.parametrize("case", ["measured", "refused, levels found"])
def test_dcmtk_and_dicom3tools_find_nothing_wrong(case: str, head_first: Written, out_dir: Path) -> None:
    for one in written(head_first, out_dir, case):
        if one.kind not in ("sr", "heights"):
            continue
        shown = subprocess.run([peer("dsrdump"), "-Dv", "+U8", str(one.path)], capture_output=True, timeout=60)
        assert shown.returncode == 0
        assert "椎体" in shown.stdout.decode("utf-8", "replace")
        checked = subprocess.run([peer("dciodvfy"), str(one.path)], capture_output=True, timeout=60)
        assert b"Error" not in checked.stderr, checked.stderr


def test_a_refusal_is_in_chinese(head_first: Written, out_dir: Path) -> None:
    read = summary(report_of(written(head_first, out_dir, "refused, levels found")))
    assert read.refusal == "扫描范围内没有校准体模。 [phantom-not-found]"
    assert read.title == "骨密度未测量"


def test_a_warning_is_in_chinese_with_its_code(head_first: Written, out_dir: Path) -> None:
    read = summary(report_of(written(head_first, out_dir, "warned, HA phantom")))
    assert any("对比剂" in one and one.endswith("[contrast]") for one in read.warnings)


def test_a_chinese_report_is_a_prior_for_an_english_node(head_first: Written, out_dir: Path) -> None:
    found = [one.path for one in written(head_first, out_dir) if one.kind in ("sr", "heights")]
    (prior,) = priors(found, ENGLISH)
    assert (prior.mean_vbmd_mg_cm3, prior.mean_levels, prior.material) == (107.9, ("L1", "L2"), "K2HPO4")
    assert prior.heights_mm["L2"] == (26.0, 24.0, 25.2)


def test_a_change_is_told_in_chinese(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    prior = PriorResult(date(2022, 3, 5), "1.2", "1.3", "K2HPO4", 115.9, ("L1", "L2"))
    changes = (Change(prior, (), -8.0, -6.9, -3.4, 5.2, True), Change(prior, (NotComparable("kvp", "80 and 120 kVp"),)))
    job = fixtures.job(stored, out_dir, template=TEMPLATE)
    objects = list(write(fixtures.findings(volume, stored, changes=changes), volume, job))
    said = [
        str(i.get("TextValue"))
        for i in walk(pydicom.dcmread(report_of(objects)))
        if "自 2022" in str(i.get("TextValue"))
    ]
    assert said == [
        "自 2022-03-05 起 -8.0 mg/cm³（-6.9 %；每年 -3.4 %）；最小有意义变化 5.2 mg/cm³",
        "自 2022-03-05 起：不作比较，原因：管电压不同",
    ]
