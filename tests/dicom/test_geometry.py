"""Complete, regular, axial: judged from headers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.dicom.geometry import check
from node.domain.instance import InstanceHeader, Plane
from node.errors import IncompleteSeries, IrregularSeries, UnsuitableSeries

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def header(z: float, number: int, orientation: tuple[float, ...] = AXIAL, x: float = -200.0) -> InstanceHeader:
    plane = Plane((x, -180.0, z), orientation, (0.8, 0.8))  # type: ignore[arg-type]
    return InstanceHeader(
        "1.1", "1.2", f"1.3.{number}", CT, "1.2.840.10008.1.2.1",
        modality="CT", image_type=("ORIGINAL", "PRIMARY", "AXIAL"), rows=512, columns=512,
        frame_of_reference_uid="1.9", acquisition_number=1, instance_number=number, planes=(plane,),
    )  # fmt: skip


def stack(*z: float) -> list[InstanceHeader]:
    return [header(position, number) for number, position in enumerate(z)]


REGULAR = stack(*np.arange(30) * -1.5 - 400)


def test_order_is_by_position_not_by_instance_number() -> None:
    geometry = check(REGULAR)
    assert [group[0].instance for group in geometry.slices] == list(range(29, -1, -1))


def test_affine_of_the_stored_images() -> None:
    geometry = check(REGULAR)
    assert geometry.affine_lps_mm[:3, 3] == pytest.approx([-200, -180, -443.5])
    assert geometry.affine_lps_mm[:3, :3] == pytest.approx(np.array([[0, 0, 0.8], [0, 0.8, 0], [1.5, 0, 0]]))
    assert not geometry.tilted


def test_one_missing_slice() -> None:
    with pytest.raises(IncompleteSeries, match=r"1 slice is missing, between -407\.5 and -404\.5 mm") as refused:
        check(REGULAR[:4] + REGULAR[5:])
    assert refused.value.evidence["holes_mm"] == [[-407.5, -404.5]]


def test_several_holes() -> None:
    with pytest.raises(IncompleteSeries, match="6 slices are missing") as refused:
        check(REGULAR[:4] + REGULAR[6:20] + REGULAR[24:])
    assert refused.value.evidence["missing"] == 6


def test_rounded_positions_are_regular() -> None:
    """Sub-millimetre spacing, written to 0.1 mm."""
    geometry = check(stack(*(round(0.625 * k, 1) for k in range(60))))
    assert geometry.spacing_mm[0] == pytest.approx(0.625, abs=0.001)


def test_uneven_spacing() -> None:
    with pytest.raises(IrregularSeries, match=r"from 2\.00 to 3\.00 mm"):
        check(stack(*range(0, 40, 2), *range(41, 80, 3)))


def test_drifting_spacing() -> None:
    """No single step is wrong, but the grid is left."""
    with pytest.raises(IrregularSeries, match="drifts"):
        check(stack(*np.cumsum(np.linspace(1.92, 2.08, 60))))


def test_same_image_twice_is_one_position() -> None:
    again = replace(REGULAR[5], sop_instance_uid="1.3.999")
    assert [len(group) for group in check([*REGULAR, again]).slices].count(2) == 1


def test_same_object_twice_is_left_out() -> None:
    assert check([*REGULAR, REGULAR[5]]).left_out == (30,)


def test_two_acquisitions_over_each_other() -> None:
    second = [replace(h, sop_instance_uid=f"1.4.{n}", acquisition_number=2) for n, h in enumerate(REGULAR)]
    with pytest.raises(IrregularSeries, match=r"Several acquisitions \(1, 2\) lie over each other at 30 positions"):
        check([*REGULAR, *second])


def test_bolus_monitor() -> None:
    with pytest.raises(IrregularSeries, match="at 1 positions only"):
        check([header(10.0, number) for number in range(20)])


def test_mixed_orientation() -> None:
    with pytest.raises(IrregularSeries, match="not parallel"):
        check([*REGULAR[1:], header(-400, 99, (1, 0, 0, 0, 0, -1))])


@pytest.mark.parametrize(("name", "orientation"), [("sagittal", (0, 1, 0, 0, 0, -1)), ("coronal", (1, 0, 0, 0, 0, -1))])
def test_reformats_in_other_planes(name: str, orientation: tuple[float, ...]) -> None:
    planes = [
        replace(
            REGULAR[0],
            sop_instance_uid=f"1.{k}",
            planes=(Plane((float(k), float(k), 0.0), orientation, (1.0, 1.0)),),  # type: ignore[arg-type]
        )
        for k in range(20)
    ]
    with pytest.raises(UnsuitableSeries, match=f"The images are {name}"):
        check(planes)


def test_rounded_direction_cosines_are_accepted() -> None:
    assert check(
        [
            replace(
                h, planes=(replace(h.planes[0], image_orientation_patient=(0.9998, 0.0175, 0, -0.0175, 0.9999, 0)),)
            )
            for h in REGULAR
        ]
    )


def test_orientation_that_is_none() -> None:
    with pytest.raises(IrregularSeries, match="right angles"):
        check(
            [replace(h, planes=(replace(h.planes[0], image_orientation_patient=(1, 0, 0, 1, 0, 0)),)) for h in REGULAR]
        )


def test_frames_of_reference() -> None:
    with pytest.raises(IrregularSeries, match="2 frames of reference"):
        check([*REGULAR[1:], replace(REGULAR[0], frame_of_reference_uid="1.8")])


def test_missing_frame_of_reference_is_that_of_the_series() -> None:
    assert check([replace(h, frame_of_reference_uid=None) for h in REGULAR]).frame_of_reference_uid == "1.2"


def test_matrix() -> None:
    with pytest.raises(IrregularSeries, match="256 x 256, 512 x 512"):
        check([*REGULAR[1:], replace(REGULAR[0], rows=256, columns=256)])


def test_pixel_spacing() -> None:
    other = replace(REGULAR[0], planes=(replace(REGULAR[0].planes[0], pixel_spacing_mm=(0.7, 0.7)),))
    with pytest.raises(IrregularSeries, match=r"0\.7 x 0\.7, 0\.8 x 0\.8"):
        check([other, *REGULAR[1:]])


def test_reconstruction_centre_that_moves() -> None:
    with pytest.raises(IrregularSeries, match="sideways"):
        check(
            [
                *REGULAR[:15],
                *(
                    header(h.planes[0].image_position_patient_mm[2], n + 15, x=-195.0)
                    for n, h in enumerate(REGULAR[15:])
                ),
            ]
        )


def test_too_few_slices() -> None:
    with pytest.raises(UnsuitableSeries, match="9 CT slices; at least 10"):
        check(REGULAR[:9])


def test_localizer_and_capture_in_the_series_are_left_out() -> None:
    localizer = replace(REGULAR[0], sop_instance_uid="1.8.1", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    capture = replace(REGULAR[0], sop_instance_uid="1.8.2", sop_class_uid="1.2.840.10008.5.1.4.1.1.7", planes=())
    geometry = check([localizer, *REGULAR, capture])
    assert geometry.left_out == (0, 31)
    assert len(geometry.slices) == 30


def test_images_without_position() -> None:
    with pytest.raises(IrregularSeries, match="1 of 30 images carry no position"):
        check([replace(REGULAR[0], planes=()), *REGULAR[1:]])
    with pytest.raises(UnsuitableSeries, match="carry no position"):
        check([replace(h, planes=()) for h in REGULAR])


def test_multi_frame_with_fewer_planes_than_frames() -> None:
    planes = tuple(h.planes[0] for h in REGULAR)
    with pytest.raises(UnsuitableSeries, match="no position"):
        check([replace(REGULAR[0], number_of_frames=31, planes=planes)])


def test_missing_uids() -> None:
    with pytest.raises(UnsuitableSeries, match="no Study Instance UID"):
        check([replace(h, study_instance_uid="") for h in REGULAR])


def test_no_images_at_all() -> None:
    with pytest.raises(UnsuitableSeries, match="0 CT slices"):
        check([])


def test_gantry_tilt_is_shear_about_the_left_right_axis() -> None:
    tilt = np.radians(15)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt)))
    geometry = check([header(2.0 * k, k, orientation) for k in range(20)])
    assert geometry.tilted
    assert geometry.shear_deg == pytest.approx(15, abs=0.01)
    assert geometry.spacing_mm[0] == pytest.approx(2.0)


def test_oblique_stack_is_not_sheared() -> None:
    """Slices set along their own normal (angulated reformat)."""
    tilt = np.radians(15)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt)))
    normal = np.array([0, np.sin(tilt), np.cos(tilt)])
    planes = [
        replace(REGULAR[0], sop_instance_uid=f"1.{k}", planes=(Plane(tuple(normal * k * 2), orientation, (0.8, 0.8)),))  # type: ignore[arg-type]
        for k in range(20)
    ]
    assert check(planes).shear_deg == pytest.approx(0, abs=0.01)


def test_too_oblique() -> None:
    tilt = np.radians(40)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt)))
    with pytest.raises(UnsuitableSeries, match="oblique"):
        check([header(2.0 * k, k, orientation) for k in range(20)])
