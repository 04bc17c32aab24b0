"""The commands as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from node.synthetic import dicom, torso
from node.synthetic.presets import presets

ROOT = Path(__file__).resolve().parents[1]


def vbmd_node(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "node", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "node.toml").write_text(
        f"""
[node]
state = "{folder / "state"}"
[[rules]]
name = "trunk"
when = {{ attribute = "modality", equals = "CT" }}
"""
    )
    return folder


@pytest.fixture(scope="module")
def measured(site: Path) -> subprocess.CompletedProcess[str]:
    case = torso.make(presets(matrix=256, spacing_mm=2.0)["abdomen-mindways"])
    dicom.write(case, site / "study")
    (site / "study" / "notes.txt").write_text("not an image")
    return vbmd_node("measure", "study", "--out", "out", "--json", "result.json", "-c", "node.toml", cwd=site)


def test_the_shipped_configuration_is_good(site: Path) -> None:
    assert vbmd_node("check", ROOT / "config" / "node.toml", cwd=site).returncode == 0


def test_check_prints_every_problem_with_its_key(site: Path) -> None:
    (site / "bad.toml").write_text('[node]\nport = 99999\nae_titel = "X"\n[[rules]]\nname = "a"\nphantoms = ["none"]\n')
    answer = vbmd_node("check", "bad.toml", cwd=site)
    assert (answer.returncode, [key in answer.stderr for key in ("node.port", "node.ae_titel", "phantoms")]) == (
        2,
        [True, True, True],
    )


def test_measure_ends_with_status_0(measured: subprocess.CompletedProcess[str]) -> None:
    assert measured.returncode == 0, measured.stderr


def test_measure_says_what_it_leaves_out(measured: subprocess.CompletedProcess[str]) -> None:
    assert "ignored  study/notes.txt" in measured.stdout


def test_measure_writes_json_that_fits_its_schema(measured: subprocess.CompletedProcess[str], site: Path) -> None:
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    jsonschema.validate(json.loads((site / "result.json").read_text()), schema)


def test_measure_keeps_report_and_pictures(measured: subprocess.CompletedProcess[str], site: Path) -> None:
    kept = {path.name for path in (site / "out").rglob("*")}
    assert {"bone-density.dcm", "sagittal.png", "axial-L1.png", "axial-L2.png", "sagittal-001.dcm"} <= kept


def test_measure_of_nothing_suitable_ends_with_status_1(site: Path) -> None:
    (site / "empty").mkdir(exist_ok=True)
    answer = vbmd_node("measure", "empty", "-c", "node.toml", cwd=site)
    assert (answer.returncode, "no-suitable-series" in answer.stderr) == (1, True)


def test_status_of_a_node_that_never_ran_says_so(site: Path) -> None:
    answer = vbmd_node("status", "-c", "node.toml", cwd=site)
    assert (answer.returncode, "There is no ledger" in answer.stderr) == (1, True)
