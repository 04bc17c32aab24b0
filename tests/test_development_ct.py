"""The development CT beside the checkout: simulated cases against their truth, real ones against points read by eye.

Skipped, naming the file, where ``../shared/data`` is absent.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node import app
from node.config import Config, load
from tests.shared_data import truth, unpacked

pytestmark = pytest.mark.shared_data

MEASURABLE = ("abdomen_m50", "chest_f66", "cap_f74_fracture", "rolled_bmas", "scoliosis", "contrast")
REFUSALS = {"abdomen_no_phantom": "phantom-not-found", "chest_ends_T12": "levels-outside-scan"}
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


def site(folder: Path, simulated: dict[str, dict[str, Any]]) -> Config:
    """Write a configuration with the phantoms on this site, one scanner for each of them."""
    folder.mkdir(parents=True, exist_ok=True)
    phantoms = folder / "phantoms"
    phantoms.mkdir(exist_ok=True)
    for case in simulated.values():
        model = case["phantom"]
        if model.get("rods"):
            (phantoms / f"{SITE[model['model']]}.toml").write_text(phantom_file(model))
    ids = ", ".join(f'"{name}"' for name in sorted(path.stem for path in phantoms.glob("*.toml")))
    (folder / "node.toml").write_text(
        f"""
[node]
state = "{folder / "state"}"
[measure]
phantoms = [{ids}]
[[rules]]
name = "trunk"
when = {{ attribute = "modality", equals = "CT" }}
max_slice_thickness_mm = 5.0
"""
    )
    return load(folder / "node.toml")


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


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("development")

    @functools.cache
    def measure(name: str) -> dict[str, Any]:
        cases = {case: truth(case) for case in (*MEASURABLE, "chest_ends_T12")}
        config = site(folder / "config", cases)
        entries = list(app.measure_offline([unpacked(name)], config, folder / name))
        document = app.result_document(entries, config)
        assert len(document["results"]) == 1, json.dumps(document["ignored"], indent=1)
        result: dict[str, Any] = document["results"][0]
        return result

    return measure


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_mean_density_is_within_5_mg_of_truth(measured: Any, name: str) -> None:
    levels = truth(name)["expected"]["levels"]
    expected = np.mean([truth(name)["levels"][level]["vbmd_apparent_phantom_units"] for level in levels])
    assert measured(name)["mean_vbmd_mg_cm3"] == pytest.approx(expected, abs=5.0)


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_levels_of_the_mean_are_those_that_may_enter_it(measured: Any, name: str) -> None:
    assert measured(name)["mean_levels"] == truth(name)["expected"]["levels"]


@pytest.mark.parametrize("name", MEASURABLE)
def test_the_phantom_is_the_one_that_lies_there(measured: Any, name: str) -> None:
    assert measured(name)["phantom"]["id"] == SITE[truth(name)["phantom"]["model"]]


@pytest.mark.parametrize(("name", "reason"), sorted(REFUSALS.items()))
def test_what_cannot_be_measured_is_refused_with_the_right_reason(measured: Any, name: str, reason: str) -> None:
    assert measured(name)["refusal"]["reason"] == reason


def test_contrast_medium_withholds_the_category(measured: Any) -> None:
    result = measured("contrast")
    assert (result["category"], "contrast" in {one["code"] for one in result["warnings"]}) == ("not-classified", True)


def test_the_biconcave_fracture_is_a_candidate_of_grade_2(measured: Any) -> None:
    deformity = measured("cap_f74_fracture")["levels"]["L2"]["deformity"]
    assert (deformity["type"], deformity["genant_grade"]) == ("biconcave", 2)


@pytest.mark.parametrize("name", MEASURABLE)
def test_no_intact_vertebra_is_a_fracture_candidate_of_grade_2(measured: Any, name: str) -> None:
    flagged = {
        level
        for level, found in measured(name)["levels"].items()
        if found["deformity"] and found["deformity"]["genant_grade"] >= 2
    }
    fractured = {level for level, known in truth(name)["levels"].items() if (known.get("genant_grade") or 0) >= 2}
    assert flagged <= fractured


@pytest.mark.parametrize("level", sorted(REFERENCE_POINTS))
def test_levels_of_the_real_abdomen_lie_where_a_reader_put_them(measured: Any, level: str) -> None:
    point, _ = REFERENCE_POINTS[level]
    centre = measured("abdomen_a")["levels"][level]["voi"]["centre_lps_mm"]
    assert np.linalg.norm(np.subtract(centre, point)) <= 8.0


@pytest.mark.parametrize("level", sorted(REFERENCE_POINTS))
def test_attenuation_in_the_real_abdomen_is_inside_the_stated_band(measured: Any, level: str) -> None:
    _, hu = REFERENCE_POINTS[level]
    assert measured("abdomen_a")["levels"][level]["voi"]["hu_mean"] == pytest.approx(hu, abs=15.0)


def test_the_real_abdomen_has_no_phantom(measured: Any) -> None:
    assert measured("abdomen_a")["refusal"]["reason"] == "phantom-not-found"


def test_the_real_abdomen_with_a_simulated_phantom_is_calibrated_as_its_truth_says(measured: Any) -> None:
    fit, known = measured("abdomen_a_with_simulated_phantom")["calibration"], truth("abdomen_a_with_simulated_phantom")
    assert (fit["sigma_ct"], fit["beta_ct"]) == (
        pytest.approx(known["sigma_ct"], rel=0.015),
        pytest.approx(known["beta_ct"], abs=2.0),
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("thorax_b", "phantom-not-found"),
        ("head_irregular_spacing", "irregular-series"),
        ("slab_T11_T12_jpeg2000", "unsuitable-series"),
    ],
)
def test_other_real_scans_are_refused(measured: Any, name: str, reason: str) -> None:
    assert measured(name)["refusal"]["reason"] == reason
