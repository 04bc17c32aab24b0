"""Earlier results, read out of their reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pydicom
import pytest

from node.domain.prior import Change, NotComparable
from node.report import priors, write
from node.report.sr import walk
from tests.report import fixtures
from tests.report.conftest import Written
from tests.report.test_write import sr_of, written_case


def reports(written: Written, out_dir: Path, case: str = "measured") -> list[Path]:
    return [one.path for one in written_case(case, written, out_dir) if one.kind in ("sr", "heights")]


def test_mean_and_levels_come_back(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir))
    assert (prior.mean_vbmd_mg_cm3, prior.mean_levels) == (107.9, ("L1", "L2"))
    assert prior.vbmd_mg_cm3 == {"L1": 112.6, "L2": 103.2}
    assert prior.study_date == date(2024, 3, 5)


def test_material_is_told_by_its_code(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir, "warned, HA phantom"))
    assert (prior.material, prior.asynchronous, prior.kvp) == ("CaHA", False, 100.0)


def test_heights_join_their_study(head_first: Written, out_dir: Path) -> None:
    (prior,) = priors(reports(head_first, out_dir))
    assert prior.heights_mm["L2"] == (26.0, 24.0, 25.2)


@pytest.mark.parametrize("case", ["refused, levels found", "refused, never read"])
def test_refusals_are_no_results(case: str, head_first: Written, out_dir: Path) -> None:
    assert priors(reports(head_first, out_dir, case)) == ()


def test_what_is_gone_or_no_report_is_left_out(head_first: Written, out_dir: Path) -> None:
    good = reports(head_first, out_dir)
    image = head_first[0][0].path
    assert len(priors([out_dir / "gone.dcm", image, Path("/dev/null"), *good])) == 1


def test_change_is_reported(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    (prior,) = priors(reports(head_first, out_dir / "before"))
    change = Change(prior, (), -8.0, -6.9, -3.4, 5.2, True)
    elsewhere = Change(replace(prior, material="CaHA"), (NotComparable("material", "the earlier density is in CaHA"),))
    findings = fixtures.findings(volume, stored, changes=(change, elsewhere))
    objects = write(findings, volume, fixtures.job(stored, out_dir))
    said = [str(i.TextValue) for i in walk(pydicom.dcmread(sr_of(objects))) if "Since 2024" in str(i.get("TextValue"))]
    assert said == [
        "Since 2024-03-05: -8.0 mg/cm³ (-6.9 %; -3.4 % a year); least significant change 5.2 mg/cm³",
        "Since 2024-03-05: not compared, because the earlier density is in CaHA",
    ]
