"""Pictures as Secondary Capture objects (PS3.3 A.8.1, C.8.6): they have no place in the patient, and say so.

The curved images hold attenuation and windows; the labelled images and the summary page are colour pictures with text
burned in. The page can also be a PDF (PS3.3 A.45.1).
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pydicom.valuerep import format_number_as_ds

from node.domain.spine import RELIABLE_SLICE_MM, CurvedReformat
from node.report import identity
from node.report.bone_density import Report
from node.report.sagittal import code_item, sources, unreliable, windows

PAGE_DPI = 150
_SHIFT_HU = 1024


def curved(reformat: CurvedReformat, report: Report, created: datetime | None) -> Iterator[Dataset]:
    """The images of one curved reformat: attenuation in HU, rows along the curve, no position in the patient."""
    across = "P" if reformat.name == "curved-sagittal" else "L"
    made_of = list(sources(report.source, report.template.sagittal.source_purpose))
    for index in range(reformat.hu.shape[0]):
        image = _capture(report, reformat.name, index, created)
        image.BurnedInAnnotation = "NO"
        image.PatientOrientation = [across, "F"]
        image.DerivationDescription = _derivation(reformat)
        image.DerivationCodeSequence = [code_item(report.template.sagittal.derivation)]
        image.SourceImageSequence = made_of
        size = _ds(reformat.pixel_mm)
        image.PixelSpacing = [size, size]
        image.PixelSpacingCalibrationType = "GEOMETRY"
        image.PixelSpacingCalibrationDescription = "Along the curve and at right angles to it"
        if reformat.slice_mm > RELIABLE_SLICE_MM + 0.01:
            image.ImageComments = unreliable(reformat.slice_mm)
        _grey(image, reformat.hu[index])
        windows(image, report.template.sagittal)
        yield image


def _derivation(reformat: CurvedReformat) -> str:
    direction = "sagittal" if reformat.name == "curved-sagittal" else "coronal"
    return f"Curved {direction} reformat along the vertebral bodies, {reformat.thickness_mm:g} mm"


def colour(
    pictures: Sequence[NDArray[np.uint8]], name: str, report: Report, created: datetime | None
) -> Iterator[Dataset]:
    """Pictures (rows, columns, 3) as one series."""
    for index, picture in enumerate(pictures):
        image = _capture(report, name, index, created)
        image.BurnedInAnnotation = "YES"
        image.PatientOrientation = None
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.Rows, image.Columns = picture.shape[:2]
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
        _pixels(image, np.ascontiguousarray(picture).tobytes(), "OB")
        yield image


def pdf(picture: NDArray[np.uint8], report: Report, created: datetime | None) -> Dataset:
    """The summary page as an encapsulated PDF."""
    document = _common(report, "summary-pdf", 0, created)
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    document.Modality = "DOC"
    document.ConversionType = "WSD"
    document.BurnedInAnnotation = "YES"
    document.DocumentTitle = report.template.pictures["summary"].series_description
    document.ConceptNameCodeSequence = None
    document.AcquisitionDateTime = f"{document.ContentDate}{document.ContentTime}"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    moment = identity.moment(report.source.representative, created)
    content = _pdf_bytes(picture, moment, document.DocumentTitle)
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    document["EncapsulatedDocument"].VR = "OB"
    return document


def _pdf_bytes(picture: NDArray[np.uint8], moment: identity.Moment, title: str) -> bytes:
    """One page, dated as the object is, so that the same page gives the same bytes."""
    stamp = time.strptime(moment.date + moment.time[:6].ljust(6, "0"), "%Y%m%d%H%M%S")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(
        buffer,
        format="PDF",
        resolution=PAGE_DPI,
        quality=95,
        subsampling=0,
        title=title,
        creationDate=stamp,
        modDate=stamp,
    )
    return buffer.getvalue()


def _capture(report: Report, name: str, index: int, created: datetime | None) -> Dataset:
    image = _common(report, name, index, created)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    image.Modality = "OT"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.ConversionType = "WSD"
    image.LossyImageCompression = "00"
    return image


def _common(report: Report, name: str, index: int, created: datetime | None) -> Dataset:
    """What all pictures share: patient, study, equipment, numbers."""
    header, spec = report.source.representative, report.template.pictures[name]
    moment = identity.moment(header, created)
    thing = Dataset()
    identity.identify(header, thing)
    thing.SOPInstanceUID = report.uids.uid("instance", name, index)
    thing.SeriesInstanceUID = report.uids.uid("series", name)
    thing.SeriesNumber, thing.InstanceNumber = spec.series_number, index + 1
    thing.SeriesDescription = spec.series_description
    thing.SeriesDate = thing.ContentDate = thing.InstanceCreationDate = moment.date
    thing.SeriesTime = thing.ContentTime = thing.InstanceCreationTime = moment.time
    thing.Manufacturer = report.template.document.manufacturer
    thing.ManufacturerModelName = report.template.document.model
    thing.SoftwareVersions = report.provenance.software_version
    thing.ContributingEquipmentSequence = [identity.equipment(header)]
    if name != "summary-pdf":
        thing.BodyPartExamined = "SPINE"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = thing.SOPInstanceUID
    thing.file_meta = meta
    return thing


def _grey(image: Dataset, hu: NDArray[np.int16]) -> None:
    """Attenuation, stored from 0 up: some viewers take secondary captures as unsigned."""
    stored = np.clip(hu.astype(np.int32) + _SHIFT_HU, 0, 4095).astype("<u2")
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = str(-_SHIFT_HU), "1", "HU"
    _pixels(image, stored.tobytes(), "OW")


def _pixels(image: Dataset, content: bytes, representation: str) -> None:
    image.PixelData = content + b"\0" * (len(content) % 2)
    image["PixelData"].VR = representation


def _ds(value: float) -> str:
    return format_number_as_ds(round(float(value), 6))
