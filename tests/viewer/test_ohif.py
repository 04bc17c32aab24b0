"""OHIF shows every output of a measured study, in whatever order it is opened.

Screenshots are kept in build/viewer.
"""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import Comprehensive3DSRStorage

from tests.report import independent
from tests.report.independent import Group, Number
from tests.viewer.browser import Shown, Viewer
from tests.viewer.conftest import SERIES, Study

pytestmark = pytest.mark.peer
FINDING_SITE = "363698007: "
"""OHIF writes the code in place of the name."""


def line(number: Number) -> str:
    """A number as OHIF prints it: always two decimals."""
    return f"{number.name}: {float(number.value):.2f} {number.unit}"


def by_tracking_uid(found: list[Shown]) -> dict[str, Shown]:
    return {one.label.tracking_uid: one for one in found}


def level_of(group: Group, study: Study) -> dict[str, object]:
    level: dict[str, object] = study.result["levels"][group.tracking.split()[0]]
    return level


def away_mm(shown: Shown, centre: object) -> float:
    """From the middle of an outline to a point, in the plane of the outline's image or along its normal."""
    middle = (shown.outline_lps_mm.min(axis=0) + shown.outline_lps_mm.max(axis=0)) / 2
    return float(np.linalg.norm(middle - np.array(centre)))


def test_every_density_is_shown_on_its_slice(opened: Viewer, measured: Study) -> None:
    groups = independent.groups(measured.path("sr"))
    opened.show(measured.description("sr"))
    found = by_tracking_uid(opened.measurements(len(groups)))
    opened.shot("bone-density")
    assert {uid: one.sop_instance_uid for uid, one in found.items()} == {
        group.tracking_uid: group.outlines[0].sop_instance_uid for group in groups
    }
    for group in groups:
        lines = found[group.tracking_uid].label.lines
        assert lines[0] == f"{group.text('Comment')}:"
        assert lines[1:3] == tuple(map(line, group.numbers[:2]))
    for group in groups[1:]:  # the first is the mean of several
        voi = level_of(group, measured)["voi"]
        assert isinstance(voi, dict)
        assert away_mm(found[group.tracking_uid], voi["centre_lps_mm"]) < 4.0
    assert opened.errors == []


def test_heights_are_drawn_on_the_sagittal_images(opened: Viewer, measured: Study) -> None:
    groups = independent.groups(measured.path("heights"))
    opened.show(measured.description("heights"))
    found = by_tracking_uid(opened.measurements(len(groups)))
    opened.shot("heights")
    sagittal = {one.sop_instance_uid for one in measured.objects if one.kind == "sagittal"}
    for group in groups:
        shown = found[group.tracking_uid]
        assert shown.label.lines == (*map(line, group.numbers), FINDING_SITE + group.site)
        assert shown.sop_instance_uid == group.outlines[0].sop_instance_uid
        assert shown.sop_instance_uid in sagittal
        assert away_mm(shown, level_of(group, measured)["centroid_lps_mm"]) < 6.0
    assert opened.errors == []


def test_segments_are_listed_and_painted(opened: Viewer, measured: Study) -> None:
    opened.load_segments(measured.description("segmentation"))
    planned = pydicom.dcmread(measured.path("segmentation"), stop_before_pixels=True).SegmentSequence
    opened.page.locator('[data-cy="panelSegmentation-btn"]').click()
    opened.wait_for_text(str(planned[0].SegmentLabel))
    opened.shot("segmentation")
    assert opened.segments() == [str(one.SegmentLabel) for one in planned]
    opened.wait_until(lambda: coloured(opened.picture()) > 100)
    assert opened.errors == []


def coloured(picture: NDArray[np.uint8]) -> int:
    """Pixels that are not grey: brighter in red than in blue, as the segments are."""
    middle = picture[picture.shape[0] // 4 : -picture.shape[0] // 4].astype(int)
    return int((middle[..., 0] - middle[..., 2] > 40).sum())


def alike(picture: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    """Correlation of what is on the screen with an image, scaled into it as viewers do; both (rows, columns)."""
    height = picture.shape[0]
    width = round(wanted.shape[1] * height / wanted.shape[0])
    left = (picture.shape[1] - width) // 2
    seen = Image.fromarray(picture[:, max(left, 0) : left + width]).resize((64, 64), Image.Resampling.BOX)
    made = Image.fromarray(wanted).resize((64, 64), Image.Resampling.BOX)
    return float(np.corrcoef(np.asarray(seen, float).ravel(), np.asarray(made, float).ravel())[0, 1])


def grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).convert("L"))


def test_the_summary_page_fills_the_viewport(opened: Viewer, measured: Study) -> None:
    opened.show(measured.description("summary"))
    opened.wait_for_image(measured.series("summary"))
    page = pydicom.dcmread(measured.path("summary")).pixel_array
    opened.wait_until(lambda: alike(grey(opened.picture()), grey(page)) > 0.9)
    opened.shot("summary")
    assert opened.errors == []


def test_sagittal_images_open_in_the_bone_window(opened: Viewer, measured: Study) -> None:
    opened.show(measured.description("sagittal"))
    opened.wait_for_image(measured.series("sagittal"))
    image = pydicom.dcmread(next(o.path for o in measured.objects if o.sop_instance_uid == opened.image()))
    window = (image.pixel_array.astype(float) - 300) / 1500 + 0.5
    wanted = (np.clip(window, 0, 1) * 255).astype(np.uint8)
    opened.wait_until(lambda: alike(grey(opened.picture()), wanted) > 0.9)
    opened.shot("sagittal")
    assert opened.errors == []


@pytest.mark.parametrize("kind", ["curved", "key-image"])
def test_other_pictures_open(kind: str, opened: Viewer, measured: Study) -> None:
    opened.show(measured.description(kind))
    opened.wait_for_image(measured.series(kind))
    opened.wait_until(lambda: float(grey(opened.picture()).std()) > 20.0)
    opened.shot(kind)
    assert opened.errors == []


def test_the_page_as_pdf_opens(opened: Viewer, measured: Study) -> None:
    opened.show(measured.description("summary-pdf"))
    opened.wait_until(lambda: float(grey(opened.picture()).std()) > 20.0)
    opened.shot("summary-pdf")
    assert opened.errors == []


LABELS = {"sr": "Mean of L1, L2", "heights": "Ha (anterior)"}


@pytest.mark.parametrize(
    "order",
    [("segmentation", "sr", "heights"), ("sr", "segmentation", "sr"), ("heights", "segmentation", "sr", "heights")],
    ids=" then ".join,
)
def test_no_order_of_opening_fails(order: tuple[str, ...], viewer: Viewer, address: str, measured: Study) -> None:
    viewer.open(address, measured.uid, SERIES)
    for step, kind in enumerate(order):
        if kind == "segmentation":
            viewer.load_segments(measured.description(kind))
        else:
            viewer.show(measured.description(kind))
            viewer.wait_for_label(LABELS[kind])
        viewer.shot(f"order-{'-'.join(order)}-{step + 1}")
    assert viewer.errors == []


def test_a_refusal_is_read_first(viewer: Viewer, address: str, refused: Study) -> None:
    viewer.open(address, refused.uid, 3)
    viewer.show(refused.description("sr"))
    viewer.wait_for_text("Bone density not measured")
    viewer.wait_for_text("No calibration phantom lies in the scan. [phantom-not-found]")
    viewer.shot("refused")
    assert viewer.errors == []


@pytest.mark.parametrize("kind", ["sr", "heights"])
def test_reports_of_the_3d_class_are_drawn_too(kind: str, viewer: Viewer, address: str, of_3d: Study) -> None:
    groups = independent.groups(of_3d.path(kind))
    assert pydicom.dcmread(of_3d.path(kind)).SOPClassUID == Comprehensive3DSRStorage
    viewer.open(address, of_3d.uid, 5)
    viewer.show(of_3d.description(kind))
    found = by_tracking_uid(viewer.measurements(len(groups)))
    viewer.shot(f"3d-{kind}")
    for group in groups:
        shown = found[group.tracking_uid]
        assert set(map(line, group.numbers[:2])) <= set(shown.label.lines)
        assert shown.sop_instance_uid == group.outlines[0].sop_instance_uid
    assert viewer.errors == []
