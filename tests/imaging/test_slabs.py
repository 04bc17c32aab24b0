"""Which voxels of thick slices hold spongiosa alone, and what is read from them."""

from __future__ import annotations

import numpy as np
import pytest

from node.domain.settings import VoiShape
from node.domain.spine import Heights, Point
from node.domain.volume import Mask, Volume
from node.imaging import slabs
from node.imaging import voi as vois
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column
from tests.imaging.test_voi import vertebra

FINE_MM = 1.0


@pytest.fixture(scope="module")
def fine() -> Column:
    return made_up.column(("T12", "L1"), spongiosa_hu=140.0, spacing_mm=(FINE_MM, 0.9, 0.9))


def thickened(column: Column, count: int, first: int) -> Column:
    """Slices that average ``count`` of the column's, from slice ``first`` on."""
    whole = (len(column.volume.hu) - first) // count
    grouped = column.volume.hu[first : first + whole * count].reshape(whole, count, *column.volume.hu.shape[1:])
    affine = column.volume.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, 0] * (first + 0.5 * (count - 1))
    affine[:3, 0] *= count
    middle = first + count // 2
    inside = column.inside[middle : middle + whole * count : count]
    hu = np.round(grouped.mean(axis=1)).astype(np.int16)
    return Column(Volume(hu, affine, "2.25.1", column.volume.sources[:whole]), inside, column.spine, column.losses)


def six_points(number: int) -> Heights:
    """The true ones of a body."""
    middle = -number * (made_up.HEIGHT + made_up.DISC)
    points: list[Point] = []
    for y in (-12.0, 0.0, 11.0):
        half = float(made_up.half_height(np.zeros(1), np.array([y]), 0.0)[0])
        points += [(0.0, y, middle + half), (0.0, y, middle - half)]
    a, b, c, d, e, f = points
    return Heights(a[2] - b[2], c[2] - d[2], e[2] - f[2], (a, b, c, d, e, f))


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("known_heights", [True, False])
def test_no_endplate_is_averaged_into_five_millimetre_slices(fine: Column, first: int, known_heights: bool) -> None:
    thick = thickened(fine, 5, first)
    body = vertebra(thick, heights=six_points(1) if known_heights else None)
    assert vois.sample(thick.volume, body, VoiShape()).hu_mean == pytest.approx(140.0, abs=1.0)


def test_slices_are_clear_only_between_the_endplates(fine: Column) -> None:
    thick = thickened(fine, 5, 0)
    clear = slabs.clear_voxels(thick.volume, vertebra(thick, heights=six_points(1)), 5.0, 1.5)
    used = np.flatnonzero(clear.weight.any(axis=(1, 2))) + clear.origin_kji[0]
    z = thick.volume.affine_lps_mm[2, 3] + 5.0 * used + made_up.HEIGHT + made_up.DISC
    assert 2 <= len(used) <= 4
    assert np.abs(z).max() + 2.5 <= 0.5 * made_up.HEIGHT - 1.5


def test_overlapping_slices_are_as_thick_as_is_said(fine: Column) -> None:
    body = vertebra(fine, heights=six_points(1))
    thin, thick = (slabs.clear_voxels(fine.volume, body, slice_mm, 1.5).weight.sum() for slice_mm in (1.0, 7.0))
    assert thick == pytest.approx(thin * (1.0 - 6.0 / 20.0), rel=0.1)


def test_thin_slices_are_read_as_they_are(fine: Column) -> None:
    body = vertebra(fine, heights=six_points(1))
    points = np.random.default_rng(1).uniform(-4.0, 4.0, (200, 3)) - [0.0, 0.0, made_up.HEIGHT + made_up.DISC]
    clear = slabs.clear_voxels(fine.volume, body, FINE_MM, 1.5)
    assert np.allclose(clear.read(fine.volume, points), slabs.interpolated(fine.volume, points), atol=0.01)


def test_a_body_lower_than_its_slices_is_not_measured(fine: Column) -> None:
    thick = thickened(fine, 7, 0)
    flat = vertebra(thick)
    flat = vertebra(thick, body=Mask(flat.body.origin_kji, flat.body.voxels[:1].copy()))
    assert vois.sample(thick.volume, flat, VoiShape()).exclusion == "incomplete"
