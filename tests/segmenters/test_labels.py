"""Named voxels become vertebrae with places, axes and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import SpineNotFound
from node.segmenters import labels
from node.segmenters.images import LabelImage
from tests.imaging.spine import made_up
from tests.segmenters import painted


def image(names: dict[int, str], **changes: float) -> tuple[LabelImage, made_up.Column]:
    made = made_up.column(painted.LEVELS, **changes)  # type: ignore[arg-type]
    return LabelImage(made.inside, made.volume.affine_lps_mm, names), made


NAMES = {1: "vertebrae_T12", 2: "vertebrae_L1", 3: "vertebrae_L2"}


def test_places_and_sizes() -> None:
    labelled, made = image(NAMES)
    found = labels.spine_of(labelled, "engine", 0.9)
    for ours, theirs in zip(found.seeds, made.spine.seeds, strict=True):
        assert ours.level == theirs.level
        assert ours.frame.centre_lps_mm == pytest.approx(theirs.frame.centre_lps_mm, abs=2.0)
        assert ours.height_mm == pytest.approx(theirs.height_mm, abs=3.0)
        assert ours.width_mm == pytest.approx(theirs.width_mm, abs=5.0)
        assert ours.depth_mm == pytest.approx(theirs.depth_mm, abs=5.0)


def test_axes_are_right_handed_and_the_patients() -> None:
    labelled, _ = image(NAMES)
    for seed in labels.spine_of(labelled, "engine", 0.9).seeds:
        frame = seed.frame
        assert np.cross(frame.left, frame.posterior) == pytest.approx(frame.superior, abs=1e-6)
        assert frame.left[0] > 0.98
        assert frame.posterior[1] > 0.98


def test_a_rolled_patient_has_rolled_axes() -> None:
    labelled, _ = image(NAMES)
    turn = np.deg2rad(20.0)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    rolled = LabelImage(labelled.labels, rotation @ labelled.affine_lps_mm, labelled.names)
    seed = labels.spine_of(rolled, "engine", 0.9).seeds[1]
    assert seed.frame.posterior == pytest.approx(rotation[:3, 1], abs=0.1)


def test_a_vertebra_at_the_edge_is_incomplete() -> None:
    labelled, _ = image(NAMES)
    top = int(np.argwhere(labelled.labels == 1)[:, 0].max()) - 4
    cut = LabelImage(labelled.labels[:top], labelled.affine_lps_mm, NAMES)
    assert [seed.complete for seed in labels.spine_of(cut, "engine", 0.9).seeds] == [False, True, True]


def test_specks_are_no_vertebrae() -> None:
    labelled, _ = image(NAMES)
    speck = labelled.labels.copy()
    speck[2:4, 3:5, 3:5] = 9
    found = labels.spine_of(LabelImage(speck, labelled.affine_lps_mm, {**NAMES, 9: "vertebrae_L5"}), "engine", 0.9)
    assert [seed.level for seed in found.seeds] == list(painted.LEVELS)


def test_names_out_of_order_are_not_believed() -> None:
    labelled, _ = image({1: "vertebrae_T12", 2: "vertebrae_L2", 3: "vertebrae_L3"})
    found = labels.spine_of(labelled, "engine", 0.9)
    assert {seed.confidence for seed in found.seeds} == {labels.CONTRADICTED}
    assert "puts L2 below T12" in found.assignment.anchors[0].evidence


@pytest.mark.parametrize("names", [("T12", "T13", "L1"), ("T11", "L1", "L2"), ("L5", "L6", "S1")])
def test_variants_are_no_contradiction(names: tuple[str, ...]) -> None:
    labelled, _ = image({n: f"vertebrae_{name}" for n, name in enumerate(names, 1)})
    assert labels.spine_of(labelled, "engine", 0.9).seeds[0].confidence == 0.9


def test_nothing_named_is_no_spine() -> None:
    labelled, _ = image({9: "vertebrae_L1"})
    with pytest.raises(SpineNotFound):
        labels.spine_of(labelled, "engine", 0.9)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("vertebrae_L1", "L1"),
        ("L6", "L6"),
        ("vertebrae_T13", "T13"),
        ("vertebrae_S1", None),
        ("sacrum", None),
        ("liver", None),
    ],
)
def test_which_names_are_vertebrae(name: str, level: str | None) -> None:
    assert labels.level_of(name) == level
