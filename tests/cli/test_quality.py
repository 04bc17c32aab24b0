"""``qa`` and ``phantom`` as a physicist runs them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import cli
from node.config import load
from node.errors import ConfigError, NodeError
from node.ledger import Ledger
from node.synthetic import dicom, phantoms, qa_scenes, torso
from node.synthetic.presets import presets
from node.synthetic.qa_scenes import QaSpec, scan_spec
from tests.quality.records import KEY, qa_scan, series

ESP_FILE = """
model = "ESP"
material = "CaHA"
kind = "qa"
rods = [
  { name = "L1", density_mg_cm3 = 50.0 },
  { name = "L2", density_mg_cm3 = 100.0 },
  { name = "L3", density_mg_cm3 = 200.0 },
]
"""


def site(folder: Path, more: str = "") -> Path:
    (folder / "phantoms").mkdir(parents=True)
    (folder / "phantoms" / "my-esp.toml").write_text(ESP_FILE)
    (folder / "node.toml").write_text(
        f"""
[node]
state = "{folder / "state"}"
[measure]
phantoms = ["mindways-model3-4541a", "ha-slab-4pt-nominal"]
[qa]
phantoms = ["my-esp"]
[[rules]]
name = "trunk"
when = {{ attribute = "modality", equals = "CT" }}
asynchronous = true
{more}"""
    )
    (folder / "state").mkdir()
    return folder


def run(folder: Path, *arguments: str | Path, entered: str | None = None) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments), "--config", str(folder)], input=entered)


def keep(folder: Path, scans: Sequence[Any]) -> None:
    ledger = Ledger(load(folder).database)
    for number, scan in enumerate(scans):
        ledger.record_scan(f"1.2.{number}", "set", scan)
    ledger.close()


def write_qa(folder: Path, seed: int, model: Any = phantoms.MINDWAYS_5, **changes: Any) -> Path:
    spec = scan_spec(seed, model, matrix=192, spacing_mm=2.5, thickness_mm=2.5, **changes)
    dicom.write(qa_scenes.make(QaSpec(spec)).case, folder)
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ESP on two phantoms, and two patients of the same scanner: with a phantom and without."""
    folder = tmp_path_factory.mktemp("scans")
    write_qa(folder / "esp", 1, study_date="20250106")
    write_qa(folder / "esp-on-ha", 2, phantoms.HA_4_POINT, study_date="20250107")
    for name, preset in (("patient", "abdomen-mindways"), ("no-phantom", "no-phantom")):
        spec = replace(
            presets(192, 2.5)[preset],
            device_serial_number="SN-1001",
            manufacturer="SIEMENS",
            study_date="20250201",
            top=("T11", 16.0),
        )
        dicom.write(torso.make(spec), folder / name)
    return folder


@pytest.fixture(scope="module")
def checked(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = site(tmp_path_factory.mktemp("site") / "conf")
    return folder, run(folder, "qa", "add", scans / "esp", scans / "esp-on-ha", scans / "patient")


def test_qa_add_records_phantoms_and_leaves_patients_alone(checked: tuple[Path, Result]) -> None:
    folder, added = checked
    assert added.exit_code == 0, added.output
    ledger = Ledger(load(folder).database)
    lines = ledger.quality_record().scans
    ledger.close()
    assert [line.record.qa_phantom for line in lines] == ["my-esp", "my-esp"]
    assert "A patient lies in this scan" in added.output


def test_qa_add_of_a_patient_alone_ends_with_status_1(scans: Path, tmp_path: Path) -> None:
    assert run(site(tmp_path / "conf"), "qa", "add", scans / "patient").exit_code == 1


def measured(folder: Path, scan: Path, out: Path) -> dict[str, Any]:
    run(folder, "measure", scan, "--json", out)
    (result,) = json.loads(out.read_text())["results"]
    found: dict[str, Any] = result
    return found


def test_a_qa_phantom_never_gets_a_result(checked: tuple[Path, Result], scans: Path, tmp_path: Path) -> None:
    result = measured(checked[0], scans / "esp", tmp_path / "out.json")
    assert (result["status"], result["refusal"]["reason"], result["mean_vbmd_mg_cm3"], result["outputs"]) == (
        "refused",
        "qa-scan",
        None,
        [],
    )
    assert [one["name"] for one in result["refusal"]["evidence"]["inserts"]] == ["L1", "L2", "L3"]


def test_a_patient_without_phantom_is_measured_by_the_record(
    checked: tuple[Path, Result], scans: Path, tmp_path: Path
) -> None:
    result = measured(checked[0], scans / "no-phantom", tmp_path / "out.json")
    assert result["status"] == "measured", result["refusal"]
    assert "asynchronous" in {one["code"] for one in result["warnings"]}


def test_cross_calibration_from_the_spine_phantom(checked: tuple[Path, Result]) -> None:
    """The simulated scanner reads 0.98 mg K2HPO4 per mg HA."""
    made = run(checked[0], "qa", "cross-calibrate")
    assert made.exit_code == 0, made.output
    ledger = Ledger(load(checked[0]).database)
    (crossing,) = ledger.quality_record().cross_calibrations
    ledger.close()
    assert crossing.slope == pytest.approx(0.98, abs=0.01)
    assert (crossing.measured_on, crossing.expires_on) == (date(2025, 1, 7), date(2026, 1, 7))


def test_a_scanner_out_of_control_gives_no_category(scans: Path, tmp_path: Path) -> None:
    folder = site(tmp_path / "conf")
    keep(
        folder,
        [replace(s, scan_date=s.scan_date - timedelta(days=320)) for s in series(12, 1, shift_from=10, shift=9.0)],
    )
    before = measured(folder, scans / "patient", tmp_path / "before.json")
    assert before["category"] == "not-classified"
    assert "out-of-control" in {one["code"] for one in before["warnings"]}
    resolved = run(folder, "qa", "resolve", "--note", "air calibration", "--by", "A. Physicist")
    assert resolved.exit_code == 0, resolved.output
    after = measured(folder, scans / "patient", tmp_path / "after.json")
    assert after["category"] != "not-classified"


@pytest.fixture
def drifting(tmp_path: Path) -> Path:
    folder = site(tmp_path / "conf")
    keep(folder, series(13, 1, shift_from=10, shift=9.0))
    return folder


def test_qa_shows_state_limits_and_alarms(drifting: Path) -> None:
    shown = run(drifting, "qa").output
    assert all(word in shown for word in ("out of control", "limits", "SN-1001", "due since"))


def test_qa_as_json_holds_limits_and_alarms(drifting: Path) -> None:
    (scanner,) = json.loads(run(drifting, "qa", "--json").output)["scanners"]
    l1 = scanner["quantities"][0]
    assert l1["baseline"]["lower_limit"] < l1["baseline"]["mean"] < l1["baseline"]["upper_limit"]
    assert {alarm["state"] for alarm in l1["alarms"]} == {"open"}


def test_resolving_takes_the_alarms_away(drifting: Path) -> None:
    run(drifting, "qa", "resolve", "--note", "air calibration", "--by", "A. Physicist")
    shown = json.loads(run(drifting, "qa", "--json").output)["scanners"][0]
    assert shown["state"] == "in control"


def test_a_new_baseline_is_built_where_it_is_asked_for(drifting: Path) -> None:
    run(drifting, "qa", "resolve", "--note", "tube replaced", "--new-baseline")
    assert json.loads(run(drifting, "qa", "--json").output)["scanners"][0]["state"] == "building baseline"


def test_an_excluded_scan_is_listed_with_its_reason(drifting: Path) -> None:
    run(drifting, "qa", "exclude", "13", "--why", "phantom upside down")
    assert "no: phantom upside down" in run(drifting, "qa", "list").output


def test_chart_writes_svg_and_png(drifting: Path, tmp_path: Path) -> None:
    run(drifting, "qa", "chart", "--out", tmp_path / "charts")
    assert sorted(path.suffix for path in (tmp_path / "charts").iterdir()) == [".png", ".svg"]


def test_report_is_one_html_page(drifting: Path, tmp_path: Path) -> None:
    run(drifting, "qa", "report", "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<section>") == 1


def test_cross_calibration_without_a_reference_says_what_to_do(tmp_path: Path) -> None:
    folder = site(tmp_path / "conf")
    keep(folder, [replace(qa_scan(), material="CaHA", calibration_phantom="bmas200")])
    failed = run(folder, "qa", "cross-calibrate")
    assert isinstance(failed.exception, NodeError)
    assert "--value" in str(failed.exception)


def test_given_reference_values_serve_as_well(tmp_path: Path) -> None:
    folder = site(tmp_path / "conf")
    keep(folder, [replace(qa_scan(densities=(50.0, 100.0, 200.0)), material="CaHA", calibration_phantom="bmas200")])
    made = run(folder, "qa", "cross-calibrate", "--value", "L1=47", "--value", "L2=92", "--value", "L3=182")
    assert "K2HPO4 = 0.9000 · CaHA +2.00" in made.output


def test_status_shows_overdue_qa_scans(drifting: Path) -> None:
    assert f"QA scan of {KEY.scanner}" in run(drifting, "status").output


CERTIFICATE = (
    *("--id", "mw-77", "--model", "Mindways Model 3", "--serial", "77", "--material", "K2HPO4"),
    *("--rod", "A=-51.8/1012.2", "--rod", "B=58.9/1103.6", "--rod", "C=375.8/923.2"),
    *("--certificate-date", "2025-03-14", "--rod-diameter", "19"),
)


def test_a_phantom_added_from_a_certificate_passes_check(tmp_path: Path) -> None:
    folder = site(tmp_path / "conf")
    added = run(folder, "phantom", "add", *CERTIFICATE)
    assert added.exit_code == 0, added.output
    assert CliRunner().invoke(cli, ["check", str(folder)]).exit_code == 0
    phantom = load(folder).phantoms["mw-77"]
    assert [(rod.density_mg_cm3, rod.water_density_mg_cm3) for rod in phantom.rods] == [
        (-51.8, 1012.2),
        (58.9, 1103.6),
        (375.8, 923.2),
    ]
    assert (phantom.serial, phantom.certificate_date, phantom.rod_diameter_mm) == ("77", "2025-03-14", 19.0)


def test_phantom_add_explains_the_equation_and_the_next_step(tmp_path: Path) -> None:
    added = run(site(tmp_path / "conf"), "phantom", "add", *CERTIFICATE).output
    assert all(words in added for words in ("Mindways equation", "201 HU", "[[scanners]]"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("--material", "HA"), "material"),
        (("--rod", "A=1"), "same name"),
        (("--rod-diameter", "-3"), "rod_diameter_mm"),
        (("--kind", "test"), "kind"),
    ],
)
def test_what_check_would_refuse_is_not_written(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    folder = site(tmp_path / "conf")
    failed = run(folder, "phantom", "add", *CERTIFICATE, *change)
    assert isinstance(failed.exception, ConfigError)
    assert problem in str(failed.exception)
    assert not (folder / "phantoms" / "mw-77.toml").exists()


def test_a_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    folder = site(tmp_path / "conf")
    run(folder, "phantom", "add", *CERTIFICATE)
    assert isinstance(run(folder, "phantom", "add", *CERTIFICATE).exception, NodeError)
    assert run(folder, "phantom", "add", *CERTIFICATE, "--force").exit_code == 0


def test_densities_in_grams_are_questioned(tmp_path: Path) -> None:
    added = run(
        site(tmp_path / "conf"),
        *("phantom", "add", "--id", "x", "--model", "X", "--material", "CaHA", "--rod", "a=0.05", "--rod", "b=0.2"),
    )
    assert "g/cm³?" in added.output


def test_it_can_be_added_while_the_configuration_still_misses_it(tmp_path: Path) -> None:
    folder = site(
        tmp_path / "conf",
        '[[scanners]]\nname = "ct"\nwhen = { attribute = "station_name", equals = "CT1" }\nphantoms = ["mw-77"]\n',
    )
    with pytest.raises(ConfigError):
        load(folder)
    run(folder, "phantom", "add", *CERTIFICATE)
    assert load(folder).scanners[0].phantoms == ("mw-77",)


def test_what_is_not_given_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.cli.phantom.at_a_terminal", lambda: True)
    folder = site(tmp_path / "conf")
    answers = "QRM-BDC/3\nBDC-99\nCaHA\n\nlow=100\nmiddle\nmiddle=400\nhigh=800\n\n"
    added = run(folder, "phantom", "add", entered=answers)
    assert added.exit_code == 0, added.output
    made = tomllib.loads((folder / "phantoms" / "qrm-bdc-3-bdc-99.toml").read_text())
    assert [rod["density_mg_cm3"] for rod in made["rods"]] == [100.0, 400.0, 800.0]


def test_phantoms_are_listed_with_their_kind(tmp_path: Path) -> None:
    shown = run(site(tmp_path / "conf"), "phantom", "list").output
    assert "my-esp" in shown
    assert "qa" in shown
