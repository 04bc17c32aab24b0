"""A lumbar spine whose names cannot be told: both readings with their densities, until an earlier report knows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from node import pipeline
from node.dicom import scan
from node.domain.instance import InstanceHeader
from node.domain.job import MeasureJob, MeasureOutcome, Provenance
from node.domain.prior import PriorResult
from node.domain.settings import MeasurementSettings
from node.report import summary
from node.report.page import _Page
from node.resources import shipped
from node.synthetic import dicom
from node.synthetic.phantoms import MINDWAYS_5
from node.synthetic.spec import Fracture
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests.synthetic.measured import SMALL

HEADER = InstanceHeader("1.2", "1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", kvp=120.0)
MEASURED = ("T9", "T10", "T11", "T12", "L1", "L2", "L3")


@pytest.fixture(scope="module")
def case() -> SyntheticCase:
    """Short last ribs look like processes; an old fracture makes the column easy to recognise."""
    old = {"T11": Fracture("wedge", 0.3)}
    return make(replace(SMALL, last_rib_length_mm=36.0, fractures=old, top=("T8", 0.0), bottom=("L4", 0.0)))


@pytest.fixture(scope="module")
def on_the_page() -> Iterator[list[str]]:
    """Every text that the summary page writes."""
    said: list[str] = []
    plain = _Page.write

    def listening(self: _Page, x: float, y: float, text: str, *rest: object, **named: object) -> None:
        said.append(text)
        plain(self, x, y, text, *rest, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Page, "write", listening)
        yield said


@pytest.fixture(scope="module")
def reported(case: SyntheticCase, on_the_page: list[str], tmp_path_factory: pytest.TempPathFactory) -> MeasureOutcome:
    folder = tmp_path_factory.mktemp("doubt")
    dicom.write(case, folder / "ct")
    (series,), _ = scan.collect([folder / "ct"], folder / "scratch")
    return pipeline.run(
        MeasureJob(
            series=series,
            rule="ct",
            phantoms=(MINDWAYS_5,),
            settings=MeasurementSettings(),
            template=shipped("sr_templates") / "bone_density.toml",
            report_refusals=True,
            out_dir=folder / "out",
            provenance=Provenance("1", "ab" * 32),
        )
    )


def test_names_in_doubt_are_refused_with_both_readings(case: SyntheticCase, reported: MeasureOutcome) -> None:
    assert reported.refusal is not None
    assert reported.refusal.reason == "levels-ambiguous"
    told = reported.refusal.evidence["readings"]
    assert isinstance(told, list)
    assert len(told) >= 2
    right = [case.truth.levels[level].vbmd_mg_cm3 for level in ("L1", "L2")]
    assert min(abs(reading["mean_vbmd_mg_cm3"] - sum(right) / 2) for reading in told) < 5.0


def test_the_sentence_holds_the_densities(reported: MeasureOutcome) -> None:
    assert reported.refusal is not None
    assert reported.refusal.message.count("mg/cm³") >= 2


def test_an_earlier_report_settles_the_names(case: SyntheticCase) -> None:
    levels = case.truth.levels
    heights = {n: (levels[n].anterior_mm, levels[n].middle_mm, levels[n].posterior_mm) for n in MEASURED}
    prior = PriorResult(date(2024, 5, 6), "1.2", "1.3", "K2HPO4", 100.0, ("L1", "L2"), heights_mm=heights)
    found = pipeline.measure(case.volume(), HEADER, (MINDWAYS_5,), MeasurementSettings(), priors=(prior,))
    assert found.refusal is None
    assert found.mean_levels == ("L1", "L2")
    centres = {v.level: v.frame.centre_lps_mm for v in found.vertebrae}
    assert centres["L1"][2] == pytest.approx(levels["L1"].centre_lps_mm[2], abs=4.0)


def test_the_result_holds_every_reading_with_its_densities(reported: MeasureOutcome) -> None:
    refusal = json.loads(reported.result_json.read_text())["refusal"]
    assert refusal["reason"] == "levels-ambiguous"
    readings = refusal["evidence"]["readings"]
    assert len(readings) >= 2
    assert all(one["vbmd_mg_cm3"] > 0 for reading in readings for one in reading["levels"].values())


def test_the_report_says_the_densities_of_every_reading(reported: MeasureOutcome) -> None:
    (said,) = [summary(one.path).refusal for one in reported.objects if one.kind == "sr"]
    assert said is not None
    assert "levels-ambiguous" in said
    for value in densities_told(reported):
        assert f"{value} mg/cm³" in said or f"{value}," in said


def test_the_page_shows_the_densities_of_every_reading(reported: MeasureOutcome, on_the_page: list[str]) -> None:
    assert "summary" in {one.kind for one in reported.objects}
    page = " ".join(on_the_page)
    assert "Not measured" in page
    for value in densities_told(reported):
        assert f"{value} mg/cm³" in page or f"{value}," in page


def densities_told(reported: MeasureOutcome) -> list[str]:
    """Of L1 and L2 in every reading of the result, as they are printed."""
    readings = json.loads(reported.result_json.read_text())["refusal"]["evidence"]["readings"]
    return [f"{one['vbmd_mg_cm3']:.1f}" for reading in readings for one in reading["levels"].values()]
