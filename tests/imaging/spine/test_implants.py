"""Cement and metal before delineation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.domain.volume import Volume
from node.imaging.spine.bodies import delineate
from node.imaging.spine.bodyframe import Pose
from node.imaging.spine.implants import without_implants
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column
from tests.imaging.spine.test_bodies import dice
from tests.imaging.test_voi import painted


def poses(column: Column) -> list[Pose]:
    return [Pose.of(seed.frame, seed.height_mm, seed.width_mm, seed.depth_mm) for seed in column.spine.seeds]


def test_a_spine_without_implants_is_left_as_it_is() -> None:
    column = made_up.column(("T12", "L1"))
    assert without_implants(column.volume, poses(column)) is column.volume


def test_cement_becomes_spongiosa() -> None:
    column = painted(made_up.column(spongiosa_hu=140.0), (0.0, 0.0, -33.0), 9.0, 1500)
    cleared = without_implants(column.volume, poses(column))
    assert cleared.hu.max() < column.volume.hu.max()
    k, j, i = np.round(column.volume.index_kji([0.0, 0.0, -33.0])).astype(int)
    assert abs(int(cleared.hu[k, j, i]) - 140) < 15
    far = cleared.hu != column.volume.hu
    assert far.sum() * np.prod(column.volume.spacing_mm) < 4 / 3 * np.pi * 14.0**3


def test_the_body_about_cement_is_delineated_as_if_there_were_none() -> None:
    column = made_up.column(shift_mm=3.0, turn_deg=6.0)
    cement = painted(column, (4.0, -2.0, -35.0), 9.0, 1800)
    found = delineate(cement.volume, replace(cement.spine, seeds=column.spine.seeds))
    assert dice(column, 1, found[1]) > 0.92


def test_padding_alone_is_no_implant() -> None:
    column = made_up.column(("L1",))
    empty = np.full_like(column.volume.hu, -2000)
    volume = Volume(empty, column.volume.affine_lps_mm.copy(), "2.25.1", column.volume.sources)
    assert without_implants(volume, poses(column)) is volume
