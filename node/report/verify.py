"""Read what was written, from the file, and compare it with the findings before it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from node.domain.findings import Findings
from node.domain.spine import Reformat, Vertebra, Voi
from node.errors import ReportInvalid
from node.report import read_back
from node.report.bone_density import Report
from node.report.heights import candidate_loss_percent
from node.report.identity import PATIENT_AND_STUDY, taken
from node.report.outline import Raster
from node.report.read_back import LevelSummary, SrSummary
from node.report.segmentation import pixels_covered
from node.report.sr import own_instances, referenced_instances, walk

_GEOMETRY_TOLERANCE_MM = 1e-3
_AWAY_MM = 5.0
"""The middle of the outlines and the centroid of an uneven volume may differ by this much; a flip moves it further."""
_SCOORD_LIMIT = 0.5
"""Pixels beyond the image's edge that an outline may reach: none, but for rounding."""


def bone_density(path: Path, report: Report) -> None:
    """Check a report file. Raises ``ReportInvalid`` with everything that is wrong."""
    dataset = pydicom.dcmread(path)
    summary = read_back.summarised(dataset, report.template)
    problems = [
        *_identity(dataset, report),
        *_numbers(summary, report),
        *_statements(summary, report),
        *_references(dataset, report),
        *_tree(dataset),
        *_places(dataset, report),
    ]
    _raise(path, problems)


def heights(path: Path, report: Report) -> None:
    """Check the file of vertebral heights: every number against the findings, every outline on its image."""
    dataset = pydicom.dcmread(path)
    stated = {one.level: one for one in read_back.levels_of(dataset, report.template)}
    problems = [*_identity(dataset, report), *_tree(dataset), *_references(dataset, report)]
    for vertebra in report.findings.vertebrae:
        if vertebra.heights is None:
            continue
        ours = stated.get(vertebra.level)
        if ours is None:
            problems.append(f"{vertebra.level} is missing")
            continue
        loss = candidate_loss_percent(vertebra)
        pairs = _height_pairs(ours, vertebra) | {"height loss": (ours.height_loss_percent, loss)}
        problems += _differences(vertebra.level, pairs)
    _raise(path, problems)


def segmentation(path: Path, report: Report) -> None:
    """Check the segmentation: patient, segments, and as much of each as the masks hold."""
    dataset = pydicom.dcmread(path)
    problems = list(_identity(dataset, report))
    planned, volume = report.segmentation, report.source.volume
    if planned is None or volume is None:
        raise ReportInvalid(f"{path.name}: there is nothing to compare the segmentation with")
    tracked = {int(item.SegmentNumber): str(item.TrackingUID) for item in dataset.SegmentSequence}
    wanted, found = pixels_covered(planned, report.source), _pixels_set(dataset)
    for segment in planned.segments:
        number = planned.number[segment.name]
        if tracked.get(number) != report.uids.uid(*segment.name):
            problems.append(f"segment {number} is not {segment.label}")
        if found.get(number) != wanted.get(number):
            problems.append(f"{segment.label} covers {found.get(number)} pixels, not {wanted.get(number)}")
    instances = {
        str(item.ReferencedSOPInstanceUID)
        for series in dataset.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    if not instances <= report.source.references().keys():
        problems.append("images that are not of the series are referred to")
    _raise(path, problems)


def _pixels_set(dataset: Dataset) -> dict[int, int]:
    """Pixels of each segment of a binary segmentation, by Segment Number (bits packed as in PS3.5 8.1.1)."""
    packed, size = np.frombuffer(dataset.PixelData, dtype=np.uint8), dataset.Rows * dataset.Columns
    found: dict[int, int] = {}
    for place, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        first, lead = divmod(place * size, 8)
        bits = np.unpackbits(packed[first : first + -(-(lead + size) // 8)], bitorder="little")
        found[number] = found.get(number, 0) + int(bits[lead : lead + size].sum())
    return found


def reformat_image(path: Path, reformat: Reformat, index: int, report: Report) -> None:
    """Check one sagittal image: pixels, geometry and identity."""
    image = pydicom.dcmread(path)
    problems = list(_identity(image, report))
    stored = np.frombuffer(image.PixelData, dtype="<i2").reshape(image.Rows, image.Columns)
    if not np.array_equal(stored * int(image.RescaleSlope) + int(image.RescaleIntercept), reformat.hu[index]):
        problems.append("pixels differ from the reformat")
    raster = _raster(image)
    far = np.array([image.Columns - 1, image.Rows - 1], dtype=np.float64)
    for corner in (np.zeros(2), far):
        wanted = (reformat.affine_lps_mm @ [index, corner[1], corner[0], 1])[:3]
        if np.abs(raster.lps_mm(corner) - wanted).max() > _GEOMETRY_TOLERANCE_MM:
            problems.append(f"pixel {corner} does not lie where the reformat has it")
    if image.FrameOfReferenceUID != report.source.representative.get("FrameOfReferenceUID"):
        problems.append("frame of reference differs from the source")
    _raise(path, problems)


def capture(path: Path, report: Report) -> None:
    """Check a picture or a document: identity, and that it holds what its header says."""
    thing = pydicom.dcmread(path)
    problems = list(_identity(thing, report))
    if "PixelData" in thing:
        size = thing.Rows * thing.Columns * thing.SamplesPerPixel * thing.BitsAllocated // 8
        if len(thing.PixelData) != size + size % 2:
            problems.append("there are more or fewer pixels than rows and columns say")
    elif not thing.EncapsulatedDocument.startswith(b"%PDF-"):
        problems.append("there are neither pixels nor a PDF in it")
    _raise(path, problems)


def _raise(path: Path, problems: list[str]) -> None:
    if problems:
        raise ReportInvalid(f"{path.name}: " + "; ".join(problems))


def _raster(image: Dataset) -> Raster:
    orientation = np.array(image.ImageOrientationPatient, dtype=np.float64)
    between_rows, between_columns = (float(value) for value in image.PixelSpacing)
    return Raster(
        np.array(image.ImagePositionPatient, dtype=np.float64),
        orientation[:3] * between_columns,
        orientation[3:] * between_rows,
        int(image.Rows),
        int(image.Columns),
    )


def _identity(dataset: Dataset, report: Report) -> Iterator[str]:
    """The patient and the study are those of the source, to the letter."""
    source = report.source.representative
    for keyword in PATIENT_AND_STUDY:
        ours, theirs = dataset.get(keyword), taken(source, keyword)
        wanted = None if theirs is None else theirs.value
        if (ours or wanted) and str(ours) != str(wanted):
            yield f"{keyword} differs from the source"


def _equal(text: str | None, value: float | None) -> bool:
    """Whether a printed number is the value rounded to its last printed digit."""
    if text is None or value is None:
        return text is None and value is None
    try:
        printed = Decimal(text)
    except InvalidOperation:
        return False
    exponent = printed.as_tuple().exponent
    if not isinstance(exponent, int):
        return False
    return abs(printed - Decimal(float(value))) <= Decimal(1).scaleb(exponent) / 2


def _numbers(summary: SrSummary, report: Report) -> Iterator[str]:
    findings, refused = report.findings, report.refused
    stated: Mapping[str, LevelSummary] = {level.level: level for level in summary.levels}
    for vertebra in findings.vertebrae:
        level, voi = vertebra.level, findings.vois.get(vertebra.level)
        density = None if refused else findings.densities.get(level)
        ours = stated.get(level)
        if ours is None:
            if voi is not None or density is not None:
                yield f"{level} is missing"
            continue
        with_heights = vertebra.heights is not None and ours.height_anterior_mm is not None
        pairs: dict[str, tuple[str | None, float | None]] = {
            "vBMD": (ours.vbmd_mg_cm3, density.vbmd_mg_cm3 if density else None),
            "U": (ours.expanded_uncertainty_mg_cm3, density.expanded_uncertainty_mg_cm3 if density else None),
            "K2HPO4 equivalent": (
                ours.k2hpo4_mg_cm3,
                density.k2hpo4.vbmd_mg_cm3 if density and density.k2hpo4 else None,
            ),
            "HU mean": (ours.hu_mean, voi.hu_mean if voi else None),
            "HU SD": (ours.hu_sd, voi.hu_sd if voi else None),
            "VOI volume": (ours.voi_volume_mm3, voi.volume_mm3 if voi else None),
            "confidence": (ours.confidence, vertebra.confidence if voi else None),
        }
        if with_heights:
            pairs |= _height_pairs(ours, vertebra)
        yield from _differences(level, pairs)
        if density is not None and ours.included_in_mean is not density.included_in_mean:
            yield f"{level} is misstated as {'in' if ours.included_in_mean else 'out of'} the mean"
    yield from _mean(summary, findings, refused)


Pairs = Mapping[str, tuple[str | None, float | None]]


def _height_pairs(ours: LevelSummary, vertebra: Vertebra) -> dict[str, tuple[str | None, float | None]]:
    heights, deformity = vertebra.heights, vertebra.deformity
    if heights is None:
        return {}
    return {
        "anterior height": (ours.height_anterior_mm, heights.anterior_mm),
        "middle height": (ours.height_middle_mm, heights.middle_mm),
        "posterior height": (ours.height_posterior_mm, heights.posterior_mm),
        "height loss": (ours.height_loss_percent, deformity.loss_percent if deformity else None),
    }


def _differences(level: str, pairs: Pairs) -> Iterator[str]:
    yield from (f"{name} of {level} reads {a}, not {b}" for name, (a, b) in pairs.items() if not _equal(a, b))


def _mean(summary: SrSummary, findings: Findings, refused: bool) -> Iterator[str]:
    mean = None if refused else findings.mean_vbmd_mg_cm3
    uncertainty = None if mean is None else findings.mean_expanded_uncertainty_mg_cm3
    if not _equal(summary.mean_vbmd_mg_cm3, mean):
        yield f"the mean reads {summary.mean_vbmd_mg_cm3}, not {mean}"
    if not _equal(summary.mean_expanded_uncertainty_mg_cm3, uncertainty):
        yield f"U of the mean reads {summary.mean_expanded_uncertainty_mg_cm3}, not {uncertainty}"
    others = {
        "K2HPO4 equivalent": (summary.mean_k2hpo4_mg_cm3, findings.mean_k2hpo4),
        "native estimate": (summary.mean_native_estimate_mg_cm3, findings.mean_native_estimate),
    }
    for name, (text, value) in others.items():
        if not _equal(text, value.vbmd_mg_cm3 if value and not refused else None):
            yield f"the {name} of the mean reads {text}"
    if mean is not None and summary.category != findings.category:
        yield f"the category reads {summary.category}, not {findings.category}"


def _statements(summary: SrSummary, report: Report) -> Iterator[str]:
    findings, said = report.findings, report.template.message
    refusal = findings.refusal
    if summary.measured is (refusal is not None):
        yield "the status is wrong"
    if refusal is not None and said(refusal.reason, refusal.message) not in (summary.refusal or ""):
        yield "the reason of the refusal is missing"
    for caution in findings.cautions:
        message = said(caution.code, caution.message)
        if not any(message in warning and caution.code in warning for warning in summary.warnings):
            yield f"the warning {caution.code} is missing"
    if refusal is None and (findings.phantom is None) is not (summary.phantom is None):
        yield "the phantom is missing"


def _references(dataset: Dataset, report: Report) -> Iterator[str]:
    """Every object referred to is of the series or written beside the report, and stands in the evidence."""
    known = report.source.references().keys() | own_instances(report).keys()
    evidence = {
        str(image.ReferencedSOPInstanceUID)
        for study in dataset.get("CurrentRequestedProcedureEvidenceSequence", ())
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }
    referred = set(referenced_instances(dataset))
    if not referred:
        yield "no image is referred to"
    if referred - known:
        yield f"images that are not of the series are referred to: {sorted(referred - known)}"
    if referred != evidence:
        yield "the evidence is not what the content refers to"


def _tree(dataset: Dataset) -> Iterator[str]:
    """What no validator looks at: units, groups with values, closed outlines."""
    for item in walk(dataset):
        kind = item.get("ValueType")
        if kind == "NUM" and not item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue:
            yield "a number has no unit"
        if kind == "CONTAINER" and not item.get("ContentSequence"):
            yield "a container is empty"
        if kind == "CONTAINER" and item.ConceptNameCodeSequence[0].CodeValue == "125007":
            kinds = {child.ValueType for child in walk(item)}
            if not {"NUM", "SCOORD"} <= kinds:
                yield "a measurement group has no number or no outline"
        if kind == "SCOORD":
            points = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 2)
            if len(points) < 4 or not np.array_equal(points[0], points[-1]):
                yield "an outline is not closed"


def _places(dataset: Dataset, report: Report) -> Iterator[str]:
    """Outlines of single-frame images lie, by the images' own headers, where the VOI was measured."""
    template = report.template
    by_tracking = {
        template.texts["tracking_voi"].format(level=level): voi for level, voi in report.findings.vois.items()
    }
    for group in walk(dataset):
        if group.get("ValueType") != "CONTAINER" or "ContentSequence" not in group:
            continue
        tracking = next((str(item.TextValue) for item in group.ContentSequence if _is_tracking(item)), "")
        voi = by_tracking.get(tracking)
        if voi is not None and (message := _misplaced(group, voi, report)):
            yield f"{tracking}: {message}"


def _is_tracking(item: Dataset) -> bool:
    return bool(item.get("ValueType") == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "112039")


def _misplaced(group: Dataset, voi: Voi, report: Report) -> str | None:
    centres, reach = [], 0.0
    for item in walk(group):
        if item.get("ValueType") != "SCOORD":
            continue
        image = report.source.header(str(item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID))
        if "ImagePositionPatient" not in image:
            return None
        points = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 2)
        if (
            points.min() < -_SCOORD_LIMIT
            or (points > [image.Columns + _SCOORD_LIMIT, image.Rows + _SCOORD_LIMIT]).any()
        ):
            return "an outline leaves the image"
        on_plane = _raster(image).lps_mm(points[:-1] - 0.5)
        centres.append((on_plane.min(axis=0) + on_plane.max(axis=0)) / 2)
        reach = max(reach, float(np.ptp(on_plane, axis=0).max()))
    volume = report.source.volume
    if volume is None or not centres:
        return "there is nothing to compare its outlines with"
    measured = volume.lps_mm(np.argwhere(voi.mask.voxels) + voi.mask.origin_kji).mean(axis=0)
    away = float(np.linalg.norm(np.mean(centres, axis=0) - measured))
    return f"outlines lie {away:.1f} mm from the measured volume" if away > max(_AWAY_MM, reach / 4) else None
