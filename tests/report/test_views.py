"""Which image is shown, and that everything lies where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.spine import Frame
from node.report import cuts, views
from node.report.outline import Bent, Raster, outlines, signed_area
from node.report.words import Words
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.conftest import Written


def test_a_straight_column_is_shown_straight(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    assert isinstance(cuts.sagittal_cut(volume, findings).surface, Raster)


def test_a_crooked_column_is_shown_along_its_curve(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    first = findings.vertebrae[0]
    moved = replace(
        first,
        frame=Frame(
            first.frame.centre_lps_mm + [15.0, 0, 0], first.frame.left, first.frame.posterior, first.frame.superior
        ),
    )
    crooked = replace(findings, vertebrae=(moved, *findings.vertebrae[1:]))
    assert isinstance(cuts.sagittal_cut(volume, crooked).surface, Bent)
    assert isinstance(cuts.sagittal_cut(volume, replace(crooked, curved=())).surface, Raster)


def test_outlines_on_a_bent_image_are_those_on_a_straight_one(head_first: Written) -> None:
    """The curve of the fixture is a straight line."""
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    body = findings.vertebrae[1].body
    bent = outlines(volume, body, Bent(fixtures.curved(volume)))[0]
    straight = outlines(volume, body, cuts.straight_cut(volume, findings).surface)[0]
    assert signed_area(bent) == pytest.approx(signed_area(straight), rel=0.05)
    assert bent.mean(axis=0) == pytest.approx(straight.mean(axis=0), abs=1.0)


def test_a_crop_moves_outlines_by_its_corner(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    for surface in (cuts.straight_cut(volume, findings).surface, Bent(fixtures.curved(volume))):
        part = surface.part(slice(6, 40), slice(10, 60))
        whole, cropped = (outlines(volume, findings.vertebrae[1].body, s)[0] for s in (surface, part))
        assert cropped + [10, 6] == pytest.approx(whole)


def test_names_do_not_overlap() -> None:
    centres = views._apart([10.0, 12.0, 14.0, 90.0], [8.0] * 4, 100.0)
    assert all(np.diff(centres) >= 7.5)
    assert centres[0] >= 4.0


def test_heights_stand_in_a_margin(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    picture = views.with_heights(volume, findings, (600, 800), Words(), 20)
    assert picture.width == 1200
    assert picture.height <= 1600


def test_thick_slices_are_noted_on_the_picture(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    thick = replace(findings, reformats=(replace(findings.reformats[0], slice_mm=5.0),))
    cut = cuts.sagittal_cut(volume, thick)
    assert views._notes(thick, cut, Words()) == ["Slices of 5 mm: reformats are not reliable for fractures."]
    assert views._notes(findings, cut, Words()) == []


def test_the_axial_picture_reaches_from_the_vertebra_to_the_rods(head_first: Written) -> None:
    findings, volume = CASES["measured"](head_first)
    assert volume is not None
    vertebra = findings.vertebrae[1]
    canvas = views.axial_with_rods(volume, findings, vertebra, (400, 400))
    assert findings.phantom is not None
    for point in (vertebra.frame.centre_lps_mm, *(np.array(r.centre_lps_mm) for r in findings.phantom.rods)):
        x, y = canvas.place_lps(point)
        assert 0 < x < canvas.size[0]
        assert 0 < y < canvas.size[1]
