"""Bone followed to the side, where the field of view ends."""

from __future__ import annotations

import numpy as np
import pytest

from node.imaging.spine.ribs import _leaves


def seen(voxel: tuple[int, int], unknown: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """A section (down, back) with one voxel of bone, and what is known about it."""
    voxels, known = np.zeros((30, 30), bool), np.ones((30, 30), bool)
    voxels[voxel] = True
    known[unknown] = False
    return voxels, known


@pytest.mark.parametrize(
    ("unknown", "leaves"),
    [
        ((slice(None), slice(12, None)), True),
        ((slice(None), slice(14, None)), False),
        ((slice(12, None), slice(None)), True),
        ((slice(None, 10), slice(None)), False),
    ],
    ids=["just behind", "farther behind", "below", "above"],
)
def test_ribs_go_on_down_and_to_the_back(unknown: tuple[slice, slice], leaves: bool) -> None:
    assert _leaves(*seen((10, 10), unknown)) is leaves
