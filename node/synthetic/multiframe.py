"""A series as one multi-frame object: Enhanced CT (PS3.3 A.38.1) or Legacy Converted Enhanced CT (A.70)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from node.synthetic.encode import uid
from node.synthetic.faults import INTERCEPT, Plane
from node.synthetic.spec import TorsoSpec

_SINGLE_FRAME_ONLY = (
    "SliceThickness", "SpacingBetweenSlices", "PixelSpacing", "RescaleIntercept", "RescaleSlope", "RescaleType",
    "WindowCenter", "WindowWidth", "KVP", "ReconstructionDiameter", "DataCollectionDiameter", "GantryDetectorTilt",
    "TableHeight", "RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "FilterType",
    "ConvolutionKernel", "CTDIvol", "CTDIPhantomTypeCodeSequence", "AcquisitionDate",
    "AcquisitionTime", "BodyPartExamined", "PatientPosition", "ContrastBolusAgent", "ContrastBolusRoute",
)  # fmt: skip


def item(**attributes: object) -> Dataset:
    """A dataset with these attributes."""
    ds = Dataset()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def sequence(**attributes: object) -> DicomSequence:
    """A sequence of one item."""
    return DicomSequence([item(**attributes)])


def code(value: str, scheme: str, meaning: str) -> DicomSequence:
    """A coded entry (PS3.3 8.8)."""
    return sequence(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def combine(base: Dataset, planes: Sequence[Plane], spec: TorsoSpec, *, legacy: bool) -> Dataset:
    """One object with a frame for each plane."""
    ds = Dataset()
    ds.update(base)
    kept = {name: base.get(name) for name in _SINGLE_FRAME_ONLY}
    for name in _SINGLE_FRAME_ONLY:
        if name in ds:
            delattr(ds, name)
    ds.PatientPosition = spec.patient_position
    ds.SOPClassUID = LegacyConvertedEnhancedCTImageStorage if legacy else EnhancedCTImageStorage
    ds.SOPInstanceUID = uid("frames", base.SeriesInstanceUID, legacy)
    ds.InstanceNumber = 1
    ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"] if legacy else ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.AcquisitionDateTime = f"{spec.study_date}101500"
    ds.AcquisitionDuration = 8.0
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation, ds.LossyImageCompression, ds.PresentationLUTShape = "NO", "00", "IDENTITY"
    ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.AcquisitionContextSequence = DicomSequence()
    ds.IsocenterPosition = [0.0, 0.0, 0.0]
    ds.NumberOfFrames = len(planes)
    organization = uid("dimensions", ds.SOPInstanceUID)
    ds.DimensionOrganizationSequence = sequence(DimensionOrganizationUID=organization)
    ds.DimensionIndexSequence = sequence(
        DimensionOrganizationUID=organization, DimensionIndexPointer=0x00200032, FunctionalGroupPointer=0x00209113
    )
    ds.SharedFunctionalGroupsSequence = DicomSequence([_shared(spec, kept, ds.ImageType, legacy)])
    ds.PerFrameFunctionalGroupsSequence = DicomSequence(
        [_frame(plane, n, base, spec, legacy) for n, plane in enumerate(planes, start=1)]
    )
    if legacy:
        ds.InstanceNumber = 1
        ds.ContributingEquipmentSequence = sequence(
            PurposeOfReferenceCodeSequence=code("109106", "DCM", "Enhanced Multi-frame Conversion Equipment"),
            Manufacturer=spec.manufacturer,
        )
    elif spec.contrast != "none":
        ds.ContrastBolusAgentSequence = sequence(
            **vars_of(code("C-B0300", "SRT", "Contrast agent")),
            ContrastBolusAgentNumber=1,
            ContrastBolusAdministrationRouteSequence=code("47625008", "SCT", "Intravenous route"),
            ContrastBolusIngredientCodeSequence=code("C-11400", "SRT", "Iodine"),
            ContrastBolusVolume=90.0,
            ContrastBolusIngredientConcentration=350.0,
            ContrastAdministrationProfileSequence=sequence(ContrastBolusVolume=90.0),
        )
    stack = np.stack([plane.pixels for plane in planes]).astype(np.int16) - np.int16(INTERCEPT)
    ds.add_new("PixelData", "OW", stack.astype("<i2").tobytes())
    return ds


def vars_of(one: DicomSequence) -> dict[str, object]:
    """The attributes of a sequence's only item by keyword."""
    return {element.keyword: element.value for element in one[0]}


def _shared(spec: TorsoSpec, kept: dict[str, object], image_type: object, legacy: bool) -> Dataset:
    """Functional groups that all frames share (PS3.3 C.7.6.16 and C.8.15.3)."""
    out = item(
        PixelMeasuresSequence=sequence(
            PixelSpacing=kept["PixelSpacing"],
            SliceThickness=kept["SliceThickness"],
            SpacingBetweenSlices=kept["SpacingBetweenSlices"],
        ),
        CTImageFrameTypeSequence=sequence(
            FrameType=image_type,
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
        ),
        PixelValueTransformationSequence=sequence(
            RescaleIntercept=kept["RescaleIntercept"], RescaleSlope=kept["RescaleSlope"], RescaleType="HU"
        ),
        FrameVOILUTSequence=sequence(WindowCenter="40", WindowWidth="400"),
        FrameAnatomySequence=sequence(AnatomicRegionSequence=code("113345001", "SCT", "Abdomen"), FrameLaterality="U"),
    )
    if legacy:
        out.UnassignedSharedConvertedAttributesSequence = sequence(
            KVP=kept["KVP"], ConvolutionKernel=kept["ConvolutionKernel"], BodyPartExamined=kept["BodyPartExamined"]
        )
        return out
    out.CTAcquisitionTypeSequence = sequence(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
    out.CTAcquisitionDetailsSequence = sequence(
        RotationDirection="CW", RevolutionTime=0.5, SingleCollimationWidth=0.6, TotalCollimationWidth=38.4,
        TableHeight=150.0, GantryDetectorTilt=float(spec.gantry_tilt_deg), DataCollectionDiameter=500.0,
    )  # fmt: skip
    out.CTTableDynamicsSequence = sequence(TableSpeed=46.0, TableFeedPerRotation=23.0, SpiralPitchFactor=0.6)
    out.CTGeometrySequence = sequence(DistanceSourceToDetector=1085.6, DistanceSourceToDataCollectionCenter=595.0)
    out.CTReconstructionSequence = sequence(
        ReconstructionAlgorithm="FILTER_BACK_PROJ", ConvolutionKernel=kept["ConvolutionKernel"],
        ConvolutionKernelGroup="SOFT_TISSUE" if spec.kernel != "sharp" else "BONE",
        ReconstructionDiameter=float(spec.fov_mm), ReconstructionAngle=360.0, ImageFilter="NONE",
        ReconstructionPixelSpacing=[float(spec.fov_mm / spec.matrix)] * 2,
    )  # fmt: skip
    out.CTExposureSequence = sequence(
        ExposureTimeInms=500.0, XRayTubeCurrentInmA=25.0 * spec.ctdi_mgy, ExposureInmAs=12.5 * spec.ctdi_mgy,
        ExposureModulationType="NONE", CTDIvol=float(spec.ctdi_mgy),
        CTDIPhantomTypeCodeSequence=code("113691", "DCM", "IEC Body Dosimetry Phantom"),
    )  # fmt: skip
    out.CTXRayDetailsSequence = sequence(
        KVP=float(spec.kvp), FocalSpots=[1.2], FilterType="FLAT", FilterMaterial="ALUMINUM",
        CalciumScoringMassFactorPatient=0.7,
    )  # fmt: skip
    out.IrradiationEventIdentificationSequence = sequence(IrradiationEventUID=uid("event", spec.seed))
    return out


def _frame(plane: Plane, number: int, base: Dataset, spec: TorsoSpec, legacy: bool) -> Dataset:
    """Functional groups of one frame."""
    position = [f"{v:.6g}" for v in plane.position]
    out = item(
        FrameContentSequence=sequence(
            FrameAcquisitionNumber=1,
            FrameReferenceDateTime=f"{spec.study_date}101500",
            FrameAcquisitionDateTime=f"{spec.study_date}101500",
            FrameAcquisitionDuration=500.0,
            StackID="1",
            InStackPositionNumber=number,
            DimensionIndexValues=[number],
        ),
        PlanePositionSequence=sequence(ImagePositionPatient=position),
        PlaneOrientationSequence=sequence(ImageOrientationPatient=[f"{v:.9g}" for v in plane.orientation]),
    )
    if not legacy and spec.contrast != "none":
        out.ContrastBolusUsageSequence = sequence(
            ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES", ContrastBolusAgentDetected="YES"
        )
    if legacy:
        out.ConversionSourceAttributesSequence = sequence(
            ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
            ReferencedSOPInstanceUID=uid("image", base.SeriesInstanceUID, plane.instance_number),
        )
        out.UnassignedPerFrameConvertedAttributesSequence = sequence(InstanceNumber=plane.instance_number)
    else:
        centre = [0.0, 0.0, float(plane.position[2])]
        out.CTPositionSequence = sequence(
            TablePosition=float(plane.position[2]),
            DataCollectionCenterPatient=centre,
            ReconstructionTargetCenterPatient=centre,
        )
    return out
