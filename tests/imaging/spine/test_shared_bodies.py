"""Bodies and densities in the development CT, from seeds near the truth or near points read by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.dicom import read, scan
from node.domain.settings import VoiShape
from node.domain.spine import Frame, LevelAssignment, SpineMap, Vertebra, VertebraSeed
from node.domain.volume import Volume
from node.imaging.morphometry import deformities
from node.imaging.spine.bodies import delineate
from node.imaging.voi import sample
from tests import shared_data
from tests.benchmarks import bodies_accuracy, bodies_cases

pytestmark = pytest.mark.shared_data

READ_BY_EYE = {
    "T12": ((-16.0, 60.0, -528.0), 182.0),
    "L1": ((-14.5, 57.0, -561.0), 181.0),
    "L2": ((-14.0, 53.0, -595.0), 176.0),
}
"""abdomen_a: middle of the spongiosa (± 3 mm) and its attenuation (± 15 HU)."""


@pytest.fixture(scope="module")
def fracture_rows() -> list[bodies_accuracy.Row]:
    """An osteoporotic spine with a biconcave L2, 2 mm slices."""
    case = bodies_cases.simulated("cap_f74_fracture")
    return bodies_accuracy.measure(case, bodies_cases.rough_seeds(case, np.random.default_rng(5)))[0]


def test_simulated_bodies_agree_with_their_labels(fracture_rows: list[bodies_accuracy.Row]) -> None:
    dice = [row.dice for row in fracture_rows]
    assert min(dice) > 0.90
    assert np.mean(dice) > 0.92


def test_simulated_heights_are_right(fracture_rows: list[bodies_accuracy.Row]) -> None:
    errors = np.abs([row.heights_mm for row in fracture_rows])
    assert np.median(errors) <= 1.0
    assert np.percentile(errors, 95) <= 2.0


def test_the_simulated_fracture_alone_is_a_candidate(fracture_rows: list[bodies_accuracy.Row]) -> None:
    assert [row.level for row in fracture_rows if row.grade >= 1] == ["L2"]
    assert {row.level: row.exclusion for row in fracture_rows}["L2"] == "fracture"


def test_simulated_densities_are_right_from_t4_down(fracture_rows: list[bodies_accuracy.Row]) -> None:
    errors = [abs(row.vbmd) for row in fracture_rows if row.exclusion is None and row.level not in ("T1", "T2", "T3")]
    assert np.percentile(errors, 90) <= 3.0


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volume, tuple[Vertebra, ...]]:
    """Real abdominal CT of 5 mm slices, with bodies from upright seeds at the points read by eye."""
    folder: Path = shared_data.unpacked("abdomen_a")
    (series,), _ = scan.collect([folder], tmp_path_factory.mktemp("scratch"))
    volume = read.volume(series)
    axes = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0])
    seeds = tuple(
        VertebraSeed(level, 0.9, Frame(np.array(point), *axes), 26.0, 42.0, 32.0, True)
        for level, (point, _) in READ_BY_EYE.items()
    )
    spine = SpineMap(seeds, LevelAssignment((), "none", 0, 1.0), np.zeros((0, 3)))
    return volume, deformities(delineate(volume, spine))


def test_real_spongiosa_reads_within_the_band_read_by_eye(abdomen: tuple[Volume, tuple[Vertebra, ...]]) -> None:
    volume, vertebrae = abdomen
    for vertebra in vertebrae:
        voi = sample(volume, vertebra, VoiShape())
        point, hu = READ_BY_EYE[vertebra.level]
        assert voi.hu_mean == pytest.approx(hu, abs=15.0)
        assert np.linalg.norm(np.array(voi.centre_lps_mm) - np.array(point)) < 6.0
        assert voi.exclusion is None


def test_real_bodies_have_the_size_of_lumbar_bodies(abdomen: tuple[Volume, tuple[Vertebra, ...]]) -> None:
    volume, vertebrae = abdomen
    for vertebra in vertebrae:
        millilitres = float(vertebra.body.voxels.sum() * np.prod(volume.spacing_mm)) / 1000.0
        assert 20.0 < millilitres < 45.0
        assert vertebra.heights is not None
        assert 22.0 < vertebra.heights.middle_mm < 30.0


def test_real_bodies_do_not_reach_the_canal(abdomen: tuple[Volume, tuple[Vertebra, ...]]) -> None:
    """The canal is seen as dark fat and fluid 24 mm behind the middle of the body."""
    volume, vertebrae = abdomen
    for vertebra in vertebrae:
        place = vertebra.frame.centre_lps_mm + 24.0 * vertebra.frame.posterior
        k, j, i = np.round(volume.index_kji(place)).astype(int)
        assert volume.hu[k, j, i] < 90
        inside = np.argwhere(vertebra.body.voxels) + np.array(vertebra.body.origin_kji)
        assert not (inside == (k, j, i)).all(axis=1).any()
