"""The sagittal reformat as a series of derived CT images (PS3.3 A.3, C.8.2.1), in the patient's own frame."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from node.domain.job import Provenance
from node.domain.spine import RELIABLE_SLICE_MM, Reformat
from node.domain.volume import OUTSIDE_FIELD_HU
from node.errors import ReportInvalid
from node.report import identity
from node.report.source import Source
from node.report.template import Coded, SagittalSpec, Template
from node.report.uids import Uids

_ACQUISITION = (
    "AcquisitionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "KVP",
    "ConvolutionKernel",
    "XRayTubeCurrent",
    "Exposure",
    "ExposureTime",
    "PatientPosition",
    "PositionReferenceIndicator",
    "FrameOfReferenceUID",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ProtocolName",
)


def images(
    reformat: Reformat, source: Source, template: Template, uids: Uids, provenance: Provenance, created: datetime | None
) -> Iterator[Dataset]:
    """One image after the other; pixel values are Hounsfield units.

    Raises ``ReportInvalid`` when the stack is not made of right-angled planes.
    """
    geometry = _Geometry(reformat)
    common = _common(reformat, source, template, uids, provenance, created)
    for index in range(reformat.hu.shape[0]):
        image = Dataset()
        image.update(common)
        image.SOPInstanceUID = uids.uid("instance", reformat.name, index)
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = geometry.position(index)
        image.ImageOrientationPatient = geometry.orientation
        image.PixelSpacing = geometry.pixel_spacing
        if geometry.distance is not None:
            image.SpacingBetweenSlices = geometry.distance
        image.PixelData = np.ascontiguousarray(reformat.hu[index]).astype("<i2").tobytes()
        image["PixelData"].VR = "OW"
        image.file_meta = _file_meta(image)
        yield image


class _Geometry:
    """The affine of a stack in DICOM's words (PS3.3 C.7.6.2)."""

    def __init__(self, reformat: Reformat) -> None:
        self._affine: NDArray[np.float64] = reformat.affine_lps_mm
        step, down, right = self._affine[:3, :3].T
        row, column = _unit(right), _unit(down)
        if abs(float(row @ column)) > 1e-4:
            raise ReportInvalid(f"rows and columns of the {reformat.name} stack are not at right angles")
        self.orientation = [_ds(value) for value in (*row, *column)]
        self.pixel_spacing = [_ds(float(np.linalg.norm(down))), _ds(float(np.linalg.norm(right)))]
        self.distance = _ds(abs(float(step @ np.cross(row, column)))) if reformat.hu.shape[0] > 1 else None

    def position(self, index: int) -> list[str]:
        """Centre of the first pixel."""
        return [_ds(value) for value in self._affine[:3] @ [index, 0, 0, 1]]


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    if not length > 0:
        raise ReportInvalid("a reformat has an axis without length")
    return vector / length


def _ds(value: float) -> str:
    """Decimal string of at most 16 characters."""
    rounded = round(float(value), 9)
    return format_number_as_ds(0.0 if rounded == 0 else rounded)


def _common(
    reformat: Reformat, source: Source, template: Template, uids: Uids, provenance: Provenance, created: datetime | None
) -> Dataset:
    """What all images of the series share."""
    header, spec = source.representative, template.sagittal
    moment = identity.moment(header, created)
    image = Dataset()
    identity.identify(header, image)
    image.AcquisitionNumber = image.KVP = image.PatientPosition = image.PositionReferenceIndicator = None
    _acquisition(image, source)
    image.SOPClassUID = CTImageStorage
    image.Modality = "CT"
    image.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
    image.SeriesInstanceUID = uids.uid("series", reformat.name)
    image.SeriesNumber = spec.series_number
    image.SeriesDescription = spec.series_description
    image.SeriesDate = image.ContentDate = image.InstanceCreationDate = moment.date
    image.SeriesTime = image.ContentTime = image.InstanceCreationTime = moment.time
    image.Manufacturer = template.document.manufacturer
    image.ManufacturerModelName = template.document.model
    image.SoftwareVersions = provenance.software_version
    image.ContributingEquipmentSequence = [identity.equipment(header)]
    image.BodyPartExamined = "SPINE"
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = str(header.get("LossyImageCompression", "") or "00")
    if image.LossyImageCompression == "01":
        identity.copy_attributes(header, image, ["LossyImageCompressionRatio", "LossyImageCompressionMethod"])
    image.SliceThickness = _ds(reformat.thickness_mm)
    image.DerivationDescription = f"Sagittal reformat, {reformat.thickness_mm:g} mm"
    if reformat.slice_mm > RELIABLE_SLICE_MM + 0.01:
        image.ImageComments = unreliable(reformat.slice_mm)
    image.DerivationCodeSequence = [code_item(spec.derivation)]
    image.SourceImageSequence = Sequence(sources(source, spec.source_purpose))
    _pixels(image, reformat)
    windows(image, spec)
    return image


def _acquisition(image: Dataset, source: Source) -> None:
    """How the source was acquired; a multi-frame source says it in functional groups, already read."""
    identity.copy_attributes(source.representative, image, _ACQUISITION)
    known = source.representative_instance.header
    if not image.KVP and known.kvp is not None:
        image.KVP = _ds(known.kvp)
    for keyword, value in (
        ("ConvolutionKernel", known.convolution_kernel),
        ("ContrastBolusAgent", known.contrast_bolus_agent),
        ("PatientPosition", known.patient_position),
        ("FrameOfReferenceUID", known.frame_of_reference_uid),
    ):
        if value and not image.get(keyword):
            setattr(image, keyword, value)


def _pixels(image: Dataset, reformat: Reformat) -> None:
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = reformat.hu.shape[1:]
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "HU"
    image.add_new("PixelPaddingValue", "SS", OUTSIDE_FIELD_HU)


def windows(image: Dataset, spec: SagittalSpec) -> None:
    """Bone first, which viewers open with, then soft tissue."""
    image.WindowCenter = [str(spec.window_center_hu), str(spec.soft_window_center_hu)]
    image.WindowWidth = [str(spec.window_width_hu), str(spec.soft_window_width_hu)]
    image.WindowCenterWidthExplanation = ["Bone", "Soft tissue"]


def unreliable(slice_mm: float) -> str:
    """What a reader of reformats of thick slices must know."""
    return f"Made from slices of {slice_mm:.3g} mm: not reliable for fractures."


def code_item(code: Coded) -> Dataset:
    """A code as a sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def sources(source: Source, purpose: Coded) -> Iterator[Dataset]:
    """Every image of the volume, or every used frame of a multi-frame object (PS3.3 C.7.6.1.1.4)."""
    frames: dict[str, list[int]] = {}
    classes: dict[str, str] = {}
    for frame in source.frames:
        numbers = frames.setdefault(frame.sop_instance_uid, [])
        classes[frame.sop_instance_uid] = frame.sop_class_uid
        if frame.frame_number is not None:
            numbers.append(frame.frame_number)
    for instance, numbers in frames.items():
        item = Dataset()
        item.ReferencedSOPClassUID = classes[instance]
        item.ReferencedSOPInstanceUID = instance
        if numbers:
            item.ReferencedFrameNumber = numbers
        item.PurposeOfReferenceCodeSequence = [code_item(purpose)]
        yield item


def _file_meta(image: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return meta
