"""Diseases of the vertebral body show where they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests.synthetic.measured import central_hu, hu_at, small

QUIET = {"noise_hu": 0.0, "phantom": None, "degeneration": 0.0, "matrix": 192, "fov_mm": 280.0}


@pytest.fixture(scope="module")
def plain() -> SyntheticCase:
    return make(small(**QUIET))


def test_a_diffuse_lesion_changes_all_of_the_spongiosa(plain: SyntheticCase) -> None:
    sick = make(small(**QUIET, lesions={"L1": "diffuse-sclerotic", "L2": "diffuse-lytic"}))
    before, after = plain.truth.levels, sick.truth.levels
    assert central_hu(sick, after["L1"]) > 1.4 * central_hu(plain, before["L1"])
    assert central_hu(sick, after["L2"]) < 0.6 * central_hu(plain, before["L2"])
    assert (after["L1"].lesion, after["L2"].lesion) == ("diffuse-sclerotic", "diffuse-lytic")


def test_schmorls_nodes_press_disc_into_the_body(plain: SyntheticCase) -> None:
    made = make(small(**QUIET, schmorl=("L1",)))
    body = plain.labels == plain.truth.levels["L1"].label
    softer = (made.hu.astype(int) - plain.hu < -60) & body
    assert softer.sum() * 2.0 * (280.0 / 192) ** 2 > 100.0
    assert not (np.abs(made.hu.astype(int) - plain.hu) > 5)[plain.labels == plain.truth.levels["L2"].label].any()


def test_a_bridge_joins_two_bodies_in_front_of_their_disc(plain: SyntheticCase) -> None:
    made = make(small(**QUIET, bridges=("L1",)))
    upper, lower = made.truth.levels["L1"], made.truth.levels["L2"]
    front = 0.5 * (np.array(upper.points_lps_mm[1]) + np.array(lower.points_lps_mm[0]))
    line = front - np.linspace(0.0, 8.0, 17)[:, None] * np.array(upper.posterior)
    assert hu_at(made, line).max() > 250.0
    assert hu_at(plain, line).max() < 200.0


def test_thin_cortex_takes_less_of_the_bodys_edge(plain: SyntheticCase) -> None:
    thin = make(small(**QUIET, cortex=0.5))
    body = plain.labels == plain.truth.levels["L1"].label
    assert np.percentile(thin.hu[body], 95) < np.percentile(plain.hu[body], 95) - 30
    assert central_hu(thin, thin.truth.levels["L1"]) == pytest.approx(
        central_hu(plain, plain.truth.levels["L1"]), abs=1
    )
