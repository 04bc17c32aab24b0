"""The ready cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.synthetic.presets import presets
from node.synthetic.torso import make


@pytest.mark.parametrize("name", presets())
def test_every_preset_can_be_made(name: str) -> None:
    spec = replace(presets()[name], matrix=48, spacing_mm=8.0)
    made = make(spec)
    assert made.hu.shape[1:] == (48, 48)
    assert made.truth.levels["L1"].vbmd_mg_cm3 > 20.0


def test_presets_are_different_patients() -> None:
    assert len({spec.seed for spec in presets().values()}) == len(presets())
