"""A report as plain values."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from node.errors import ReportInvalid
from node.report import summary
from node.report.read_back import levels
from tests.report.cases import CASES
from tests.report.conftest import Written
from tests.report.test_write import report_of, sr_of, written_case


def test_levels_run_from_head_to_foot(head_first: Written, out_dir: Path) -> None:
    assert [level.level for level in report_of("measured", head_first, out_dir).levels] == ["L1", "L2"]


def test_heights_and_deformity(head_first: Written, out_dir: Path) -> None:
    (path,) = [one.path for one in written_case("measured", head_first, out_dir) if one.kind == "heights"]
    l2 = levels(path)[-1]
    assert (l2.height_anterior_mm, l2.height_middle_mm, l2.height_posterior_mm) == ("26.0", "24.0", "25.2")
    assert (l2.height_loss_percent, l2.deformity, l2.genant_grade) == ("22", "wedge", 1)


def test_phantom_calibration_and_rods(head_first: Written, out_dir: Path) -> None:
    report = report_of("measured", head_first, out_dir)
    assert report.phantom == "Slab 3, serial S-1 ä (ward-3); Three rods at the configured pitch."
    assert report.calibration == (
        "HU = 1.4200 × density + 0.00; r² 0.99991; rms residual 1.04 HU; density in mg/cm³ K2HPO4"
    )
    assert report.rods[1] == "B: 60.00 mg/cm³, 85.5 HU, SD 8.2 HU, residual -1.0 HU"


def test_how_levels_were_decided(head_first: Written, out_dir: Path) -> None:
    said = report_of("measured", head_first, out_dir).level_assignment
    assert said[0] == "Levels: one way of counting; rib pairs seen: 1; probability that L1 is L1: 0.97."
    assert said[1].startswith("ribs: uppermost vertebra found is T12")


@pytest.mark.parametrize("name", CASES)
def test_status_of_every_case(name: str, head_first: Written, out_dir: Path) -> None:
    assert report_of(name, head_first, out_dir).measured is not name.startswith("refused")


def test_image_is_not_a_report(head_first: Written) -> None:
    with pytest.raises(ReportInvalid, match="not a structured report"):
        summary(head_first[0][0].path)


def test_text_is_not_a_report(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_text("x" * 200)
    with pytest.raises(ReportInvalid, match="cannot be read"):
        summary(path)


def test_report_of_another_maker_is_said(head_first: Written, out_dir: Path) -> None:
    path = sr_of(written_case("measured", head_first, out_dir))
    dataset = pydicom.dcmread(path)
    del dataset.ContentSequence[-1]
    dataset.save_as(path)
    with pytest.raises(ReportInvalid, match="no statements"):
        summary(path)


def test_converted_and_estimated_values_stand_under_names_of_their_own(head_first: Written, out_dir: Path) -> None:
    report = report_of("cross-calibrated, estimate", head_first, out_dir)
    assert (report.mean_k2hpo4_mg_cm3, report.mean_native_estimate_mg_cm3) == ("104.0", "97.2")
    assert {level.level: level.k2hpo4_mg_cm3 for level in report.levels} == {"L1": "108.5", "L2": "99.6"}
    assert "valid until 2027-01-05" in str(report.cross_calibration)


def test_each_level_has_its_calibration(head_first: Written, out_dir: Path) -> None:
    said = report_of("cross-calibrated, estimate", head_first, out_dir).local_calibrations
    assert [line.split(" ×")[0] for line in said] == ["L1: HU = 1.4200", "L2: HU = 1.4100"]


def test_an_asynchronous_calibration_is_labelled(head_first: Written, out_dir: Path) -> None:
    report = report_of("asynchronous", head_first, out_dir)
    assert (report.phantom, report.method) == (None, "QCT, asynchronous calibration, K2HPO4 equivalent")
    assert str(report.calibration).startswith("Asynchronous (no phantom in this scan)")
