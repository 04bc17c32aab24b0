"""The installed program is run as it wants to be, on installed weights, and its label image is read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from node.domain.settings import TotalSegmentatorSettings
from node.errors import SegmenterFailed
from node.segmenters.totalsegmentator import CLASSES, TotalSegmentator
from tests.segmenters import painted


def engine(
    folder: Path, *datasets: int, behaviour: str = "", timeout_s: float = 60.0, **changes: object
) -> TotalSegmentator:
    weights = painted.weights(folder / "weights", *datasets, behaviour=behaviour)
    settings = TotalSegmentatorSettings(
        command=str(painted.program(folder)),
        weights=str(weights),
        **changes,  # type: ignore[arg-type]
    )
    return TotalSegmentator(settings, timeout_s, 0.9)


def test_vertebrae_are_named_and_placed(tmp_path: Path) -> None:
    found = engine(tmp_path, 297).segment(painted.volume())
    true = painted.column().spine
    assert [seed.level for seed in found.seeds] == list(painted.LEVELS)
    for ours, theirs in zip(found.seeds, true.seeds, strict=True):
        assert ours.frame.centre_lps_mm == pytest.approx(theirs.frame.centre_lps_mm, abs=2.5)


def test_every_name_has_the_stated_trust(tmp_path: Path) -> None:
    assert {seed.confidence for seed in engine(tmp_path, 297).segment(painted.volume()).seeds} == {0.9}


def test_tasks_that_name_bodies_are_read_by_their_own_table(tmp_path: Path) -> None:
    found = engine(tmp_path, 803, tasks=("vertebrae_pp",)).segment(painted.volume())
    assert [seed.level for seed in found.seeds] == list(painted.LEVELS)


def test_bodies_are_cut_out_by_a_second_task(tmp_path: Path) -> None:
    one = engine(tmp_path, 297, 305, tasks=("total", "vertebrae_body"))
    assert len(one.segment(painted.volume()).seeds) == 3
    assert (tmp_path / "weights" / "asked.txt").read_text().split("\n")[:2] == [
        "total fast=True",
        "vertebrae_body fast=False",
    ]


def test_a_program_that_is_not_there_is_named() -> None:
    problem = TotalSegmentator(TotalSegmentatorSettings(command="NoSuchProgram"), 60.0, 0.9).problem()
    assert problem is not None
    assert "vbmd-node[totalsegmentator]" in problem


@pytest.mark.parametrize(
    ("present", "changes", "missing"),
    [
        ((), {}, "297"),
        ((291, 292), {"fast": False}, "293, 294, 295"),
        ((803,), {"tasks": ("vertebrae_pp_refined",)}, "305"),
    ],
)
def test_missing_weights_are_named_and_not_fetched(
    tmp_path: Path, present: tuple[int, ...], changes: dict[str, object], missing: str
) -> None:
    with pytest.raises(SegmenterFailed, match=rf"missing .*data sets {missing}\).* never fetched"):
        engine(tmp_path, *present, **changes).segment(painted.volume())
    assert not (tmp_path / "weights" / "asked.txt").exists()


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(SegmenterFailed, match="time limit"):
        engine(tmp_path, 297, behaviour="hang", timeout_s=3.0).segment(painted.volume())
    assert time.monotonic() - started < 20.0


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("crash", "status 1 in the task total: RuntimeError: CUDA is out of memory"),
        ("nothing", "left no result"),
        ("garbage", "cannot be read"),
    ],
)
def test_what_went_wrong_is_said(tmp_path: Path, behaviour: str, words: str) -> None:
    with pytest.raises(SegmenterFailed, match=words):
        engine(tmp_path, 297, behaviour=behaviour).segment(painted.volume())


def test_the_table_of_labels_is_that_of_the_package() -> None:
    """Numbers of version 2.18, read from its ``class_map``."""
    total, bodies = CLASSES["total"], CLASSES["vertebrae_pp"]
    assert (total[25], total[26], total[27], total[31], total[32], total[50]) == (
        "sacrum",
        "vertebrae_S1",
        "vertebrae_L5",
        "vertebrae_L1",
        "vertebrae_T12",
        "vertebrae_C1",
    )
    assert (total[92], total[103], total[104], total[115]) == (
        "rib_left_1",
        "rib_left_12",
        "rib_right_1",
        "rib_right_12",
    )
    assert (bodies[1], bodies[8], bodies[20], bodies[24]) == (
        "vertebrae_C1",
        "vertebrae_T1",
        "vertebrae_L1",
        "vertebrae_L5",
    )
