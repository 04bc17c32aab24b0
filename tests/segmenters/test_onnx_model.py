"""A model file is loaded, fed and read as the configuration describes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from node.domain.settings import OnnxModel
from node.errors import SegmenterFailed, SpineNotFound
from node.segmenters.onnx_model import Onnx, _boxes
from tests.segmenters import painted

pytest.importorskip("onnx", reason="the package onnx makes the model of these tests")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    file = painted.onnx_model(tmp_path_factory.mktemp("model") / "nearest.onnx")
    return OnnxModel(
        "nearest",
        str(file),
        (3.0, 2.0, 2.0),
        {"1": "T12", "2": "L1", "3": "L2"},
        scale_hu=100.0,
        patch=(24, 32, 32),
    )


def test_vertebrae_are_named_and_placed(model: OnnxModel) -> None:
    found = Onnx(model, 60.0, 0.9).segment(painted.volume())
    true = painted.column().spine
    assert [seed.level for seed in found.seeds] == list(painted.LEVELS)
    for ours, theirs in zip(found.seeds, true.seeds, strict=True):
        assert ours.frame.centre_lps_mm == pytest.approx(theirs.frame.centre_lps_mm, abs=2.5)


@pytest.mark.parametrize("orientation", ["SPL", "RAS", "LPS", "IAR", "PIR"])
def test_any_orientation_gives_the_same_places(model: OnnxModel, orientation: str) -> None:
    turned = replace(model, orientation=orientation, spacing_mm=(2.5, 2.5, 2.5))
    found = Onnx(turned, 60.0, 0.9).segment(painted.volume())
    true = painted.column().spine
    assert [seed.level for seed in found.seeds] == list(painted.LEVELS)
    for ours, theirs in zip(found.seeds, true.seeds, strict=True):
        assert ours.frame.centre_lps_mm == pytest.approx(theirs.frame.centre_lps_mm, abs=2.5)


def test_a_model_that_answers_with_labels_is_read_too(model: OnnxModel, tmp_path: Path) -> None:
    other = replace(model, file=str(painted.onnx_model(tmp_path / "labels.onnx", labels_out=True)))
    assert [seed.level for seed in Onnx(other, 60.0, 0.9).segment(painted.volume()).seeds] == list(painted.LEVELS)


def test_the_same_volume_gives_the_same_answer(model: OnnxModel) -> None:
    first, second = (Onnx(model, 60.0, 0.9).segment(painted.volume()) for _ in range(2))
    for one, other in zip(first.seeds, second.seeds, strict=True):
        assert np.array_equal(one.frame.centre_lps_mm, other.frame.centre_lps_mm)


def test_nothing_named_is_no_spine(model: OnnxModel) -> None:
    with pytest.raises(SpineNotFound, match="nearest found no vertebra"):
        Onnx(model, 60.0, 0.9).segment(painted.volume(levels=0))


def test_a_model_out_of_time_says_so(model: OnnxModel) -> None:
    with pytest.raises(SegmenterFailed, match="time limit"):
        Onnx(model, 0.0, 0.9).segment(painted.volume())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "/nowhere/model.onnx"}, "There is no model file /nowhere/model.onnx"),
        ({"input": "image"}, "has no input image, only ct"),
        ({"output": "classes"}, "has no output classes, only scores"),
    ],
)
def test_what_does_not_fit_is_named(model: OnnxModel, change: dict[str, str], words: str) -> None:
    assert words in (Onnx(replace(model, **change), 60.0, 0.9).problem() or "")  # type: ignore[arg-type]


def test_a_file_that_is_no_model_is_named(model: OnnxModel, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    assert "cannot be loaded" in (Onnx(replace(model, file=str(broken)), 60.0, 0.9).problem() or "")


def test_a_good_model_has_no_problem(model: OnnxModel) -> None:
    assert Onnx(model, 60.0, 0.9).problem() is None


def test_patches_cover_everything_and_overlap() -> None:
    seen = np.zeros((50, 33, 70), dtype=int)
    for box in _boxes(seen.shape, (32, 32, 32), 0.5):
        seen[box] += 1
    assert seen.min() >= 1
    assert seen[25, 16, 35] >= 4
