"""Small CT series for tests: any geometry, syntax and encoding, written with pydicom alone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from node.dicom.header import read_header
from node.domain.instance import Series, StoredInstance

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CT = "1.2.840.10008.5.1.4.1.1.2.2"
ROOT = "1.2.826.0.1.3680043.10.1441.9"


@dataclass(frozen=True)
class Scan:
    """What to write. ``hu`` is (slices, rows, columns) as stored, first slice at ``origin``."""

    hu: NDArray[np.int16]
    origin: tuple[float, float, float] = (-20.0, -30.0, -100.0)
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
    step: tuple[float, float, float] = (0.0, 0.0, 2.0)
    spacing: tuple[float, float] = (1.0, 1.25)
    signed: bool = False
    bits_stored: int = 16
    slope: float = 1.0
    intercept: float = -1024.0
    series: int = 2
    study: int = 1
    sop_class: str = CT_IMAGE
    attributes: dict[str, Any] = field(default_factory=dict)

    def position(self, k: int) -> list[float]:
        return [round(o + k * s, 6) for o, s in zip(self.origin, self.step, strict=True)]


def pattern(slices: int = 12, rows: int = 8, columns: int = 10) -> NDArray[np.int16]:
    """HU in which every voxel is different: -1000 + 100 k + 10 j + i."""
    k, j, i = np.indices((slices, rows, columns))
    return (-1000 + 100 * k + 10 * j + i).astype(np.int16)


def common(scan: Scan) -> Dataset:
    """Attributes of every image of the series."""
    ds = Dataset()
    ds.SOPClassUID = scan.sop_class
    ds.StudyInstanceUID = f"{ROOT}.{scan.study}"
    ds.SeriesInstanceUID = f"{ROOT}.{scan.study}.{scan.series}"
    ds.FrameOfReferenceUID = f"{ROOT}.{scan.study}.99"
    ds.PatientName, ds.PatientID = "Marked^Patient", "SECRET-1"
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesDescription, ds.StudyDescription, ds.SeriesNumber = "Abdomen", "CT Abdomen", scan.series
    ds.Manufacturer, ds.ManufacturerModelName, ds.StationName = "SIEMENS", "SOMATOM", "CT01"
    ds.BodyPartExamined, ds.PatientPosition, ds.ConvolutionKernel = "ABDOMEN", "HFS", "B30f"
    ds.KVP, ds.Exposure, ds.SliceThickness = 120, 110, 2
    ds.Rows, ds.Columns = scan.hu.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, scan.bits_stored, scan.bits_stored - 1
    ds.PixelRepresentation = int(scan.signed)
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = scan.slope, scan.intercept, "HU"
    return ds


def stored(scan: Scan, hu: NDArray[Any], dtype: str = "<") -> bytes:
    """Encode HU as stored values."""
    values = np.rint((hu.astype(np.float64) - scan.intercept) / scan.slope)
    return values.astype(f"{dtype}{'i' if scan.signed else 'u'}2").tobytes()


def images(scan: Scan) -> list[Dataset]:
    """One dataset for each slice; attributes may be changed before they are written."""
    found = []
    for k in range(len(scan.hu)):
        ds = common(scan)
        ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.{k + 1}"
        ds.InstanceNumber, ds.AcquisitionNumber = k + 1, 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = scan.position(k), list(scan.orientation)
        ds.PixelSpacing = list(scan.spacing)
        ds.PixelData = stored(scan, scan.hu[k])
        for name, value in scan.attributes.items():
            setattr(ds, name, value)
        found.append(ds)
    return found


def enhanced(scan: Scan, frames: Sequence[int] | None = None) -> Dataset:
    """One multi-frame object; frames in the given order of slices (default: foot to head)."""
    order = list(frames) if frames is not None else list(range(len(scan.hu)))
    ds = common(replace(scan, sop_class=ENHANCED_CT if scan.sop_class == CT_IMAGE else scan.sop_class))
    ds.SOPInstanceUID, ds.InstanceNumber = f"{ds.SeriesInstanceUID}.1", 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.NumberOfFrames = len(order)
    shared = Dataset()
    measures, orientation, value, recon, xray = (Dataset() for _ in range(5))
    measures.PixelSpacing, measures.SliceThickness = list(scan.spacing), ds.SliceThickness
    orientation.ImageOrientationPatient = list(scan.orientation)
    value.RescaleSlope, value.RescaleIntercept, value.RescaleType = scan.slope, scan.intercept, "HU"
    recon.ConvolutionKernel, recon.ReconstructionDiameter = ds.ConvolutionKernel, 400
    xray.KVP = ds.KVP
    if ds.SOPClassUID == LEGACY_CT:
        unassigned = Dataset()
        unassigned.KVP, unassigned.ConvolutionKernel = ds.KVP, ds.ConvolutionKernel
        shared.UnassignedSharedConvertedAttributesSequence = [unassigned]
    else:
        shared.CTReconstructionSequence, shared.CTXRayDetailsSequence = [recon], [xray]
    for name in ("KVP", "ConvolutionKernel", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(ds, name)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [value]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k in order:
        group, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = scan.position(k)
        content.FrameAcquisitionNumber = 1
        group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.PixelData = b"".join(stored(scan, scan.hu[k]) for k in order)
    for name, attribute in scan.attributes.items():
        setattr(ds, name, attribute)
    return ds


def save(ds: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write a Part 10 file in an uncompressed syntax."""
    ds = copy(ds)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian and "PixelData" in ds:
        ds.PixelData = np.frombuffer(ds.PixelData, dtype="<u2").astype(">u2").tobytes()
    dcmwrite(path, ds, enforce_file_format=True)
    return path


def recode(path: Path, syntax: str) -> Path:
    """Rewrite a file in another transfer syntax with GDCM."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change(), syntax
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


def write(folder: Path, datasets: Sequence[Dataset], syntax: UID = ExplicitVRLittleEndian) -> Series:
    """Write datasets, in an order that is not that of their positions, and return the series of what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [save(ds, folder / f"{index:03d}.dcm", syntax) for index, ds in enumerate(datasets)]
    return series_of(paths[1::2] + paths[::2])


def series_of(paths: Sequence[Path]) -> Series:
    """The series that files make; digests are the file names."""
    instances = tuple(StoredInstance(path, read_header(path), path.name) for path in paths)
    header = instances[0].header
    return Series(header.study_instance_uid, header.series_instance_uid, instances)
