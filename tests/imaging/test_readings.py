"""Both readings of doubtful names, with what each would report."""

from __future__ import annotations

import numpy as np
import pytest

from node.domain.findings import BoneDensity
from node.domain.spine import LevelAssignment, Reading, Voi
from node.domain.volume import Mask
from node.imaging.readings import readings, sentence

ALTERNATIVE = Reading({"T12": "L1", "L1": "L2", "L2": "L3"}, 0.3)
ASSIGNMENT = LevelAssignment((), "conflict", 4, 0.62, 1.0, (ALTERNATIVE,))


def voi(hu: float) -> Voi:
    mask = Mask((0, 0, 0), np.zeros((1, 1, 1), bool))
    return Voi(mask, (0.0, 0.0, 0.0), 1000.0, hu, 10.0, 1.0, None)


VOIS = {"T12": voi(150.0), "L1": voi(140.0), "L2": voi(130.0)}


def densities() -> dict[str, BoneDensity]:
    return {level: BoneDensity(level, one.hu_mean / 1.4, 5.0, False, None) for level, one in VOIS.items()}


def test_every_reading_names_its_own_vertebrae() -> None:
    first, second = readings(ASSIGNMENT, ("L1", "L2"), VOIS)
    assert first == {"probability": 0.62, "levels": {"L1": {"hu": 140.0}, "L2": {"hu": 130.0}}}
    assert second == {"probability": 0.3, "levels": {"L1": {"hu": 150.0}, "L2": {"hu": 140.0}}}


def test_densities_stand_beside_the_attenuation_where_there_is_a_calibration() -> None:
    _, second = readings(ASSIGNMENT, ("L1", "L2"), VOIS, densities())
    assert second["mean_vbmd_mg_cm3"] == pytest.approx(145.0 / 1.4, abs=0.06)


def test_a_vertebra_that_is_not_whole_is_left_out() -> None:
    _, second = readings(ASSIGNMENT, ("L1", "L2"), {"L1": VOIS["L1"]})
    assert second["levels"] == {"L2": {"hu": 140.0}}


def test_in_words() -> None:
    told = sentence(readings(ASSIGNMENT, ("L1", "L2"), VOIS, densities()))
    assert told == ("with probability 0.62: L1 100.0, L2 92.9 mg/cm³; with probability 0.3: L1 107.1, L2 100.0 mg/cm³")
