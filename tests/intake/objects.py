"""Small DICOM objects for tests of the doors: valid headers, tiny images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
PATIENT = "GEHEIM^Anna"
"""A name that must be found in no log."""

_ROOT = "2.25.1234567890"


def uid(*parts: int) -> str:
    return ".".join([_ROOT, *map(str, parts)])


def ct_slice(study: int, series: int, number: int, *, size: int = 16, **attributes: Any) -> Dataset:
    """One axial CT image; keywords replace or, with ``None``, remove attributes."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CT_IMAGE
    dataset.SOPInstanceUID = uid(study, series, number)
    dataset.StudyInstanceUID = uid(study)
    dataset.SeriesInstanceUID = uid(study, series)
    dataset.PatientName = PATIENT
    dataset.PatientID = "4711"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesDescription = "Abdomen 1.5 mm"
    dataset.SeriesNumber = series
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [0.0, 0.0, 1.5 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.8, 0.8]
    dataset.SliceThickness = 1.5
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 1, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.PixelData = bytes([number % 256, 0]) * (size * size)
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def write(dataset: Dataset, path: Path, transfer_syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    implicit = transfer_syntax == ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return path


def ct_series(folder: Path, study: int = 1, series: int = 1, count: int = 5, **attributes: Any) -> list[Path]:
    """Write a series of slices."""
    return [
        write(ct_slice(study, series, number, **attributes), folder / f"s{study}-{series}-{number}.dcm")
        for number in range(count)
    ]
