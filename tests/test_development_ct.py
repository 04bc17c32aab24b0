"""The development CT beside the checkout, sent by dcmsend through a node into Orthanc.

Simulated cases are held against their truth, real ones against points read by eye. Skipped, naming the file, where
``../shared/data`` is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from node import offline
from node.config import Config
from node.dicom import scan
from node.report import SrSummary, is_bone_density, summary
from tests import running
from tests.shared_data import truth, unpacked

pytestmark = [pytest.mark.shared_data, pytest.mark.peer]

MEASURABLE = ("abdomen_m50", "chest_f66", "cap_f74_fracture", "rolled_bmas", "scoliosis", "contrast")
REFUSALS = {
    "abdomen_no_phantom": "phantom-not-found",
    "chest_ends_T12": "levels-outside-scan",
    "abdomen_a": "phantom-not-found",
    "thorax_b": "phantom-not-found",
    "head_irregular_spacing": "irregular-series",
}
SENT = (*MEASURABLE, *REFUSALS, "abdomen_a_with_simulated_phantom")
SITE = {
    "mindways3": "mindways3-4541A",
    "huake_4pt": "huake-HK290",
    "ia_3rod": "ia-NOM-75",
    "bmas200": "bmas200-BM1",
}
"""The phantoms of this site: truth's name → id of the file written below, with the densities of its certificate."""

REFERENCE_POINTS = {
    "T12": ((-16.0, 60.0, -528.0), 182.0),
    "L1": ((-14.5, 57.0, -561.0), 181.0),
    "L2": ((-14.0, 53.0, -595.0), 176.0),
}
"""abdomen_a: VOI centre in LPS mm and its HU, read by eye."""


def site(folder: Path, pacs_port: int) -> Config:
    """Write the configuration of a node that may meet any of the phantoms on this site."""
    phantoms = folder / "phantoms"
    phantoms.mkdir(parents=True)
    for name in (*MEASURABLE, "chest_ends_T12"):
        model = truth(name)["phantom"]
        (phantoms / f"{SITE[model['model']]}.toml").write_text(phantom_file(model))
    ids = ", ".join(f'"{path.stem}"' for path in sorted(phantoms.glob("*.toml")))
    return running.configuration(
        folder,
        pacs_port,
        f"""
[measure]
phantoms = [{ids}]

[[rules]]
name = "trunk"
when = {{ attribute = "modality", equals = "CT" }}
max_slice_thickness_mm = 5.0
destinations = ["pacs"]
""",
    )


def phantom_file(model: dict[str, Any]) -> str:
    """One phantom as ``config/phantoms`` describes it; geometry that is not published is left out."""
    lines = [
        f'model = "{model["model"]}"',
        f'serial = "{model["serial"]}"',
        f'material = "{model["material"]}"',
    ]
    if model["slab_counts_as_zero_rod"]:
        lines.append("base_density_mg_cm3 = 0.0")
    for index, rod in enumerate(model["rods"]):
        lines += ["[[rods]]", f'name = "{"ABCDEFG"[index]}"', f"density_mg_cm3 = {float(rod['density'])}"]
        if rod.get("water_density"):
            lines.append(f"water_density_mg_cm3 = {rod['water_density']}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Arrived:
    """What came of every case that was sent: the result in the ledger, and the report in the PACS."""

    results: dict[str, dict[str, Any]]
    reports: dict[str, SrSummary]

    def __call__(self, name: str) -> dict[str, Any]:
        return self.results[name]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    folder = tmp_path_factory.mktemp("development")
    sent = {name: scan.collect([unpacked(name)], folder / "scratch")[0] for name in SENT}
    owner = {series.series_instance_uid: name for name, found in sent.items() for series in found}
    with running.orthanc(folder / "pacs") as archive:
        config = site(folder / "node", archive.port)
        with running.serving(config):
            for name in SENT:
                running.dcmsend(config, *{one.path.parent for series in sent[name] for one in series.instances})
            running.wait_until_ended(config, len(owner))
        results = {owner[uid]: result for uid, result in running.results(config).items()}
        reports = {}
        for path in filter(is_bone_density, archive.reports()):
            cited = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
            name = next(owner[str(one.SeriesInstanceUID)] for one in cited if str(one.SeriesInstanceUID) in owner)
            reports[name] = summary(path)
    return Arrived(results, reports)


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_mean_in_the_report_is_within_5_mg_of_truth(measured: Arrived, name: str) -> None:
    levels = truth(name)["expected"]["levels"]
    expected = np.mean([truth(name)["levels"][level]["vbmd_apparent_phantom_units"] for level in levels])
    assert float(measured.reports[name].mean_vbmd_mg_cm3 or "nan") == pytest.approx(expected, abs=5.0)


@pytest.mark.parametrize(("name", "reason"), sorted(REFUSALS.items()))
def test_the_report_of_what_cannot_be_measured_says_why(measured: Arrived, name: str, reason: str) -> None:
    assert measured.reports[name].refusal_reason == reason


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_levels_of_the_mean_are_those_that_may_enter_it(measured: Arrived, name: str) -> None:
    assert measured(name)["mean_levels"] == truth(name)["expected"]["levels"]


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_phantom_is_the_one_that_lies_there(measured: Arrived, name: str) -> None:
    assert measured(name)["phantom"]["id"] == SITE[truth(name)["phantom"]["model"]]


def test_contrast_medium_withholds_the_category(measured: Arrived) -> None:
    result = measured("contrast")
    assert (result["category"], "contrast" in {one["code"] for one in result["warnings"]}) == ("not-classified", True)


def test_contrast_medium_is_seen_in_the_image_too(measured: Arrived) -> None:
    (sentence,) = [one["message"] for one in measured("contrast")["warnings"] if one["code"] == "contrast"]
    assert sentence.startswith("Contrast medium was given (aorta 1")


@pytest.mark.parametrize("name", sorted({*MEASURABLE, "abdomen_no_phantom", "abdomen_a"} - {"contrast"}))
def test_scans_without_contrast_medium_are_not_taken_for_others(measured: Arrived, name: str) -> None:
    assert "contrast" not in {one["code"] for one in measured(name)["warnings"]}


@pytest.mark.parametrize("name", MEASURABLE)
def test_every_level_of_the_mean_has_its_own_calibration(measured: Arrived, name: str) -> None:
    result = measured(name)
    assert all(result["levels"][level]["calibration"] for level in result["mean_levels"])


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_expanded_uncertainty_holds_the_truth(measured: Arrived, name: str) -> None:
    known, result = truth(name)["levels"], measured(name)
    for level in result["mean_levels"]:
        found = result["levels"][level]
        error = found["vbmd_mg_cm3"] - known[level]["vbmd_apparent_phantom_units"]
        assert abs(error) <= found["vbmd_expanded_uncertainty_mg_cm3"]


def test_the_biconcave_fracture_is_a_candidate_of_grade_2(measured: Arrived) -> None:
    deformity = measured("cap_f74_fracture")["levels"]["L2"]["deformity"]
    assert (deformity["type"], deformity["genant_grade"]) == ("biconcave", 2)


@pytest.mark.parametrize("name", MEASURABLE)
def test_no_intact_vertebra_is_a_fracture_candidate_of_grade_2(measured: Arrived, name: str) -> None:
    flagged = {
        level
        for level, found in measured(name)["levels"].items()
        if found["deformity"] and found["deformity"]["genant_grade"] >= 2
    }
    fractured = {level for level, known in truth(name)["levels"].items() if (known.get("genant_grade") or 0) >= 2}
    assert flagged <= fractured


@pytest.mark.parametrize("level", sorted(REFERENCE_POINTS))
def test_levels_of_the_real_abdomen_lie_where_a_reader_put_them(measured: Arrived, level: str) -> None:
    point, _ = REFERENCE_POINTS[level]
    centre = measured("abdomen_a")["levels"][level]["voi"]["centre_lps_mm"]
    assert np.linalg.norm(np.subtract(centre, point)) <= 8.0


@pytest.mark.parametrize("level", sorted(REFERENCE_POINTS))
def test_attenuation_in_the_real_abdomen_is_inside_the_stated_band(measured: Arrived, level: str) -> None:
    _, hu = REFERENCE_POINTS[level]
    assert measured("abdomen_a")["levels"][level]["voi"]["hu_mean"] == pytest.approx(hu, abs=15.0)


def test_the_real_abdomen_with_a_simulated_phantom_is_calibrated_as_its_truth_says(measured: Arrived) -> None:
    fit, known = measured("abdomen_a_with_simulated_phantom")["calibration"], truth("abdomen_a_with_simulated_phantom")
    assert (fit["sigma_ct"], fit["beta_ct"]) == (
        pytest.approx(known["sigma_ct"], rel=0.015),
        pytest.approx(known["beta_ct"], abs=2.0),
    )


def test_a_slab_without_identifiers_is_refused(tmp_path: Path) -> None:
    (entry,) = [
        one
        for one in offline.measure([unpacked("slab_T11_T12_jpeg2000")], site(tmp_path, 104), tmp_path / "out")
        if isinstance(one, offline.Measured)
    ]
    assert getattr(entry.outcome.refusal, "reason", None) == "unsuitable-series"
