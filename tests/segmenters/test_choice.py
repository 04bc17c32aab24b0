"""The configured engines run, and what they say is put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.settings import OnnxModel, SegmenterSettings, TotalSegmentatorSettings
from node.errors import MeasurementFailed
from node.segmenters import Segmenter, engines, find, problems
from tests.segmenters import painted


def settings(folder: Path, use: str, beside: tuple[str, ...] = (), behaviour: str = "") -> SegmenterSettings:
    weights = painted.weights(folder / "weights", 297, behaviour=behaviour)
    installed = TotalSegmentatorSettings(command=str(painted.program(folder)), weights=str(weights))
    return SegmenterSettings(use=use, beside=beside, totalsegmentator=installed)


def test_the_built_in_engine_alone_is_the_default() -> None:
    (only,) = engines(SegmenterSettings())
    assert only.name == "builtin"
    assert only.problem() is None


def test_every_engine_keeps_the_protocol(tmp_path: Path) -> None:
    both: tuple[Segmenter, ...] = engines(settings(tmp_path, "totalsegmentator", ("builtin",)))
    assert [one.name for one in both] == ["totalsegmentator", "builtin"]


def test_the_used_engine_names_the_vertebrae(tmp_path: Path) -> None:
    spine, cautions = find(painted.volume(), None, settings(tmp_path, "totalsegmentator"))
    assert [seed.level for seed in spine.seeds] == list(painted.LEVELS)
    assert cautions == ()


def with_net(folder: Path, *names: str) -> SegmenterSettings:
    """A model of the site's own beside the installed program; ``names``: what it calls the three vertebrae."""
    pytest.importorskip("onnx", reason="the package onnx makes the model")
    file = painted.onnx_model(folder / "net.onnx")
    labels = {str(n): name for n, name in enumerate(names, 1)}
    net = OnnxModel("net", str(file), (3.0, 2.0, 2.0), labels, scale_hu=100.0, patch=(24, 32, 32))
    return replace(settings(folder, "totalsegmentator", ("net",)), models=(net,))


def test_an_engine_beside_that_differs_is_a_caution(tmp_path: Path) -> None:
    spine, (caution,) = find(painted.volume(), None, with_net(tmp_path, "L1", "L2", "L3"))
    assert [seed.level for seed in spine.seeds] == ["T12", "L1", "L2"]
    assert caution.code == "second-opinion-differs"
    assert spine.assignment.confidence == pytest.approx(0.5)


def test_an_engine_beside_that_agrees_is_silent(tmp_path: Path) -> None:
    spine, cautions = find(painted.volume(), None, with_net(tmp_path, "T12", "L1", "L2"))
    assert cautions == ()
    assert spine.assignment.confidence == 0.9


def test_an_engine_beside_that_fails_is_a_caution(tmp_path: Path) -> None:
    chosen = with_net(tmp_path, "T12", "L1", "L2")
    (tmp_path / "net.onnx").unlink()
    _, (caution,) = find(painted.volume(), None, chosen)
    assert caution.code == "second-opinion-missing"
    assert "net.onnx" in caution.message


def test_the_used_engine_that_fails_ends_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match=r"totalsegmentator did not find the vertebrae: .*out of memory"):
        find(painted.volume(), None, settings(tmp_path, "totalsegmentator", behaviour="crash"))


def test_what_is_missing_is_told_by_engine(tmp_path: Path) -> None:
    missing = SegmenterSettings(
        beside=("totalsegmentator",), totalsegmentator=TotalSegmentatorSettings(command="NoSuchProgram")
    )
    assert list(problems(missing)) == ["totalsegmentator"]
    assert problems(settings(tmp_path, "totalsegmentator", ("builtin",))) == {}
