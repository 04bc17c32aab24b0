"""A synthetic case as DICOM files: the series as a scanner would send it, and what else a study brings.

Everything is decided by the case's spec: the same case gives the same UIDs and the same bytes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from node.synthetic.encode import save, uid
from node.synthetic.faults import INTERCEPT, Fault, Plane, damage, spoil
from node.synthetic.multiframe import code, combine
from node.synthetic.spec import TorsoSpec
from node.synthetic.truth import SyntheticCase

KERNEL_NAMES = {"smooth": "B20f", "standard": "B30f", "sharp": "B60f"}


@dataclass(frozen=True, slots=True)
class SeriesLook:
    """How one series presents itself."""

    number: int = 2
    description: str = "Abdomen 1.5 standard"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    body_part: str | None = "ABDOMEN"
    study: str | None = None
    """Identity of the study; cases with the same one share study and frame of reference. ``None``: the seed."""


def study_uid(spec: TorsoSpec, look: SeriesLook) -> str:
    """Study Instance UID."""
    return uid("study", look.study if look.study is not None else spec.seed)


def series_uid(spec: TorsoSpec, look: SeriesLook) -> str:
    """Series Instance UID."""
    return uid("series", look.study if look.study is not None else spec.seed, look.number)


def planes(case: SyntheticCase) -> list[Plane]:
    """The images in the order in which they were acquired, turned as this patient position is stored.

    Supine: rows toward the patient's left, columns toward the back. Prone: both reversed, so that the couch is below.
    """
    affine, hu = case.affine_lps_mm, case.hu
    rows, columns = affine[:3, 2], affine[:3, 1]
    pixel = np.linalg.norm(rows)
    origin = affine[:3, 3].copy()
    if case.spec.patient_position in ("HFP", "FFP"):
        origin = origin + rows * (hu.shape[2] - 1) + columns * (hu.shape[1] - 1)
        rows, columns, hu = -rows, -columns, hu[:, ::-1, ::-1]
    orientation = tuple(float(round(v, 9)) + 0.0 for v in (*(rows / pixel), *(columns / pixel)))
    order = range(len(hu)) if case.spec.patient_position.startswith("FF") else range(len(hu) - 1, -1, -1)
    out = []
    for number, k in enumerate(order, start=1):
        p = origin + affine[:3, 0] * k
        out.append(Plane(hu[k], (float(p[0]), float(p[1]), float(p[2])), orientation, number))
    return out


def common(spec: TorsoSpec, look: SeriesLook) -> Dataset:
    """Patient, study, series and equipment attributes (PS3.3 C.7.1 to C.7.5)."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = spec.study_date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101500"
    ds.AccessionNumber = f"A{spec.seed:07d}"
    ds.Modality = "CT"
    ds.Manufacturer = spec.manufacturer
    ds.ManufacturerModelName = spec.model_name
    ds.StationName = spec.station_name
    ds.DeviceSerialNumber = spec.device_serial_number
    ds.SoftwareVersions = "1.0"
    ds.InstitutionName = "Synthetic Hospital"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "CT of the trunk"
    ds.SeriesDescription = look.description
    ds.ProtocolName = "Trunk"
    ds.PatientName = spec.patient_name
    ds.PatientID = f"SYN{spec.seed:07d}"
    ds.PatientBirthDate = f"{int(spec.study_date[:4]) - spec.age_years}0101"
    ds.PatientSex = spec.sex
    ds.PatientAge = f"{spec.age_years:03d}Y"
    ds.PatientSize = f"{spec.height_cm / 100:.2f}"
    ds.PatientWeight = f"{spec.bmi * (spec.height_cm / 100) ** 2:.1f}"
    if look.body_part is not None:
        ds.BodyPartExamined = look.body_part
    ds.PatientPosition = spec.patient_position
    ds.StudyInstanceUID = study_uid(spec, look)
    ds.SeriesInstanceUID = series_uid(spec, look)
    ds.StudyID = "1"
    ds.SeriesNumber = look.number
    ds.FrameOfReferenceUID = uid("frame", look.study if look.study is not None else spec.seed)
    ds.PositionReferenceIndicator = ""
    return ds


def _acquisition(ds: Dataset, spec: TorsoSpec) -> None:
    """CT Image module (PS3.3 C.8.2.1)."""
    ds.KVP = f"{spec.kvp:g}"
    ds.SliceThickness = f"{spec.thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{spec.spacing_mm:g}"
    ds.ReconstructionDiameter = f"{spec.fov_mm:g}"
    ds.DataCollectionDiameter = "500"
    ds.GantryDetectorTilt = f"{spec.gantry_tilt_deg:g}"
    ds.TableHeight = "150"
    ds.RotationDirection = "CW"
    ds.ExposureTime = 500
    ds.XRayTubeCurrent = round(25 * spec.ctdi_mgy)
    ds.Exposure = round(12.5 * spec.ctdi_mgy)
    ds.FilterType = "BODY"
    ds.ConvolutionKernel = KERNEL_NAMES[spec.kernel]
    ds.CTDIvol = float(spec.ctdi_mgy)
    ds.CTDIPhantomTypeCodeSequence = code("113691", "DCM", "IEC Body Dosimetry Phantom")
    ds.AcquisitionNumber = 1
    if spec.contrast != "none":
        ds.ContrastBolusAgent = "Iodine contrast medium"
        ds.ContrastBolusRoute = "IV"


def _pixels(ds: Dataset, spec: TorsoSpec, shape: tuple[int, ...]) -> None:
    """Image Pixel module (PS3.3 C.7.6.3) and the rescale to HU."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 1
    if spec.padding_hu is not None:
        ds.add_new("PixelPaddingValue", "SS", spec.padding_hu - INTERCEPT)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(INTERCEPT), "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"


def template(case: SyntheticCase, look: SeriesLook) -> Dataset:
    """All attributes that the images of a series share."""
    spec = case.spec
    ds = common(spec, look)
    ds.SOPClassUID = CTImageStorage
    ds.ImageType = list(look.image_type)
    _acquisition(ds, spec)
    pixel = spec.fov_mm / spec.matrix
    ds.PixelSpacing = [f"{pixel:.8g}", f"{pixel:.8g}"]
    _pixels(ds, spec, case.hu.shape[1:])
    return ds


def image(base: Dataset, plane: Plane, spec: TorsoSpec, look: SeriesLook) -> Dataset:
    """One CT image."""
    ds = copy.copy(base)
    ds.SOPInstanceUID = uid("image", base.SeriesInstanceUID, plane.instance_number)
    ds.InstanceNumber = plane.instance_number
    ds.ImagePositionPatient = [f"{v:.6g}" if abs(v) >= 1e-6 else "0" for v in plane.position]
    ds.ImageOrientationPatient = [f"{v:.9g}" for v in plane.orientation]
    ds.SliceLocation = f"{plane.position[2]:.6g}"
    ds.add_new("PixelData", "OW", (plane.pixels.astype(np.int16) - np.int16(INTERCEPT)).astype("<i2").tobytes())
    return ds


def write(
    case: SyntheticCase,
    folder: Path,
    *,
    look: SeriesLook | None = None,
    syntax: str = "explicit",
    faults: tuple[Fault, ...] = (),
    multiframe: Literal["no", "enhanced", "legacy"] = "no",
) -> list[Path]:
    """Write the case's series into ``folder`` (made when absent); returns its files in order of acquisition.

    ``syntax`` is one of ``encode.SYNTAXES``; ``faults`` damage the series on purpose; ``multiframe`` writes one
    Enhanced CT or Legacy Converted Enhanced CT object instead of single images.
    """
    shown = look or SeriesLook(description=f"Trunk {case.spec.thickness_mm:g} {case.spec.kernel}")
    folder.mkdir(parents=True, exist_ok=True)
    base = template(case, shown)
    stack = spoil(planes(case), faults)
    if multiframe != "no":
        ds = combine(base, stack, case.spec, legacy=multiframe == "legacy")
        return [save(ds, folder / f"{shown.number:03d}_frames.dcm", syntax)]
    out = []
    for n, plane in enumerate(stack, start=1):
        ds = image(base, plane, case.spec, shown)
        damage(ds, plane, faults)
        out.append(save(ds, folder / f"{shown.number:03d}_{n:04d}.dcm", syntax))
    return out
