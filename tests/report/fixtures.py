"""A small CT series as files, the volume it makes, and findings in it, made by hand: 64 x 64 x 40 voxels, T12 to L3."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from node.domain.findings import BoneDensity, Caution, Findings, Refusal
from node.domain.instance import InstanceHeader, Plane, Series, StoredInstance
from node.domain.job import MeasureJob, Provenance
from node.domain.phantom import Calibration, Material, PhantomFit, PhantomModel, RodModel, RodReading
from node.domain.settings import MeasurementSettings
from node.domain.settings import ReportSettings as ReportSettings
from node.domain.spine import (
    Anchor,
    CurvedReformat,
    Deformity,
    Frame,
    Heights,
    LevelAssignment,
    Reformat,
    Vertebra,
    Voi,
)
from node.domain.volume import Mask, SourceImage, Volume
from node.resources import shipped

Written = tuple[tuple[StoredInstance, ...], Volume]
"""A series as files, and the volume it makes."""

SLICES, SIZE = 40, 64
SPACING_MM = (3.0, 3.0, 3.0)
ORIGIN_LPS_MM = np.array([-95.0, -120.0, -400.0])
BODY_CENTRE_KJI = {"T12": (33, 34, 33), "L1": (23, 34, 33), "L2": (13, 35, 32), "L3": (3, 35, 32)}


def uid(name: str) -> str:
    """A UID that does not change from run to run."""
    return str(generate_uid(entropy_srcs=[name]))


STUDY, SERIES, FRAME_OF_REFERENCE = uid("study"), uid("series"), uid("frame of reference")


@dataclass(frozen=True)
class Patient:
    """What is written into the source, and in which character set."""

    charset: str | list[str] | None = "ISO_IR 100"
    name: str = "Müller^Grete"
    description: str = "CT Thorax/Abdomen für Prüfung"
    drop: tuple[str, ...] = ()
    raw: tuple[tuple[str, bytes], ...] = ()
    """Values as they stand in the file: some character sets are read by pydicom, but not written rightly."""


def volume(sources: tuple[SourceImage, ...]) -> Volume:
    """Soft tissue with four bodies of bone; slices at 3 mm."""
    hu = np.full((SLICES, SIZE, SIZE), -1000, dtype=np.int16)
    j, i = np.mgrid[:SIZE, :SIZE]
    hu[:, ((j - 32) / 22) ** 2 + ((i - 32) / 29) ** 2 < 1] = 40
    for level in BODY_CENTRE_KJI:
        body = _body(level)
        hu[body] = 180 + 5 * int(level[1:])
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, SPACING_MM[2]], [0, SPACING_MM[1], 0], [SPACING_MM[0], 0, 0]])
    affine[:3, 3] = ORIGIN_LPS_MM
    return Volume(hu=hu, affine_lps_mm=affine, frame_of_reference_uid=FRAME_OF_REFERENCE, sources=sources)


def _ellipsoid(level: str, half_kji: tuple[float, float, float]) -> NDArray[np.bool_]:
    grid = np.mgrid[:SLICES, :SIZE, :SIZE].astype(float)
    k, j, i = ((grid[a] - BODY_CENTRE_KJI[level][a]) / half_kji[a] for a in range(3))
    return (np.abs(k) <= 1) & (j**2 + i**2 <= 1)


def _body(level: str) -> NDArray[np.bool_]:
    return _ellipsoid(level, (3.2, 5.5, 7.3))


class Orientation:
    """How the file lays the axes that the volume lays toward head, back and left."""

    def __init__(self, reverse: bool = False, prone: bool = False) -> None:
        self.reverse, self.prone = reverse, prone

    def plane(self, k: int) -> Plane:
        """Geometry of slice k of the volume in the file."""
        corner = ORIGIN_LPS_MM + np.array([0, 0, k * SPACING_MM[0]])
        if self.prone:
            corner = corner + np.array([(SIZE - 1) * SPACING_MM[2], (SIZE - 1) * SPACING_MM[1], 0])
            orientation = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        elif self.reverse:  # feet first, supine: columns run to the right
            corner = corner + np.array([(SIZE - 1) * SPACING_MM[2], 0, 0])
            orientation = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        else:
            orientation = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        x, y, z = (float(value) for value in corner)
        return Plane((x, y, z), orientation, (SPACING_MM[1], SPACING_MM[2]))

    def pixels(self, hu: NDArray[np.int16]) -> NDArray[np.int16]:
        """Slice of the volume as the file holds it."""
        if self.prone:
            return hu[::-1, ::-1]
        return hu[:, ::-1] if self.reverse else hu

    @property
    def patient_position(self) -> str:
        """Matching attribute."""
        return "HFP" if self.prone else "FFS" if self.reverse else "HFS"


def _identified(patient: Patient) -> Dataset:
    ds = Dataset()
    if patient.charset is not None:
        ds.SpecificCharacterSet = patient.charset
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = patient.name, "TEST-1", "19500102", "F"
    ds.PatientAge = "074Y"
    ds.StudyInstanceUID, ds.StudyID, ds.StudyDate, ds.StudyTime = STUDY, "7", "20240305", "091500"
    ds.StudyDescription, ds.AccessionNumber, ds.ReferringPhysicianName = patient.description, "A77", patient.name
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.Modality = SERIES, 2, "CT"
    ds.SeriesDescription = "1.5 mm"
    ds.AcquisitionDate, ds.AcquisitionTime, ds.AcquisitionNumber = "20240305", "091730.25", 1
    ds.ContentDate, ds.ContentTime = "20240305", "091800"
    ds.Manufacturer, ds.ManufacturerModelName, ds.StationName = "Maker", "Scanner 9", "CT1"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.KVP, ds.ConvolutionKernel = "120", "STANDARD"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = SIZE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword in patient.drop:
        del ds[keyword]
    for keyword, value in patient.raw:
        value += b" " * (len(value) % 2)
        ds[keyword] = RawDataElement(Tag(keyword), dictionary_VR(keyword), len(value), value, 0, False, True)
    return ds


def _save(ds: Dataset, path: Path) -> None:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)


def _stored(ds: Dataset, path: Path, planes: tuple[Plane, ...]) -> StoredInstance:
    header = InstanceHeader(
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        sop_instance_uid=str(ds.SOPInstanceUID),
        sop_class_uid=str(ds.SOPClassUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        modality="CT",
        manufacturer="Maker",
        manufacturer_model_name="Scanner 9",
        series_number=2,
        frame_of_reference_uid=FRAME_OF_REFERENCE,
        rows=SIZE,
        columns=SIZE,
        number_of_frames=len(planes),
        kvp=120.0,
        convolution_kernel="STANDARD",
        slice_thickness_mm=3.0,
        planes=planes,
    )
    return StoredInstance(path, header, hashlib.sha256(path.read_bytes()).hexdigest())


def single_frames(
    folder: Path, orientation: Orientation | None = None, patient: Patient | None = None
) -> tuple[tuple[StoredInstance, ...], Volume]:
    """One file per slice; instance numbers run against the stack where ``reverse``."""
    orientation, patient = orientation or Orientation(), patient or Patient()
    sources = tuple(SourceImage(str(CTImageStorage), uid(f"slice {k}")) for k in range(SLICES))
    made = volume(sources)
    folder.mkdir(parents=True, exist_ok=True)
    stored = []
    for k, source in enumerate(sources):
        ds = _identified(patient)
        plane = orientation.plane(k)
        ds.SOPClassUID, ds.SOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
        ds.InstanceNumber = SLICES - k if orientation.reverse else k + 1
        ds.ImagePositionPatient = list(plane.image_position_patient_mm)
        ds.ImageOrientationPatient = list(plane.image_orientation_patient)
        ds.PixelSpacing, ds.SliceThickness = list(plane.pixel_spacing_mm), "3"
        ds.PatientPosition = orientation.patient_position
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
        ds.PixelData = np.ascontiguousarray(orientation.pixels(made.hu[k])).tobytes()
        path = folder / f"{k:03d}.dcm"
        _save(ds, path)
        stored.append(_stored(ds, path, (plane,)))
    return tuple(stored), made


def multi_frame(folder: Path) -> tuple[tuple[StoredInstance, ...], Volume]:
    """One Enhanced CT object, its frames from head to foot."""
    instance = uid("enhanced")
    order = list(range(SLICES))[::-1]
    frame_of = {k: number for number, k in enumerate(order, start=1)}
    sources = tuple(SourceImage(str(EnhancedCTImageStorage), instance, frame_of[k]) for k in range(SLICES))
    made = volume(sources)
    ds = _identified(Patient())
    ds.SOPClassUID, ds.SOPInstanceUID, ds.InstanceNumber = str(EnhancedCTImageStorage), instance, 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.NumberOfFrames = SLICES
    planes = tuple(Orientation().plane(k) for k in order)
    del ds.KVP, ds.ConvolutionKernel
    ds.PerFrameFunctionalGroupsSequence = Sequence([_functional_group(plane) for plane in planes])
    ds.PixelData = np.ascontiguousarray(made.hu[::-1]).tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "enhanced.dcm"
    _save(ds, path)
    return (_stored(ds, path, planes),), made


def _functional_group(plane: Plane) -> Dataset:
    group, position, orientation, measures = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = list(plane.image_position_patient_mm)
    orientation.ImageOrientationPatient = list(plane.image_orientation_patient)
    measures.PixelSpacing, measures.SliceThickness = list(plane.pixel_spacing_mm), "3"
    group.PlanePositionSequence = [position]
    group.PlaneOrientationSequence = [orientation]
    group.PixelMeasuresSequence = [measures]
    return group


def _vertebra(level: str, made: Volume) -> Vertebra:
    centre = made.lps_mm(BODY_CENTRE_KJI[level])
    x, y, z = (float(value) for value in centre)
    frame = Frame(centre, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]))
    front, back, half = y - 16, y + 16, 10.5
    deformity = Deformity("wedge", 22.4, 1, 0.8) if level == "L2" else Deformity("none", 3.1, 0, 0.9)
    return Vertebra(
        level=level,
        confidence=0.97,
        complete=level != "L3",
        frame=frame,
        body=Mask.of(_body(level)),
        heights=None
        if level == "L3"
        else Heights(
            24.04 + int(level[1:]),
            23.96,
            25.25,
            (
                (x, front, z + half),
                (x, front, z - half),
                (x, y, z + half),
                (x, y, z - half),
                (x, back, z + half),
                (x, back, z - half),
            ),
        ),
        deformity=None if level == "L3" else deformity,
    )


def voi(level: str, made: Volume, exclusion: str | None = None) -> Voi:
    """The measured volume of a level."""
    mask = Mask.of(_ellipsoid(level, (1.2, 2.6, 4.2)))
    x, y, z = (float(value) for value in made.lps_mm(BODY_CENTRE_KJI[level]))
    message = "Bone cement in the vertebra." if exclusion else None
    return Voi(mask, (x, y, z), float(mask.voxels.sum() * 27.0), 147.25, 22.449, 0.9, exclusion, message)


def phantom(made: Volume, material: Material = "K2HPO4") -> PhantomFit:
    """A phantom of three rods below the patient."""
    model = PhantomModel(
        "ward-3", "Slab 3", "S-1 ä", material, tuple(RodModel(n, d) for n, d in (("A", -50.0), ("B", 60), ("C", 160.5)))
    )
    readings = []
    for index, rod in enumerate(model.rods):
        centres = made.lps_mm([[k, 58, 20 + 12 * index] for k in range(10, 30)])
        x, y, z = (float(value) for value in centres.mean(axis=0))
        hu = 1.42 * rod.density_mg_cm3 + 0.3
        readings.append(RodReading(rod, hu, 8.2, 400, (x, y, z), 9.0, centres, np.full(20, hu)))
    return PhantomFit(model, tuple(readings), 0.98, "Three rods at the configured pitch.")


def findings(made: Volume, stored: tuple[StoredInstance, ...], **changes: object) -> Findings:
    """The ordinary measured study."""
    vertebrae = tuple(_vertebra(level, made) for level in BODY_CENTRE_KJI)
    usual = Findings(
        header=stored[0].header,
        refusal=None,
        cautions=(),
        phantom=phantom(made),
        calibration=Calibration("K2HPO4", 1.42, -0.0004, np.eye(2) * 1e-4, 0.99991, 1.04, (0.5, -1.0, 0.55)),
        vertebrae=vertebrae,
        assignment=LevelAssignment(
            (
                Anchor("ribs", "T12", "last rib pair at the first vertebra"),
                Anchor("sacrum", None, "sacrum not in the scan"),
            ),
            "single",
            1,
            0.97,
        ),
        vois={level: voi(level, made) for level in ("L1", "L2")},
        densities={
            "L1": BoneDensity("L1", 112.649, 4.05, True, None),
            "L2": BoneDensity("L2", 103.25, 4.1, True, None),
        },
        mean_vbmd_mg_cm3=107.9495,
        mean_expanded_uncertainty_mg_cm3=3.36,
        mean_levels=("L1", "L2"),
        category="low-bone-mass",
        reformats=(reformat(made),),
        curved=(curved(made),),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def reformat(made: Volume) -> Reformat:
    """Three sagittal images: rows from head to foot, columns from front to back."""
    wanted = [30, 32, 34]
    hu = np.ascontiguousarray(np.stack([made.hu[::-1, :, i] for i in wanted]))
    affine = np.eye(4)
    affine[:3, 0] = made.affine_lps_mm[:3, 2] * 2
    affine[:3, 1] = -made.affine_lps_mm[:3, 0]
    affine[:3, 2] = made.affine_lps_mm[:3, 1]
    affine[:3, 3] = made.lps_mm([SLICES - 1, 0, wanted[0]])
    hu.flags.writeable = False
    return Reformat("sagittal", hu, affine, 6.0)


def curved(made: Volume) -> CurvedReformat:
    """One image along a straight line that is called a curve."""
    hu = np.ascontiguousarray(made.hu[::-1, :, 32:33].transpose(2, 0, 1))
    centres = made.lps_mm([[k, 34, 32] for k in range(SLICES - 1, -1, -1)])
    along, across = np.tile([0.0, 1.0, 0.0], (SLICES, 1)), np.tile([1.0, 0.0, 0.0], (SLICES, 1))
    return CurvedReformat("curved-sagittal", hu, SPACING_MM[1], 2.5, centres, along, across, -34 * SPACING_MM[1], 3.0)


def refused(made: Volume | None, stored: tuple[StoredInstance, ...]) -> Findings:
    """No phantom; levels, attenuation and heights found all the same when there is a volume."""
    refusal = Refusal(
        "phantom-not-found",
        "No calibration phantom lies in the scan.",
        {"rods_seen": 0, "below": [1.5, None], "why": "空"},
    )
    empty: dict[str, object] = {
        "refusal": refusal,
        "phantom": None,
        "calibration": None,
        "densities": {},
        "mean_vbmd_mg_cm3": None,
        "mean_expanded_uncertainty_mg_cm3": None,
        "mean_levels": (),
        "category": "not-classified",
        "reformats": (),
        "curved": (),
    }
    if made is None:
        bare = findings(_any_volume(), stored, **empty)
        return replace(bare, vertebrae=(), vois={}, assignment=None)
    return findings(made, stored, **empty)


def _any_volume() -> Volume:
    return volume(tuple(SourceImage(str(CTImageStorage), uid(f"slice {k}")) for k in range(SLICES)))


def warned(made: Volume, stored: tuple[StoredInstance, ...]) -> Findings:
    """L2 excluded, HA phantom, contrast, and warnings."""
    usual = findings(made, stored)
    assert usual.calibration is not None
    return replace(
        usual,
        header=replace(usual.header, contrast_bolus_agent="Iohexol 350", kvp=100.0),
        cautions=(
            Caution("contrast", "Contrast medium: density is overestimated."),
            Caution(
                "thresholds-not-validated", "The limits hold for K₂HPO₄ equivalents at 120 kVp – not here; ≈ estimate."
            ),
        ),
        phantom=phantom(made, "CaHA"),
        calibration=replace(usual.calibration, material="CaHA"),
        vois={"L1": voi("L1", made), "L2": voi("L2", made, "cement")},
        densities={
            "L1": BoneDensity("L1", 79.95, 4.0, True, None),
            "L2": BoneDensity("L2", 1203.04, 30.0, False, "cement"),
        },
        mean_vbmd_mg_cm3=79.95,
        mean_expanded_uncertainty_mg_cm3=4.0,
        mean_levels=("L1",),
        category="not-classified",
    )


def job(stored: tuple[StoredInstance, ...], out_dir: Path, **changes: object) -> MeasureJob:
    """The job that the findings belong to."""
    usual = MeasureJob(
        series=Series(STUDY, SERIES, stored),
        rule="torso",
        phantoms=(),
        settings=MeasurementSettings(),
        template=shipped("sr_templates") / "bone_density.toml",
        report_refusals=True,
        out_dir=out_dir,
        provenance=Provenance("0.1.0", "ab" * 32),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]
