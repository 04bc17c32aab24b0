"""The previews show what they should, where it should be, in true proportion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from node.domain.volume import Volume
from node.report import cuts, pictures, previews
from node.report.canvas import Canvas
from node.report.outline import Raster
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.conftest import Written


def drawn(series: Written, out_dir: Path, name: str = "measured") -> dict[str, NDArray[np.int16]]:
    findings, volume = CASES[name](series)
    assert volume is not None
    return {p.name: np.asarray(Image.open(p)).astype(np.int16) for p in previews(volume, findings, out_dir)}


def near(picture: NDArray[np.int16], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - np.array(colour)).max(axis=-1) < 40)


def test_from_the_side_from_the_front_and_two_axial(head_first: Written, out_dir: Path) -> None:
    assert list(drawn(head_first, out_dir)) == ["sagittal.png", "coronal.png", "axial-L1.png", "axial-L2.png"]


def test_rods_are_drawn_round(head_first: Written, out_dir: Path) -> None:
    rows, columns = np.nonzero(near(drawn(head_first, out_dir)["axial-L1.png"][:, :700], (110, 235, 130)))
    per_mm = 700 / (fixtures.SIZE * fixtures.SPACING_MM[2])
    outer = columns < columns.min() + 2.2 * 9.0 * per_mm
    across, down = np.ptp(columns[outer]), np.ptp(rows[outer & (rows < rows.min() + 2.2 * 9.0 * per_mm)])
    assert across == pytest.approx(2 * 9.0 * per_mm, abs=4)
    assert down == pytest.approx(across, abs=4)


def test_voi_is_drawn_on_the_vertebra(head_first: Written, out_dir: Path) -> None:
    rows, columns = np.nonzero(near(drawn(head_first, out_dir)["axial-L1.png"], (255, 96, 96))[:, :700])
    _, j, i = fixtures.BODY_CENTRE_KJI["L1"]
    scale = 700 / fixtures.SIZE
    assert (columns.min() + columns.max()) / 2 == pytest.approx((i + 0.5) * scale, abs=4)
    assert (rows.min() + rows.max()) / 2 == pytest.approx((j + 0.5) * scale, abs=4)


def test_picture_without_phantom_has_no_rods(head_first: Written, out_dir: Path) -> None:
    picture = drawn(head_first, out_dir, "refused, levels found")["axial-L1.png"]
    assert not near(picture, (110, 235, 130)).any()


def test_refused_study_without_reformat_still_has_a_sagittal(head_first: Written, out_dir: Path) -> None:
    picture = drawn(head_first, out_dir, "refused, levels found")["sagittal.png"]
    assert near(picture, (255, 214, 70)).any()


def test_study_without_vertebrae_has_no_axial_picture(head_first: Written, out_dir: Path) -> None:
    findings, _ = CASES["refused, never read"](head_first)
    assert [path.name for path in previews(head_first[1], findings, out_dir)] == ["sagittal.png", "coronal.png"]


def test_thick_slices_keep_their_proportion() -> None:
    raster = Raster(np.zeros(3), np.array([0, 1.0, 0]), np.array([0, 0, -5.0]), rows=20, columns=100)
    width, height = Canvas(np.zeros((20, 100), np.int16), raster, (0, 1), (500, 500)).size
    assert (width, height) == (500, 500)


@pytest.mark.parametrize(
    ("along_row", "along_column", "letters"),
    [
        ((1.0, 0, 0), (0, 1.0, 0), ("R", "L", "A", "P")),
        ((0, 1.0, 0), (0, 0, -1.0), ("A", "P", "H", "F")),
        ((0, -1.0, 0.1), (0, 0, 1.0), ("P", "A", "F", "H")),
    ],
)
def test_letters_name_the_sides(
    along_row: tuple[float, float, float], along_column: tuple[float, float, float], letters: tuple[str, ...]
) -> None:
    raster = Raster(np.zeros(3), np.array(along_row), np.array(along_column), 4, 4)
    assert cuts.letters(raster) == letters


def test_captions_hold_no_identity(head_first: Written) -> None:
    findings, _ = CASES["warned, HA phantom"](head_first)
    said = " ".join(text for text, _ in pictures._captions(findings))
    assert "Grete" not in said
    assert fixtures.STUDY not in said


def test_caption_says_that_it_is_not_for_diagnosis(head_first: Written) -> None:
    findings, _ = CASES["measured"](head_first)
    assert pictures._captions(findings)[-1][0] == "Automatic, not verified. Not for diagnosis."


def test_caption_of_a_refusal_has_no_density(head_first: Written) -> None:
    findings, _ = CASES["refused, levels found"](head_first)
    said = [text for text, _ in pictures._captions(findings)]
    assert said[0] == "Not measured: No calibration phantom lies in the scan."
    assert "mg/cm" not in " ".join(said)


def test_captions_are_wrapped_into_the_picture(head_first: Written, out_dir: Path) -> None:
    findings, volume = CASES["warned, HA phantom"](head_first)
    assert volume is not None
    long = replace(findings.cautions[0], message="word " * 80)
    (path, *_) = previews(volume, replace(findings, cautions=(long,)), out_dir)
    picture = np.asarray(Image.open(path)).astype(int)
    assert (picture[-60:, -8:].max(axis=-1) < 60).all()


def test_pictures_are_the_same_every_time(head_first: Written, tmp_path: Path) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    first, second = previews(volume, findings, tmp_path / "a"), previews(volume, findings, tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_single_slice_volume_can_be_drawn(head_first: Written, out_dir: Path) -> None:
    findings, _ = CASES["refused, never read"](head_first)
    whole = head_first[1]
    one = Volume(whole.hu[:1], whole.affine_lps_mm, whole.frame_of_reference_uid, whole.sources[:1])
    assert all(Image.open(path).size[1] > 0 for path in previews(one, findings, out_dir))
