"""One synthetic abdomen for all tests of the spine."""

from __future__ import annotations

import pytest

from node.imaging import body
from node.imaging.spine.locate import SpineTrace, trace
from node.synthetic.spec import TorsoSpec
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase


@pytest.fixture(scope="session")
def abdomen() -> SyntheticCase:
    return make(TorsoSpec(seed=71, sex="F", age_years=64, matrix=256, spacing_mm=2.0, thickness_mm=2.0, roll_deg=5.0))


@pytest.fixture(scope="session")
def traced(abdomen: SyntheticCase) -> SpineTrace:
    volume = abdomen.volume()
    return trace(volume, body.separate(volume, "HFS"))
