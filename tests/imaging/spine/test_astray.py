"""Outlines that slipped along the column in thick slices."""

from __future__ import annotations

import numpy as np
import pytest

from node.domain.spine import Frame, VertebraSeed
from node.domain.volume import SourceImage, Volume
from node.imaging.spine.bodies import _astray
from tests.imaging.spine.test_bodyshape import body


@pytest.mark.parametrize(("slice_mm", "moved_mm", "astray"), [(5.0, 9.0, True), (5.0, 3.0, False), (1.0, 9.0, False)])
def test_half_a_vertebra_is_too_far_in_thick_slices(slice_mm: float, moved_mm: float, astray: bool) -> None:
    affine = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [slice_mm, 0, 0, 0], [0, 0, 0, 1]])
    volume = Volume(np.zeros((2, 4, 4), np.int16), affine, "2.25.1", (SourceImage("1", "2"),) * 2)
    shape = body()
    frame = shape.pose.frame()
    found = Frame(frame.centre_lps_mm + moved_mm * frame.superior, frame.left, frame.posterior, frame.superior)
    assert _astray(volume, VertebraSeed("L1", 0.9, found, 26.0, 44.0, 32.0, True), shape) is astray
