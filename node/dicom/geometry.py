"""Do the images of a series form one regular stack? From headers alone, so that intake and reader give one answer.

Positions are compared along the image normal (PS3.3 C.7.6.2.1.1); instance numbers are never used. The tolerances are
the constants below, each with its reason. Images that are no part of the stack (localizers, secondary captures) are
left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from node.domain.instance import InstanceHeader, Plane
from node.errors import IncompleteSeries, IrregularSeries, StudyRefused, UnsuitableSeries

Vector = NDArray[np.float64]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
CT_SOP_CLASSES = frozenset(
    {
        CT_IMAGE,
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
    }
)

MIN_SLICES = 10
"""Fewer are a localizer, a bolus monitor or a fragment."""
MAX_OBLIQUE_DEG = 35.0
"""Angle of the image normal from the head-foot axis: gantries tilt by at most 30 degrees."""
ORIENTATION_TOLERANCE = 0.005
"""Of each direction cosine, between images (0.3 degrees) and from a right angle: cosines are written rounded."""
PIXEL_SPACING_TOLERANCE = 0.001
"""Relative: 0.5 mm across a field of 500 mm."""
SAME_POSITION = 0.1
"""Of the median spacing: images nearer to each other than this lie at the same position."""
SPACING_TOLERANCE = 0.1
"""Of the median spacing, or SPACING_TOLERANCE_MM if that is more: a single step may differ by this."""
SPACING_TOLERANCE_MM = 0.1
"""Positions are often written rounded to 0.1 mm."""
POSITION_TOLERANCE = 0.25
"""Of the spacing: how far a slice may lie from the regular grid in the end."""
LATERAL_TOLERANCE_PIXELS = 0.5
"""How far the origins may stray from a straight line: the reconstruction centre must not move."""
MISSING_TOLERANCE = 0.12
"""A gap within this of a whole number of steps is a gap of missing slices."""
SHEAR_TOLERANCE_DEG = 0.5
"""Stack direction against image normal; above it the stack was scanned with a tilted gantry and is resampled."""


@dataclass(frozen=True, slots=True)
class SliceRef:
    """One image or frame of the stack."""

    instance: int
    """Index into the headers given to ``check``."""
    frame: int
    """0-based."""


@dataclass(frozen=True, slots=True, eq=False)
class StackGeometry:
    """A regular stack, foot to head."""

    slices: tuple[tuple[SliceRef, ...], ...]
    """In order toward the head. More than one reference: several images at the same position, which must be equal."""
    rows: int
    columns: int
    affine_lps_mm: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) of the images as stored → LPS mm. Sheared when the gantry was tilted."""
    shear_deg: float
    """Angle between stack direction and image normal."""
    left_out: tuple[int, ...]
    """Indices of headers that are no part of the stack."""
    frame_of_reference_uid: str

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between slices (along the stack), rows, columns."""
        slices, rows, columns = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return float(slices), float(rows), float(columns)

    @property
    def tilted(self) -> bool:
        """Whether the stack is sheared by more than the tolerance."""
        return self.shear_deg > SHEAR_TOLERANCE_DEG


def check(headers: Sequence[InstanceHeader]) -> StackGeometry:
    """Return the geometry of a complete, regular, axial stack.

    Raises ``UnsuitableSeries`` (not axial CT, too few slices, no positions), ``IncompleteSeries`` (slices are missing)
    or ``IrregularSeries`` (the rest), each with evidence.
    """
    stack, left_out = _stack(headers)
    chosen = [headers[i] for i in stack]
    _identified(chosen)
    rows, columns = _same_matrix(chosen)
    frame_of_reference = _same_frame_of_reference(chosen)
    refs = [SliceRef(i, frame) for i in stack for frame in range(len(headers[i].planes))]
    planes = [headers[ref.instance].planes[ref.frame] for ref in refs]
    row_direction, column_direction, (row_spacing, column_spacing) = _same_orientation(planes)
    origins = np.array([plane.image_position_patient_mm for plane in planes])
    normal = _axial_normal(row_direction, column_direction)
    groups = _grouped(refs, origins, normal, [headers[ref.instance].acquisition_number for ref in refs])
    centres = np.array([origins[group].mean(axis=0) for group in groups])
    start, step = _regular(centres, normal, min(row_spacing, column_spacing))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, column_direction * row_spacing, row_direction * column_spacing
    affine[:3, 3] = start
    return StackGeometry(
        slices=tuple(tuple(refs[i] for i in group) for group in groups),
        rows=rows,
        columns=columns,
        affine_lps_mm=affine,
        shear_deg=_angle_deg(step, normal),
        left_out=left_out,
        frame_of_reference_uid=frame_of_reference or chosen[0].series_instance_uid,
    )


def _stack(headers: Sequence[InstanceHeader]) -> tuple[list[int], tuple[int, ...]]:
    """Indices of the images of the stack, one for each SOP Instance UID, and of all others."""
    seen: set[str] = set()
    stack, left_out = [], []
    for index, header in enumerate(headers):
        uid = header.sop_instance_uid
        if not _is_slice(header) or (uid and uid in seen):
            left_out.append(index)
        else:
            seen.add(uid)
            stack.append(index)
    slices = sum(len(headers[i].planes) for i in stack)
    without_position = [i for i in stack if len(headers[i].planes) != headers[i].number_of_frames]
    if stack and len(without_position) == len(stack):
        raise UnsuitableSeries("The images carry no position in the patient.", {"images": len(stack)})
    if without_position:
        raise IrregularSeries(
            f"{len(without_position)} of {len(stack)} images carry no position in the patient.",
            {"images": len(stack), "without_position": len(without_position)},
        )
    if slices < MIN_SLICES:
        raise UnsuitableSeries(
            f"The series has {slices} CT slices; at least {MIN_SLICES} are needed.",
            {"slices": slices, "wanted": MIN_SLICES},
        )
    return stack, tuple(left_out)


def _is_slice(header: InstanceHeader) -> bool:
    ct = header.sop_class_uid in CT_SOP_CLASSES or (not header.sop_class_uid and header.modality == "CT")
    return ct and "LOCALIZER" not in header.image_type


_UIDS = {
    "study_instance_uid": "Study Instance UID",
    "series_instance_uid": "Series Instance UID",
    "sop_instance_uid": "SOP Instance UID",
}


def _identified(headers: Sequence[InstanceHeader]) -> None:
    for field, name in _UIDS.items():
        missing = sum(not getattr(header, field) for header in headers)
        if missing:
            raise UnsuitableSeries(
                f"{missing} of {len(headers)} images carry no {name}, so no report could refer to them.",
                {"attribute": field, "missing": missing},
            )


def _same_matrix(headers: Sequence[InstanceHeader]) -> tuple[int, int]:
    sizes = Counter((header.rows or 0, header.columns or 0) for header in headers)
    if len(sizes) > 1:
        found = sorted(f"{rows} x {columns}" for rows, columns in sizes)
        raise IrregularSeries(f"The images differ in size: {', '.join(found)}.", {"matrix": found})
    rows, columns = next(iter(sizes))
    if rows < 2 or columns < 2:
        raise UnsuitableSeries("The images do not say how many rows and columns they have.", {})
    return rows, columns


def _same_frame_of_reference(headers: Sequence[InstanceHeader]) -> str | None:
    uids = sorted({header.frame_of_reference_uid for header in headers if header.frame_of_reference_uid})
    if len(uids) > 1:
        raise IrregularSeries(
            f"The images belong to {len(uids)} frames of reference: the patient was repositioned within the series.",
            {"frame_of_reference_uids": uids},
        )
    return uids[0] if uids else None


def _same_orientation(planes: Sequence[Plane]) -> tuple[Vector, Vector, tuple[float, float]]:
    """Unit vectors along a row and along a column, and the distance between rows and between columns."""
    cosines = np.array([plane.image_orientation_patient for plane in planes])
    spread = float(np.ptp(cosines, axis=0).max())
    if spread > ORIENTATION_TOLERANCE:
        raise IrregularSeries(
            "The images are not parallel.",
            {"largest_difference_of_direction_cosines": round(spread, 5), "allowed": ORIENTATION_TOLERANCE},
        )
    mean = np.asarray(cosines.mean(axis=0), dtype=np.float64)
    row, column = mean[:3], mean[3:]
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column))) > ORIENTATION_TOLERANCE:
        raise IrregularSeries(
            "The orientation of the images is not two unit vectors at right angles.",
            {"image_orientation_patient": [round(float(value), 5) for value in mean]},
        )
    spacings = np.array([plane.pixel_spacing_mm for plane in planes])
    spacing = np.median(spacings, axis=0)
    if not (spacings > 0).all() or float(np.abs(spacings / spacing - 1).max()) > PIXEL_SPACING_TOLERANCE:
        found = sorted({f"{rows:g} x {columns:g}" for rows, columns in spacings})[:10]
        raise IrregularSeries(
            f"The images differ in pixel spacing: {', '.join(found)} mm.", {"pixel_spacing_mm": found}
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column), (float(spacing[0]), float(spacing[1]))


def _axial_normal(row: Vector, column: Vector) -> Vector:
    """Unit normal of the images, toward the head."""
    normal: Vector = np.cross(row, column)
    if normal[2] < 0:
        normal = -normal
    tilt = _angle_deg(normal, np.array([0.0, 0.0, 1.0]))
    if tilt > MAX_OBLIQUE_DEG:
        names = ("sagittal", "coronal", "axial")
        name = names[int(np.argmax(np.abs(normal)))] if tilt > 45 else "oblique"
        raise UnsuitableSeries(
            f"The images are {name}; axial images are needed.",
            {"orientation": name, "degrees_from_axial": round(tilt, 1)},
        )
    return normal


def _grouped(
    refs: Sequence[SliceRef], origins: Vector, normal: Vector, acquisitions: Sequence[int | None]
) -> list[list[int]]:
    """Indices of the images at each position, foot to head."""
    along = origins @ normal
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    apart = gaps[gaps > 0.01]
    if len(apart) < MIN_SLICES - 1:
        raise IrregularSeries(
            f"The {len(refs)} images lie at {len(apart) + 1} positions only.",
            {"images": len(refs), "positions": len(apart) + 1},
        )
    limit = max(0.01, SAME_POSITION * float(np.median(apart)))
    groups = [[int(order[0])]]
    for index, gap in zip(order[1:], gaps, strict=True):
        if gap > limit:
            groups.append([])
        groups[-1].append(int(index))
    _one_acquisition(groups, along, acquisitions)
    return groups


def _one_acquisition(groups: list[list[int]], along: Vector, acquisitions: Sequence[int | None]) -> None:
    double = [group for group in groups if len({acquisitions[i] for i in group}) > 1]
    if double:
        numbers = sorted({number for group in double for i in group if (number := acquisitions[i]) is not None})
        raise IrregularSeries(
            f"Several acquisitions ({', '.join(map(str, numbers))}) lie over each other at {len(double)} positions.",
            {
                "acquisition_numbers": numbers,
                "positions": len(double),
                "first_mm": round(float(along[double[0][0]]), 2),
            },
        )


def _regular(centres: Vector, normal: Vector, pixel_mm: float) -> tuple[Vector, Vector]:
    """Origin of the lowest slice and the step to the next one."""
    along = centres @ normal
    gaps = np.diff(along)
    median = float(np.median(gaps))
    allowed = max(SPACING_TOLERANCE * median, SPACING_TOLERANCE_MM)
    if float(np.abs(gaps - median).max()) > allowed:
        raise _uneven(along, gaps, median)
    index = np.arange(len(centres), dtype=np.float64)
    (step, start), *_ = np.linalg.lstsq(np.column_stack([index, np.ones_like(index)]), centres, rcond=None)
    residual = centres - (start + index[:, None] * step)
    off_grid = float(np.abs(residual @ normal).max())
    if off_grid > max(POSITION_TOLERANCE * median, SPACING_TOLERANCE_MM):
        raise IrregularSeries(
            f"The slice spacing drifts: a slice lies {off_grid:.2f} mm from a regular grid of {median:.3f} mm.",
            {"spacing_mm": round(median, 4), "off_grid_mm": round(off_grid, 3)},
        )
    lateral = float(np.linalg.norm(residual - np.outer(residual @ normal, normal), axis=1).max())
    if lateral > LATERAL_TOLERANCE_PIXELS * pixel_mm:
        raise IrregularSeries(
            f"The images are shifted sideways against each other by up to {lateral:.2f} mm.",
            {"lateral_mm": round(lateral, 3), "allowed_mm": round(LATERAL_TOLERANCE_PIXELS * pixel_mm, 3)},
        )
    return start, step


def _uneven(along: Vector, gaps: Vector, median: float) -> StudyRefused:
    steps = gaps / median
    whole = np.maximum(1, np.rint(steps))
    if float(np.abs(steps - whole).max()) <= MISSING_TOLERANCE:
        missing = int((whole - 1).sum())
        holes = [[round(float(a), 2), round(float(b), 2)] for a, b in pairwise(along) if b - a > 1.5 * median]
        where = ", ".join(f"{a:g} and {b:g} mm" for a, b in holes[:3])
        return IncompleteSeries(
            f"{missing} {'slice is' if missing == 1 else 'slices are'} missing, between {where}"
            f"{' and elsewhere' if len(holes) > 3 else ''}; the spacing is {median:g} mm.",
            {"missing": missing, "holes_mm": holes[:50], "spacing_mm": round(median, 4), "present": len(along)},
        )
    return IrregularSeries(
        f"The slice spacing is uneven: from {gaps.min():.2f} to {gaps.max():.2f} mm.",
        {
            "smallest_mm": round(float(gaps.min()), 3),
            "median_mm": round(median, 3),
            "largest_mm": round(float(gaps.max()), 3),
            "slices": len(along),
        },
    )


def _angle_deg(a: Vector, b: Vector) -> float:
    cosine = abs(float(a @ b)) / float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(min(1.0, cosine))))
