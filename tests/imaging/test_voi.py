"""The VOI in made-up bodies of known attenuation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.settings import VoiShape
from node.domain.spine import Deformity, Vertebra, Voi
from node.domain.volume import Mask, Volume
from node.imaging import voi as vois
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column

SHAPE = VoiShape()


def vertebra(column: Column, number: int = 1, **changes: object) -> Vertebra:
    """The true body of a column, as if it had been delineated."""
    seed = column.spine.seeds[number]
    body = Mask.of(column.inside == number + 1)
    found = Vertebra(seed.level, 0.9, True, made_up.frame(-number * (made_up.HEIGHT + made_up.DISC)), body, None, None)
    return replace(found, **changes)  # type: ignore[arg-type]


def painted(column: Column, centre: tuple[float, float, float], radius_mm: float, hu: float) -> Column:
    """The column with a ball of another attenuation."""
    volume = column.volume
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.hu.shape), indexing="ij"), axis=-1)
    near = np.linalg.norm(volume.lps_mm(index) - np.array(centre), axis=-1) <= radius_mm
    values = np.where(near, np.int16(hu), volume.hu)
    return replace(column, volume=Volume(values, volume.affine_lps_mm.copy(), "2.25.1", volume.sources))


@pytest.fixture(scope="module")
def quiet() -> Column:
    return made_up.column(spongiosa_hu=140.0)


@pytest.fixture(scope="module")
def voi(quiet: Column) -> Voi:
    return vois.sample(quiet.volume, vertebra(quiet), SHAPE)


def test_uniform_spongiosa_reads_its_own_attenuation(voi: Voi) -> None:
    assert voi.hu_mean == pytest.approx(140.0, abs=0.5)
    assert voi.exclusion is None


def test_the_voi_is_an_elliptic_cylinder_of_the_stated_size(voi: Voi) -> None:
    depth = (made_up.BACK + 0.5) * made_up.DEPTH
    expected = np.pi * (0.3 * made_up.WIDTH) * (0.25 * depth) * 9.0
    assert voi.volume_mm3 == pytest.approx(expected, rel=0.08)


def test_the_voi_lies_forward_of_the_bodys_middle(voi: Voi) -> None:
    middle = 0.5 * (made_up.BACK - 0.5) * made_up.DEPTH
    assert voi.centre_lps_mm[1] < middle - 1.0
    assert voi.centre_lps_mm[0] == pytest.approx(0.0, abs=0.6)
    assert voi.centre_lps_mm[2] == pytest.approx(-33.0, abs=0.8)


def test_five_millimetre_slices_read_the_same() -> None:
    column = made_up.column(spongiosa_hu=140.0, spacing_mm=(5.0, 0.9, 0.9))
    assert vois.sample(column.volume, vertebra(column), SHAPE).hu_mean == pytest.approx(140.0, abs=3.0)


def test_a_mask_of_thick_slices_is_not_ragged() -> None:
    column = made_up.column(spacing_mm=(5.0, 0.9, 0.9))
    mask = vois.sample(column.volume, vertebra(column), SHAPE).mask.voxels
    for layer in mask:
        rows = [np.flatnonzero(row) for row in layer if row.any()]
        assert all(row[-1] - row[0] + 1 == row.size for row in rows)


def test_noise_widens_the_standard_error_to_cover_the_deviation() -> None:
    deviations = []
    for seed in range(6):
        column = made_up.column(("T12", "L1"), spongiosa_hu=140.0, noise_hu=60.0, seed=seed)
        noisy = vois.sample(column.volume, vertebra(column), SHAPE)
        deviations.append((noisy.hu_mean - 140.0) / noisy.standard_error_hu)
    assert np.abs(deviations).max() < 3.0


def test_a_bone_island_hardly_moves_the_mean(quiet: Column) -> None:
    island = painted(quiet, (5.0, -3.0, -33.0), 3.0, 700)
    found = vois.sample(island.volume, vertebra(island), SHAPE)
    assert found.hu_mean == pytest.approx(140.0, abs=4.0)
    assert found.exclusion is None


def test_a_large_lytic_lesion_excludes_the_vertebra(quiet: Column) -> None:
    lysis = painted(quiet, (6.0, -3.0, -33.0), 6.5, 20)
    assert vois.sample(lysis.volume, vertebra(lysis), SHAPE).exclusion == "lesion"


def test_cement_excludes_the_vertebra(quiet: Column) -> None:
    cement = painted(quiet, (0.0, 0.0, -33.0), 9.0, 1500)
    assert vois.sample(cement.volume, vertebra(cement), SHAPE).exclusion == "cement"


def test_a_screw_in_the_pedicle_excludes_the_vertebra(quiet: Column) -> None:
    screw = painted(quiet, (15.0, 22.0, -30.0), 3.0, 3000)
    found = vois.sample(screw.volume, vertebra(screw), SHAPE)
    assert found.exclusion == "metal"
    assert "L1" in str(found.exclusion_message)


def test_metal_at_another_level_does_not(quiet: Column) -> None:
    screw = painted(quiet, (15.0, 22.0, -66.0), 3.0, 3000)
    assert vois.sample(screw.volume, vertebra(screw, 0), SHAPE).exclusion is None


def test_metal_beside_the_body_counts_in_the_slices_that_are_measured(quiet: Column) -> None:
    beside = painted(quiet, (25.0, 22.0, -33.0), 3.0, 3000)
    assert vois.sample(beside.volume, vertebra(beside), SHAPE).exclusion == "metal"


def test_metal_beside_the_uppermost_slices_of_a_body_does_not(quiet: Column) -> None:
    above = painted(quiet, (25.0, 22.0, -18.5), 3.0, 3000)
    assert vois.sample(above.volume, vertebra(above), SHAPE).exclusion is None


def test_metal_in_the_uppermost_slices_of_a_body_does(quiet: Column) -> None:
    within = painted(quiet, (12.0, 0.0, -24.5), 2.9, 3000)
    assert vois.sample(within.volume, vertebra(within), SHAPE).exclusion == "metal"


def test_a_probable_fracture_excludes_the_vertebra(quiet: Column) -> None:
    broken = vertebra(quiet, deformity=Deformity("wedge", 31.0, 2, 0.97))
    assert vois.sample(quiet.volume, broken, SHAPE).exclusion == "fracture"


def test_an_incomplete_vertebra_is_excluded(quiet: Column) -> None:
    assert vois.sample(quiet.volume, vertebra(quiet, complete=False), SHAPE).exclusion == "incomplete"


def test_an_empty_body_gives_an_empty_voi(quiet: Column) -> None:
    nothing = vertebra(quiet, body=Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool)))
    assert vois.sample(quiet.volume, nothing, SHAPE).exclusion == "incomplete"
