"""Bodies and trabecular volumes of the measured vertebrae as a DICOM segmentation (PS3.3 A.51, C.8.20).

Binary, on the pixels of the measured images themselves. Segments may overlap: a VOI lies in its body, and one more
segment is the union that the mean was taken from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from node.domain.findings import Findings
from node.domain.instance import InstanceHeader
from node.domain.job import Provenance
from node.domain.volume import Mask
from node.errors import ReportInvalid
from node.report import identity, items
from node.report.outline import Raster, section
from node.report.source import Source, SourceFrame
from node.report.template import Coded, Template
from node.report.uids import Uids

_CATEGORY = Coded("91723000", "SCT", "Anatomical structure")
_COLOURS = {"body": (240, 214, 160), "voi": (80, 190, 255), "mean": (90, 220, 120)}
"""sRGB, as the pictures paint them."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One segment, before it is written."""

    name: tuple[str, ...]
    """("body", level), ("voi", level) or ("mean",): also the name of its tracking UID."""
    label: str
    site: Coded
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What the segmentation holds; known before it is written, because the report refers to it."""

    sop_instance_uid: str
    segments: tuple[Segment, ...]
    number: Mapping[tuple[str, ...], int] = field(init=False)
    """Segment Number by name."""

    def __post_init__(self) -> None:
        numbers = {segment.name: place for place, segment in enumerate(self.segments, start=1)}
        object.__setattr__(self, "number", numbers)


def plan(findings: Findings, source: Source, template: Template, uids: Uids) -> Plan | None:
    """Body and VOI of every measured vertebra, and the union behind the mean.

    ``None`` where nothing was measured, and where the images have no frame of reference to be segmented in.
    """
    if findings.refusal is not None or not findings.header.frame_of_reference_uid or source.volume is None:
        return None
    segments: list[Segment] = []
    for vertebra in findings.vertebrae:
        level, voi = vertebra.level, findings.vois.get(vertebra.level)
        if voi is None:
            continue
        site = template.site(level)
        body = Segment(("body", level), template.texts["tracking_body"].format(level=level), site, (vertebra.body,))
        inner = Segment(("voi", level), template.texts["tracking_voi"].format(level=level), site, (voi.mask,))
        segments += [one for one in (body, inner) if _visible(one, source)]
    union = _union(findings, template)
    if union is not None and _visible(union, source):
        segments.append(union)
    return Plan(uids.uid("instance", "segmentation"), tuple(segments)) if segments else None


def _union(findings: Findings, template: Template) -> Segment | None:
    if not findings.mean_levels:
        return None
    label = template.texts["tracking_mean"].format(levels=", ".join(findings.mean_levels))
    masks = tuple(findings.vois[level].mask for level in findings.mean_levels)
    return Segment(("mean",), label, template.site_of_mean(findings.mean_levels), masks)


def _visible(segment: Segment, source: Source) -> bool:
    """Whether at least one image shows it."""
    volume = source.volume
    return volume is not None and any(
        section(volume, mask, frame.raster) is not None for mask in segment.masks for frame in source.frames_near(mask)
    )


def segmentation(
    planned: Plan, source: Source, template: Template, uids: Uids, provenance: Provenance, created: datetime | None
) -> Dataset:
    """The segmentation object. Raises ``ReportInvalid`` when it cannot be made of these images."""
    frames = _frames(planned, source)
    cuts = _cuts(planned, frames, source)
    try:
        dataset = hd.seg.Segmentation(
            source_images=[_image(frame, source) for frame in _once(frames)],
            pixel_array=_where(cuts, len(frames), len(planned.segments)),
            plane_positions=[_position(frame) for frame in frames],
            plane_orientation=hd.PlaneOrientationSequence("PATIENT", _orientation(frames[0])),
            pixel_measures=_measures(frames, source),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(s, n, planned, template, uids, provenance) for n, s in _numbered(planned)
            ],
            series_instance_uid=uids.uid("series", "segmentation"),
            series_number=template.segmentation.series_number,
            sop_instance_uid=planned.sop_instance_uid,
            instance_number=1,
            manufacturer=template.document.manufacturer,
            manufacturer_model_name=template.document.model,
            software_versions=provenance.software_version,
            device_serial_number=provenance.config_digest[:16],
            content_label="VERTEBRAE",
            content_description=template.segmentation.series_description,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description=template.segmentation.series_description,
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ReportInvalid(f"the segmentation cannot be made: {error}") from error
    _fill(dataset, cuts, frames)
    return _finished(dataset, source, uids, created)


def _numbered(planned: Plan) -> list[tuple[int, Segment]]:
    return list(enumerate(planned.segments, start=1))


def _frames(planned: Plan, source: Source) -> list[SourceFrame]:
    """Every image that shows a segment, in the order of the stack."""
    near = {frame.key for segment in planned.segments for mask in segment.masks for frame in source.frames_near(mask)}
    return [frame for frame in source.frames if frame.key in near]


def _once(frames: list[SourceFrame]) -> list[SourceFrame]:
    """One frame for each instance: the frames of a multi-frame image are one source."""
    return list({frame.sop_instance_uid: frame for frame in frames}.values())


Cut = tuple[NDArray[np.bool_], int, int]
"""Part of an image that belongs to a segment, with its first row and column."""


def _cuts(planned: Plan, frames: list[SourceFrame], source: Source) -> dict[tuple[int, int], list[Cut]]:
    """What each segment (by place) covers of each image (by place); nothing where it covers none."""
    volume = source.volume
    found: dict[tuple[int, int], list[Cut]] = {}
    if volume is None:
        return found
    index = {frame.key: place for place, frame in enumerate(frames)}
    for place, segment in enumerate(planned.segments):
        for mask in segment.masks:
            for frame in source.frames_near(mask):
                cut = section(volume, mask, frame.raster)
                if cut is not None:
                    found.setdefault((index[frame.key], place), []).append(cut)
    return found


_STAND_IN = 8
"""Rows and columns of the images that highdicom is given: it sets out the frames, and the pixels are put in afterwards.
An array of all images and all segments would take gigabytes."""


def _where(cuts: Mapping[tuple[int, int], list[Cut]], frames: int, segments: int) -> NDArray[np.uint8]:
    """(frames, rows, columns, segments) of the stand-ins: 1 where a segment covers some of an image."""
    pixels = np.zeros((frames, _STAND_IN, _STAND_IN, segments), dtype=np.uint8)
    for frame, segment in cuts:
        pixels[frame, :, :, segment] = 1
    return pixels


def _fill(dataset: Dataset, cuts: Mapping[tuple[int, int], list[Cut]], frames: list[SourceFrame]) -> None:
    """Put the pixels into the frames that highdicom set out (PS3.3 C.8.20.2; bits packed as in PS3.5 8.1.1)."""
    raster = frames[0].raster
    pixels = raster.rows * raster.columns
    index = {tuple(_position(frame)[0].ImagePositionPatient): place for place, frame in enumerate(frames)}
    packed = np.zeros(-(-int(dataset.NumberOfFrames) * pixels // 16) * 2, dtype=np.uint8)
    for place, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame = index[tuple(group.PlanePositionSequence[0].ImagePositionPatient)]
        segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) - 1
        first, lead = divmod(place * pixels, 8)
        bits = np.concatenate([np.zeros(lead, dtype=bool), _painted(cuts[frame, segment], raster).ravel()])
        whole = np.packbits(bits, bitorder="little")
        packed[first : first + len(whole)] |= whole
    dataset.Rows, dataset.Columns = raster.rows, raster.columns
    dataset.PixelData = packed.tobytes()


def _painted(cuts: list[Cut], raster: Raster) -> NDArray[np.bool_]:
    """(rows, columns): what a segment covers of an image."""
    image = np.zeros((raster.rows, raster.columns), dtype=bool)
    for hit, row, column in cuts:
        image[row : row + hit.shape[0], column : column + hit.shape[1]] |= hit
    return image


def pixels_covered(planned: Plan, source: Source) -> dict[int, int]:
    """How many pixels of all images together each segment covers, by Segment Number."""
    frames = _frames(planned, source)
    covered: dict[int, int] = {}
    for (frame, place), cuts in _cuts(planned, frames, source).items():
        count = int(_painted(cuts, frames[frame].raster).sum())
        covered[place + 1] = covered.get(place + 1, 0) + count
    return covered


def _image(frame: SourceFrame, source: Source) -> Dataset:
    """As much of a source image as highdicom asks for; names are filled in afterwards, unchecked and unchanged."""
    item = source.instance(frame.sop_instance_uid)
    image = Dataset()
    for keyword in identity.REQUIRED_EMPTY:
        setattr(image, keyword, None)
    image.PatientID, image.Modality = "", "CT"
    image.StudyInstanceUID, image.SeriesInstanceUID = item.header.study_instance_uid, item.header.series_instance_uid
    image.SOPInstanceUID, image.SOPClassUID = frame.sop_instance_uid, frame.sop_class_uid
    image.FrameOfReferenceUID = item.header.frame_of_reference_uid
    image.Rows = image.Columns = _STAND_IN
    if frame.frame_number is None:
        image.ImagePositionPatient = list(frame.raster.origin_lps_mm)
        image.ImageOrientationPatient = list(_orientation(frame))
        image.PixelSpacing = list(_pixel_spacing(frame))
        image.SliceThickness = _thickness_mm(item.header, source)
    else:
        image.NumberOfFrames = item.header.number_of_frames
        image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = _groups(frame, source)
    return image


def _groups(frame: SourceFrame, source: Source) -> tuple[DicomSequence, DicomSequence]:
    """Functional groups of a multi-frame image (PS3.3 C.7.6.16.2), as plainly as the geometry allows."""
    item = source.instance(frame.sop_instance_uid)
    shared = Dataset()
    shared.PlaneOrientationSequence = hd.PlaneOrientationSequence("PATIENT", _orientation(frame))
    shared.PixelMeasuresSequence = _measures([frame], source)
    frames = []
    for plane in item.header.planes:
        one = Dataset()
        one.PlanePositionSequence = hd.PlanePositionSequence("PATIENT", plane.image_position_patient_mm)
        frames.append(one)
    return DicomSequence([shared]), DicomSequence(frames)


def _thickness_mm(header: InstanceHeader, source: Source) -> float:
    """As the image states it, else as far as slices are apart."""
    if header.slice_thickness_mm is not None:
        return header.slice_thickness_mm
    return round(source.volume.spacing_mm[0], 6) if source.volume is not None else 1.0


def _orientation(frame: SourceFrame) -> tuple[float, ...]:
    raster = frame.raster
    axes = (raster.along_row_mm, raster.along_column_mm)
    return tuple(float(value) for axis in axes for value in axis / np.linalg.norm(axis))


def _pixel_spacing(frame: SourceFrame) -> tuple[float, float]:
    """Between rows, between columns."""
    raster = frame.raster
    return float(np.linalg.norm(raster.along_column_mm)), float(np.linalg.norm(raster.along_row_mm))


def _position(frame: SourceFrame) -> hd.PlanePositionSequence:
    return hd.PlanePositionSequence("PATIENT", [round(float(value), 6) for value in frame.raster.origin_lps_mm])


def _measures(frames: list[SourceFrame], source: Source) -> hd.PixelMeasuresSequence:
    """Spacing within and across the planes. Slices count as thick as they are far apart: so the segments tile."""
    spacing_mm = source.volume.spacing_mm[0] if source.volume is not None else 1.0
    if len(frames) > 1:
        apart = np.abs(np.diff([frame.raster.origin_lps_mm @ frames[0].raster.normal for frame in frames]))
        spacing_mm = float(np.median(apart))
    spacing_mm = round(float(spacing_mm), 6)
    return hd.PixelMeasuresSequence(_pixel_spacing(frames[0]), spacing_mm, spacing_mm)


def _description(
    segment: Segment, number: int, planned: Plan, template: Template, uids: Uids, provenance: Provenance
) -> hd.seg.SegmentDescription:
    kind = segment.name[0]
    finding = template.findings["body" if kind == "body" else "trabecular"]
    algorithm = hd.AlgorithmIdentificationSequence(
        name=template.document.algorithm,
        family=hd.sr.CodedConcept("113109", "DCM", "Edge Detection"),
        version=provenance.software_version,
    )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:64],
        segmented_property_category=items.concept(_CATEGORY),
        segmented_property_type=items.concept(finding),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=uids.uid(*segment.name),
        tracking_id=segment.label,
        anatomic_regions=[items.concept(segment.site)],
        display_color=hd.color.CIELabColor(*_lab(_COLOURS[kind])),
    )


def _lab(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    """sRGB to CIE L*a*b* under D65 (IEC 61966-2-1; CIE 15)."""
    linear = np.array(rgb, dtype=np.float64) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return float(116 * f[1] - 16), float(500 * (f[0] - f[1])), float(200 * (f[1] - f[2]))


def _finished(dataset: Dataset, source: Source, uids: Uids, created: datetime | None) -> Dataset:
    """Patient, study, dates and coding scheme as in every other output; no UID that is made up on the way."""
    header = source.representative
    moment = identity.moment(header, created)
    identity.identify(header, dataset)
    for name in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{name}Date", moment.date)
        setattr(dataset, f"{name}Time", moment.time)
    dataset.ContentCreatorName = None
    organization = uids.uid("dimensions", "segmentation")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    identity.copy_attributes(header, dataset, ["PositionReferenceIndicator", "BodyPartExamined"])
    dataset.ContributingEquipmentSequence = DicomSequence([identity.equipment(header)])
    return dataset
