from __future__ import annotations

import numpy as np
import pytest

from node.imaging.spine.canal import shifted


@pytest.mark.parametrize("step", [(4, 0), (0, 3), (-5, 0), (0, -7)])
def test_what_is_shifted_out_of_a_small_image_leaves_nothing(step: tuple[int, int]) -> None:
    assert not shifted(np.ones((2, 4, 3), dtype=bool), *step).any()


def test_shifted_takes_from_the_side_named() -> None:
    stack = np.arange(12).reshape(1, 3, 4)
    assert shifted(stack, 1, -1)[0].tolist() == [[0, 4, 5, 6], [0, 8, 9, 10], [0, 0, 0, 0]]
