"""Heights of bodies in slices of 3 to 5 mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from node.domain.spine import Vertebra
from node.domain.volume import Volume
from node.imaging.spine.bodies import delineate
from node.imaging.spine.thick import fitted
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column
from tests.imaging.spine.thick import slabs
from tests.imaging.spine.thick.test_model import shapes

Floats = NDArray[np.float64]


def errors(column: Column, vertebrae: tuple[Vertebra, ...]) -> Floats:
    """(vertebrae, 3) mm, of those between two others: above the first and below the last there is none."""
    found = []
    for vertebra, loss in list(zip(vertebrae, column.losses, strict=True))[1:-1]:
        heights = vertebra.heights
        assert heights is not None
        read = np.array([heights.anterior_mm, heights.middle_mm, heights.posterior_mm])
        found.append(read - np.array(slabs.heights(loss)))
    return np.array(found)


def changed(column: Column, hu: NDArray[np.int16]) -> Column:
    volume = column.volume
    return replace(column, volume=Volume(hu, volume.affine_lps_mm, "2.25.1", volume.sources))


@pytest.mark.parametrize("slices", [3, 4, 5])
def test_heights_are_right_in_slices_as_thick_as_discs(slices: int) -> None:
    column = slabs.thick(slices)
    assert np.abs(errors(column, delineate(column.volume, column.spine))).max() < 2.2


@pytest.mark.parametrize("first", [0, 1, 2, 3, 4])
def test_it_does_not_matter_where_slices_begin(first: int) -> None:
    column = slabs.thick(5, first)
    assert np.abs(errors(column, delineate(column.volume, column.spine))).mean() < 1.3


def test_slices_that_overlap_are_told_by_their_blur() -> None:
    column = slabs.thick(5, step=3)
    assert fitted(column.volume, shapes()).model.profile.width_mm == pytest.approx(5.0, abs=1.1)


def test_heights_are_right_in_slices_that_overlap() -> None:
    column = slabs.thick(5, step=3)
    assert np.abs(errors(column, delineate(column.volume, column.spine))).mean() < 1.3


def test_a_wedge_is_read_as_deep_as_it_is() -> None:
    column = slabs.thick(anterior_loss={"L1": 0.4})
    wedge = delineate(column.volume, column.spine)[1].heights
    assert wedge is not None
    assert wedge.anterior_mm == pytest.approx(slabs.heights(0.4)[0], abs=1.6)


def test_osteoporotic_bone_hardly_denser_than_its_discs_is_measured() -> None:
    column = slabs.thick(spongiosa_hu=110.0, noise_hu=25.0)
    assert np.abs(errors(column, delineate(column.volume, column.spine))).mean() < 1.5


def test_errors_are_as_large_as_stated() -> None:
    column = slabs.thick(noise_hu=30.0)
    vertebrae = delineate(column.volume, column.spine)
    stated = np.array([one.heights.standard_errors_mm for one in vertebrae if one.heights])[1:-1]
    assert float(np.sqrt(np.mean((errors(column, vertebrae) / stated) ** 2))) < 1.5


def test_noise_makes_errors_larger() -> None:
    quiet, noisy = (slabs.thick(noise_hu=noise) for noise in (10.0, 120.0))
    stated = [
        np.mean([one.heights.standard_errors_mm for one in delineate(c.volume, c.spine) if one.heights])
        for c in (quiet, noisy)
    ]
    assert stated[1] > 1.2 * stated[0]


def test_gas_in_a_disc_moves_no_endplate() -> None:
    column = slabs.thick()
    hu = column.volume.hu.copy()
    disc = round(column.volume.index_kji([0.0, 0.0, -0.5 * (made_up.HEIGHT + made_up.DISC)])[0])
    hu[disc, 40:55, 35:58] = -900
    gassy = changed(column, hu)
    assert np.abs(errors(gassy, delineate(gassy.volume, gassy.spine))).max() < 2.2


def test_cement_moves_no_endplate() -> None:
    column = slabs.thick()
    hu = column.volume.hu.copy()
    body = round(column.volume.index_kji([0.0, 0.0, -(made_up.HEIGHT + made_up.DISC)])[0])
    hu[body : body + 2, 42:46, 40:52] = 2400
    cemented = changed(column, hu)
    assert np.abs(errors(cemented, delineate(cemented.volume, cemented.spine))).max() < 2.2


@pytest.mark.parametrize("moved_mm", [-8.0, 7.0])
def test_a_disc_outlined_in_its_neighbour_is_found(moved_mm: float) -> None:
    column = slabs.thick()
    outlined = shapes()
    above, below = outlined[1], outlined[2]
    outlined[1] = replace(above, inferior=replace(above.inferior, z=above.inferior.z + moved_mm))
    outlined[2] = replace(below, superior=replace(below.superior, z=below.superior.z + moved_mm))
    found = fitted(column.volume, outlined)
    _, inferior = found.seen_from(above.pose, 1)
    at = (np.zeros(3), np.array([-0.44, 0.0, 0.39]) * made_up.DEPTH)
    assert -inferior.at(*at) == pytest.approx(made_up.half_height(*at, 0.0), abs=1.2)


def test_a_single_body_is_fitted_too() -> None:
    column = slabs.thick()
    alone = replace(column.spine, seeds=column.spine.seeds[1:2])
    (vertebra,) = delineate(column.volume, alone)
    assert vertebra.heights is not None
    assert vertebra.heights.posterior_mm == pytest.approx(slabs.heights()[2], abs=1.6)


def test_a_body_cut_by_the_scan_is_incomplete() -> None:
    column = slabs.thick()
    volume = column.volume
    cut = round(volume.index_kji([0.0, 0.0, -4.0])[0])
    low = Volume(volume.hu[:cut].copy(), volume.affine_lps_mm, "2.25.1", volume.sources[:cut])
    assert not delineate(low, column.spine)[0].complete


def test_an_endplate_beyond_the_scan_does_not_show() -> None:
    volume = slabs.thick().volume
    cut = round(volume.index_kji([0.0, 0.0, 6.0])[0])
    low = Volume(volume.hu[:cut].copy(), volume.affine_lps_mm, "2.25.1", volume.sources[:cut])
    shown = fitted(low, shapes()).shown[1:-1]
    assert not shown[0, 0]
    assert shown[0, 1]
    assert shown[1:, :].all()


def test_the_same_scan_gives_the_same_heights() -> None:
    column = slabs.thick()
    once, again = (delineate(column.volume, column.spine)[1].heights for _ in range(2))
    assert once == again
