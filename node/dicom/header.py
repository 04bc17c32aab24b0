"""Header of one object → ``InstanceHeader``: what routing, completeness and quality control need, no patient data.

Classic images carry one plane (PS3.3 C.7.6.2). Enhanced CT and Legacy Converted Enhanced CT carry one per frame, in
shared and per-frame functional groups (PS3.3 C.7.6.16); their acquisition attributes stand in CT macros (C.8.15.3) or,
for legacy converted objects, in the unassigned attribute sequences (C.7.6.16.2.25 and .26).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.datadict import tag_for_keyword

from node.dicom.elements import SPECIFIC_CHARACTER_SET, Elements
from node.dicom.stream import ObjectUnreadable, opened
from node.domain.instance import InstanceHeader, Plane

__all__ = ["ObjectUnreadable", "read_header"]


def attribute(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


SHARED = attribute("SharedFunctionalGroupsSequence")
PER_FRAME = attribute("PerFrameFunctionalGroupsSequence")
PLANE_POSITION = attribute("PlanePositionSequence")
PLANE_ORIENTATION = attribute("PlaneOrientationSequence")
PIXEL_MEASURES = attribute("PixelMeasuresSequence")
IMAGE_POSITION = attribute("ImagePositionPatient")
IMAGE_ORIENTATION = attribute("ImageOrientationPatient")
PIXEL_SPACING = attribute("PixelSpacing")
SLICE_THICKNESS = attribute("SliceThickness")
NUMBER_OF_FRAMES = attribute("NumberOfFrames")

_TEXTS = {
    "modality": "Modality",
    "body_part_examined": "BodyPartExamined",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName",
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
    "station_name": "StationName",
    "device_serial_number": "DeviceSerialNumber",
    "software_versions": "SoftwareVersions",
    "study_date": "StudyDate",
    "patient_position": "PatientPosition",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "convolution_kernel": "ConvolutionKernel",
    "contrast_bolus_agent": "ContrastBolusAgent",
}
_INTEGERS = {
    "series_number": "SeriesNumber",
    "instance_number": "InstanceNumber",
    "acquisition_number": "AcquisitionNumber",
    "rows": "Rows",
    "columns": "Columns",
}
_NUMBERS = {
    "kvp": "KVP",
    "exposure_mas": "Exposure",
    "slice_thickness_mm": "SliceThickness",
    "reconstruction_diameter_mm": "ReconstructionDiameter",
    "gantry_detector_tilt_deg": "GantryDetectorTilt",
    "table_height_mm": "TableHeight",
}
_ELSEWHERE: dict[str, tuple[tuple[str, str], ...]] = {
    "body_part_examined": (("FrameAnatomySequence", "AnatomicRegionSequence/CodeMeaning"),),
    "kvp": (("CTXRayDetailsSequence", "KVP"),),
    "exposure_mas": (("CTExposureSequence", "ExposureInmAs"),),
    "convolution_kernel": (
        ("CTReconstructionSequence", "ConvolutionKernel"),
        ("CTReconstructionSequence", "ConvolutionKernelGroup"),
    ),
    "slice_thickness_mm": (("PixelMeasuresSequence", "SliceThickness"),),
    "reconstruction_diameter_mm": (("CTReconstructionSequence", "ReconstructionDiameter"),),
    "gantry_detector_tilt_deg": (("CTAcquisitionDetailsSequence", "GantryDetectorTilt"),),
    "table_height_mm": (("CTAcquisitionDetailsSequence", "TableHeight"),),
    "acquisition_number": (("FrameContentSequence", "FrameAcquisitionNumber"),),
}
"""Where multi-frame objects hold it: functional group macro, attribute (or sequence/attribute)."""
_UNASSIGNED = ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence")
_STUDY, _SERIES = attribute("StudyInstanceUID"), attribute("SeriesInstanceUID")
_SOP_INSTANCE, _SOP_CLASS = attribute("SOPInstanceUID"), attribute("SOPClassUID")
_META_SOP_INSTANCE, _META_SOP_CLASS = attribute("MediaStorageSOPInstanceUID"), attribute("MediaStorageSOPClassUID")
_IMAGE_TYPE = attribute("ImageType")
_CONTRAST_SEQUENCE = attribute("ContrastBolusAgentSequence")
_CENTER, _GEOMETRY = attribute("DataCollectionCenterPatient"), attribute("CTGeometrySequence")
_CONTRAST_BY = (attribute("ContrastBolusAgent"), attribute("CodeMeaning"))

_PATIENT = tuple(attribute(keyword) for keyword in ("PatientID", "IssuerOfPatientID", "PatientBirthDate"))

_FIELDS = {**_TEXTS, **_INTEGERS, **_NUMBERS}
_TAG = {field: attribute(keyword) for field, keyword in _FIELDS.items()}
_TAGS = [
    *_TAG.values(),
    SPECIFIC_CHARACTER_SET,
    _STUDY,
    _SERIES,
    _SOP_INSTANCE,
    _SOP_CLASS,
    _IMAGE_TYPE,
    NUMBER_OF_FRAMES,
    IMAGE_POSITION,
    IMAGE_ORIENTATION,
    PIXEL_SPACING,
    _CONTRAST_SEQUENCE,
    _CENTER,
    SHARED,
    PER_FRAME,
    *_PATIENT,
]


def read_header(
    source: Path | bytes | BinaryIO,
    *,
    transfer_syntax_uid: str | None = None,
    sop_class_uid: str | None = None,
    sop_instance_uid: str | None = None,
) -> InstanceHeader:
    """Read the header of a DICOM file, or of a bare dataset as it comes over an association.

    ``transfer_syntax_uid`` (needed for a bare dataset), ``sop_class_uid`` and ``sop_instance_uid`` are those of the
    association; the last two stand in where the dataset has none. Malformed attributes count as missing, and missing
    UIDs are empty strings: ``geometry.check`` refuses such a series. Raises ``ObjectUnreadable`` for what is no DICOM
    object, and ``OSError`` when a file cannot be opened.
    """
    with opened(source, transfer_syntax_uid) as encoded:
        elements, _ = encoded.elements(_TAGS)
        meta = encoded.meta
        groups = _groups(elements)
        fields: dict[str, Any] = {field: _one(elements, groups, field) for field in _FIELDS}
        fields["contrast_bolus_agent"] = fields["contrast_bolus_agent"] or _contrast(elements, groups)
        return InstanceHeader(
            study_instance_uid=elements.text(_STUDY) or "",
            series_instance_uid=elements.text(_SERIES) or "",
            sop_instance_uid=elements.text(_SOP_INSTANCE) or sop_instance_uid or meta.text(_META_SOP_INSTANCE) or "",
            sop_class_uid=elements.text(_SOP_CLASS) or sop_class_uid or meta.text(_META_SOP_CLASS) or "",
            transfer_syntax_uid=encoded.transfer_syntax_uid,
            image_type=elements.texts(_IMAGE_TYPE),
            number_of_frames=max(1, elements.integer(NUMBER_OF_FRAMES) or 1),
            data_collection_center_patient_mm=_center(elements, groups),
            planes=_planes(elements),
            patient_key=_patient_key(elements),
            **fields,
        )


def _patient_key(elements: Elements) -> str | None:
    """A digest; ``None`` without Patient ID, which alone is not unique, so that nobody is taken for somebody else."""
    patient, issuer, born = (elements.text(tag) or "" for tag in _PATIENT)
    if not patient.strip() or not born.strip():
        return None
    return hashlib.sha256("\0".join(one.strip() for one in (patient, issuer, born)).encode()).hexdigest()[:32]


def _groups(elements: Elements) -> list[Elements]:
    """Items that may hold an attribute of a multi-frame object: the shared one, then that of the first frame."""
    return [item for tag in (SHARED, PER_FRAME) if (item := elements.first(tag)) is not None]


def _one(elements: Elements, groups: list[Elements], field: str) -> object:
    for place, tag in _places(elements, groups, field):
        value = place.text(tag) if field in _TEXTS else _numeric(place, tag, field)
        if value is not None:
            return value
    return None


def _numeric(place: Elements, tag: int, field: str) -> float | None:
    return place.integer(tag) if field in _INTEGERS else place.number(tag)


def _places(elements: Elements, groups: list[Elements], field: str) -> Iterator[tuple[Elements, int]]:
    yield elements, _TAG[field]
    for group in groups:
        for macro, path in _ELSEWHERE.get(field, ()):
            *sequences, keyword = path.split("/")
            place = group.first(attribute(macro), *(attribute(sequence) for sequence in sequences))
            if place is not None:
                yield place, attribute(keyword)
        for name in _UNASSIGNED:
            place = group.first(attribute(name))
            if place is not None:
                yield place, _TAG[field]


def _contrast(elements: Elements, groups: list[Elements]) -> str | None:
    """Agent named only in a sequence (enhanced objects, and some classic ones)."""
    for place in (elements, *groups):
        for item in place.items(_CONTRAST_SEQUENCE):
            return next((text for tag in _CONTRAST_BY if (text := item.text(tag))), "unnamed agent")
    return None


def _center(elements: Elements, groups: list[Elements]) -> tuple[float, float, float] | None:
    """Centre of rotation: in classic images beside the rest, in enhanced ones in the CT Geometry macro (C.8.15.3.6)."""
    macros = (group.first(_GEOMETRY) for group in groups)
    for place in (elements, *macros):
        center = place.numbers(_CENTER) if place is not None else ()
        if len(center) == 3:
            return center[0], center[1], center[2]
    return None


def _planes(elements: Elements) -> tuple[Plane, ...]:
    frames = list(elements.items(PER_FRAME))
    if not frames:
        plane = _plane(elements, elements, elements)
        return (plane,) if plane else ()
    shared = elements.first(SHARED)
    planes = []
    for frame in frames:
        macros = [
            frame.first(macro) or (shared.first(macro) if shared else None)
            for macro in (PLANE_POSITION, PLANE_ORIENTATION, PIXEL_MEASURES)
        ]
        plane = _plane(*macros)
        if plane is None:
            return ()
        planes.append(plane)
    return tuple(planes)


def _plane(position: Elements | None, orientation: Elements | None, measures: Elements | None) -> Plane | None:
    if position is None or orientation is None or measures is None:
        return None
    origin = position.numbers(IMAGE_POSITION)
    cosines = orientation.numbers(IMAGE_ORIENTATION)
    spacing = measures.numbers(PIXEL_SPACING)
    if (len(origin), len(cosines), len(spacing)) != (3, 6, 2):
        return None
    return Plane(
        (origin[0], origin[1], origin[2]),
        (cosines[0], cosines[1], cosines[2], cosines[3], cosines[4], cosines[5]),
        (spacing[0], spacing[1]),
    )
