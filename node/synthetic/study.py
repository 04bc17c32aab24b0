"""A whole study in a folder: the series to be measured, and what a scanner sends along with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage, XRayRadiationDoseSRStorage

from node.synthetic import dicom
from node.synthetic.dicom import SeriesLook
from node.synthetic.encode import save, uid
from node.synthetic.faults import Plane
from node.synthetic.multiframe import code, item, sequence
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase

Companion = Literal["localizer", "thick", "sharp", "dose-report", "dose-screen"]


def write_study(
    case: SyntheticCase, folder: Path, companions: Sequence[Companion] = ("localizer", "dose-report")
) -> dict[str, list[Path]]:
    """Write the case's series as ``main`` and each companion beside it; returns the files by name.

    ``thick`` and ``sharp`` are further reconstructions of the same patient and take as long to make as the case.
    """
    spec = case.spec
    body = "ABDOMEN" if spec.bottom[0][0] in "LS" else "CHEST"
    name = f"Trunk {spec.thickness_mm:g} {spec.kernel}"
    out = {"main": dicom.write(case, folder, look=SeriesLook(2, name, body_part=body))}
    for companion in companions:
        if companion == "localizer":
            out[companion] = localizer(case, folder)
        elif companion == "thick":
            other = make(replace(spec, thickness_mm=5.0, spacing_mm=5.0))
            out[companion] = dicom.write(other, folder, look=SeriesLook(3, "Trunk 5 standard", body_part=body))
        elif companion == "sharp":
            other = make(replace(spec, kernel="sharp"))
            look = SeriesLook(4, f"Lung {spec.thickness_mm:g} sharp", body_part=body)
            out[companion] = dicom.write(other, folder, look=look)
        elif companion == "dose-report":
            out[companion] = [dose_report(case, folder)]
        else:
            out[companion] = [dose_screen(case, folder)]
    return out


def localizer(case: SyntheticCase, folder: Path) -> list[Path]:
    """Two scouts: from the front and from the side."""
    spec, look = case.spec, SeriesLook(1, "Scout", ("ORIGINAL", "PRIMARY", "LOCALIZER"))
    hu = np.clip(case.hu.astype(np.float32) + 1000.0, 0.0, None)[::-1]
    spacing, pixel = float(case.affine_lps_mm[2, 0]), spec.fov_mm / spec.matrix
    first = case.affine_lps_mm[:3, 3]
    top = float(first[2]) + spacing * (len(hu) - 1)
    middle = first + (spec.matrix - 1) / 2.0 * pixel * np.array([1.0, 1.0, 0.0])
    views = (
        (hu.mean(axis=1), (float(first[0]), float(middle[1]), top), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)),
        (hu.mean(axis=2), (float(middle[0]), float(first[1]), top), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),
    )
    out = []
    for number, (view, position, orientation) in enumerate(views, start=1):
        ds = dicom.template(case, look)
        ds.Rows, ds.Columns = view.shape
        ds.PixelSpacing = [f"{spacing:.8g}", f"{pixel:.8g}"]
        ds.SOPClassUID = CTImageStorage
        pixels = np.clip(view - 300.0, -1024, 3071).astype(np.int16)
        plane = Plane(pixels, position, orientation, number)
        ds.RescaleType = "US"
        del ds.SpacingBetweenSlices
        out.append(save(dicom.image(ds, plane, spec, look), folder / f"001_{number:04d}.dcm"))
    return out


def _without_geometry(ds: Dataset) -> None:
    names = (
        "FrameOfReferenceUID",
        "PositionReferenceIndicator",
        "PatientPosition",
        "AcquisitionDate",
        "AcquisitionTime",
    )
    for name in names:
        delattr(ds, name)


def dose_screen(case: SyntheticCase, folder: Path) -> Path:
    """A picture of the dose page as a Secondary Capture image."""
    ds = dicom.common(case.spec, SeriesLook(998, "Dose page", body_part=None))
    _without_geometry(ds)
    ds.Laterality = ds.PatientOrientation = ""
    ds.SOPClassUID, ds.ConversionType = SecondaryCaptureImageStorage, "WSD"
    ds.SOPInstanceUID = uid("screen", ds.SeriesInstanceUID)
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.InstanceNumber, ds.BurnedInAnnotation = 1, "YES"
    picture = Image.new("L", (512, 256))
    ImageDraw.Draw(picture).text((20, 20), f"CTDIvol {case.spec.ctdi_mgy:.2f} mGy\nkV {case.spec.kvp:g}", fill=255)
    ds.Rows, ds.Columns = 256, 512
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.add_new("PixelData", "OB", picture.tobytes())
    return save(ds, folder / "998_0001.dcm")


def dose_report(case: SyntheticCase, folder: Path) -> Path:
    """A small X-Ray Radiation Dose SR (TID 10011)."""
    spec = case.spec
    ds = dicom.common(spec, SeriesLook(999, "Dose report", body_part=None))
    _without_geometry(ds)
    ds.Modality = "SR"
    ds.SOPClassUID = XRayRadiationDoseSRStorage
    ds.SOPInstanceUID = uid("dose", ds.SeriesInstanceUID)
    ds.InstanceNumber = 1
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ReferencedPerformedProcedureStepSequence = DicomSequence()
    ds.PerformedProcedureCodeSequence = DicomSequence()
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = code("113701", "DCM", "X-Ray Radiation Dose Report")
    ds.ContentTemplateSequence = sequence(MappingResource="DCMR", TemplateIdentifier="10011")
    low, high = float(case.affine_lps_mm[2, 3]), float(case.affine_lps_mm[2, 3] + spec.spacing_mm * len(case.hu))
    dlp = spec.ctdi_mgy * (high - low) / 10.0
    total = _container(
        ("113811", "DCM", "CT Accumulated Dose Data"),
        _number(("113812", "DCM", "Total Number of Irradiation Events"), 1, ("{events}", "events")),
        _number(("113813", "DCM", "CT Dose Length Product Total"), dlp, ("mGy.cm", "mGy.cm")),
    )
    event = _container(
        ("113819", "DCM", "CT Acquisition"),
        _number(("113830", "DCM", "Mean CTDIvol"), spec.ctdi_mgy, ("mGy", "mGy")),
        _number(("113838", "DCM", "DLP"), dlp, ("mGy.cm", "mGy.cm")),
    )
    ds.ContentSequence = DicomSequence(
        [
            _coded(("121058", "DCM", "Procedure reported"), ("77477000", "SCT", "Computed Tomography X-Ray")),
            total,
            event,
        ]
    )
    return save(ds, folder / "999_0001.dcm")


def _container(name: tuple[str, str, str], *content: Dataset) -> Dataset:
    return item(
        RelationshipType="CONTAINS",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=code(*name),
        ContinuityOfContent="SEPARATE",
        ContentSequence=DicomSequence(list(content)),
    )


def _number(name: tuple[str, str, str], value: float, unit: tuple[str, str]) -> Dataset:
    measured = sequence(NumericValue=f"{value:.6g}", MeasurementUnitsCodeSequence=code(unit[0], "UCUM", unit[1]))
    return item(
        RelationshipType="CONTAINS",
        ValueType="NUM",
        ConceptNameCodeSequence=code(*name),
        MeasuredValueSequence=measured,
    )


def _coded(name: tuple[str, str, str], value: tuple[str, str, str]) -> Dataset:
    return item(
        RelationshipType="HAS CONCEPT MOD",
        ValueType="CODE",
        ConceptNameCodeSequence=code(*name),
        ConceptCodeSequence=code(*value),
    )
