"""Pictures of any study, as a user asks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from node.cli import cli
from node.synthetic import dicom
from node.synthetic.torso import make
from tests.synthetic.measured import SMALL


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A study without a phantom, which no rule of an empty configuration wants."""
    folder = tmp_path_factory.mktemp("render")
    dicom.write(make(replace(SMALL, phantom=None, top=("T11", 0.0))), folder / "study")
    (folder / "study" / "volume.nii").write_bytes(b"\x5c\x01\0\0")
    (folder / "node.toml").write_text("")
    done = CliRunner().invoke(
        cli, ["render", str(folder / "study"), "--out", str(folder / "out"), "-c", str(folder / "node.toml")]
    )
    return done, folder / "out"


def test_every_view_is_drawn(drawn: tuple[Result, Path]) -> None:
    done, out = drawn
    assert done.exit_code == 0, done.output
    names = {path.name for path in out.rglob("*.png")}
    wanted = {"sagittal.png", "coronal.png", "axial-L1.png", "axial-L2.png", "curved-sagittal.png", "summary.png"}
    assert wanted <= names


def test_every_picture_can_be_opened(drawn: tuple[Result, Path]) -> None:
    for path in drawn[1].rglob("*.png"):
        assert min(Image.open(path).size) > 100


def test_a_refusal_is_said_and_drawn_all_the_same(drawn: tuple[Result, Path]) -> None:
    assert "not measured: phantom-not-found" in drawn[0].output


def test_what_is_no_dicom_is_named(drawn: tuple[Result, Path]) -> None:
    assert "volume.nii" in drawn[0].output


def test_nothing_to_draw_ends_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "node.toml").write_text("")
    done = CliRunner().invoke(
        cli, ["render", str(tmp_path / "empty"), "--out", str(tmp_path / "out"), "-c", str(tmp_path / "node.toml")]
    )
    assert done.exit_code == 1


def test_pictures_hold_no_identity(drawn: tuple[Result, Path], tmp_path: Path) -> None:
    """Text in a PNG would stand in its chunks."""
    source = pydicom.dcmread(next((drawn[1].parent / "study").rglob("*.dcm")), stop_before_pixels=True)
    for path in drawn[1].rglob("*.png"):
        assert str(source.PatientName).encode() not in path.read_bytes()
        assert Image.open(path).info.keys() <= {"dpi"}
