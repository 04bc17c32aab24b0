"""Who and when: patient, study and equipment attributes that an output takes over from its source, as Unicode.

Every output is written in ISO_IR 192 (UTF-8), whatever the source was written in, so that "³" and every name survive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence

from node.errors import ReportInvalid

CHARACTER_SET = "ISO_IR 192"
QUALIFICATION = "RESEARCH"

PATIENT_AND_STUDY = (
    # PS3.3 C.7.1.1 Patient, C.7.1.3 Clinical Trial Subject
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate",
    "PatientSex",
    "PatientBirthTime",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "EthnicGroup",
    "PatientComments",
    "ReferencedPatientSequence",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "QualityControlSubject",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    # C.7.2.1 General Study, C.7.2.2 Patient Study, C.7.2.3 Clinical Trial Study
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingService",
    "ReferencedStudySequence",
    "ProcedureCodeSequence",
    "AdmissionID",
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientBodyMassIndex",
    "MedicalAlerts",
    "Allergies",
    "SmokingStatus",
    "PregnancyStatus",
    "LastMenstrualDate",
    "PatientState",
    "Occupation",
    "AdditionalPatientHistory",
    "ServiceEpisodeID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    # C.12.1 SOP Common
    "TimezoneOffsetFromUTC",
    "LongitudinalTemporalInformationModified",
)

REQUIRED_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
"""Type 2 in every composite object: present, empty when the source lacks them."""

_MALFORMED = (KeyError, ValueError, TypeError, AttributeError, LookupError, NotImplementedError, OverflowError)
"""What pydicom raises for an element that is absent or whose value is not what its representation says."""

_ESCAPES = re.compile("\x1b[ -/]+[0-~]")

UNKNOWN_MOMENT = ("19000101", "000000")


@dataclass(frozen=True, slots=True)
class Moment:
    """A DICOM date and time."""

    date: str
    time: str


def read_header(path: Path) -> Dataset:
    """Read a source file without its pixels. Elements are decoded when they are asked for."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as error:
        raise ReportInvalid(f"the source image {path.name} can no longer be read: {error}") from error


def taken(source: Dataset, keyword: str) -> DataElement | None:
    """A copy of one attribute, its text as Unicode; ``None`` when it is absent or cannot be decoded."""
    try:
        return _unicode(source[keyword])
    except _MALFORMED:
        return None


def _unicode(element: DataElement) -> DataElement:
    """Copy an element with its names cut loose from the character set they were read in."""
    value = element.value
    if element.VR == "PN":
        value = [_plain(str(name)) for name in value] if element.VM > 1 else _plain(str(value or ""))
    elif isinstance(value, str):
        value = _plain(value)
    elif element.VM > 1 and all(isinstance(one, str) for one in value):
        value = [_plain(one) for one in value]
    elif element.VR == "SQ":
        value = Sequence([_unicode_item(item) for item in value])
    else:
        value = deepcopy(value)
    return DataElement(element.tag, element.VR, value)


def _plain(text: str) -> str:
    """Without the escape sequences (ISO/IEC 2022) that pydicom leaves in some sets, as in ISO 2022 IR 58."""
    return _ESCAPES.sub("", text)


def _unicode_item(item: Dataset) -> Dataset:
    copy = Dataset()
    for element in item:
        if element.keyword != "SpecificCharacterSet":
            copy.add(_unicode(element))
    return copy


def copy_attributes(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    """Give ``target`` those of the attributes that ``source`` has and that can be read."""
    for keyword in keywords:
        element = taken(source, keyword)
        if element is not None:
            target.add(element)


def identify(source: Dataset, target: Dataset) -> None:
    """Give ``target`` the patient and study of ``source``, and the character set that holds them.

    It is also marked as what it is: the work of software that is no medical device (PS3.3 C.12.1, C.8.13.2.1.1).
    """
    target.SpecificCharacterSet = CHARACTER_SET
    target.ContentQualification = QUALIFICATION
    for keyword in REQUIRED_EMPTY:
        setattr(target, keyword, None)
    copy_attributes(source, target, PATIENT_AND_STUDY)


def moment(source: Dataset, created: datetime | None) -> Moment:
    """Date and time of an output: ``created``, else when the source was acquired (else reconstructed, else the study).

    The clock is never read, so that the same job gives the same bytes. A source without any date gives 1900-01-01.
    """
    if created is not None:
        return Moment(created.strftime("%Y%m%d"), created.strftime("%H%M%S"))
    for name in ("Acquisition", "Content", "Series", "Study"):
        date = str(source.get(f"{name}Date", "") or "")
        if len(date) == 8 and date.isdecimal():
            return Moment(date, _time(source.get(f"{name}Time")))
    stamp = str(source.get("AcquisitionDateTime", "") or "")
    if len(stamp) >= 8 and stamp[:8].isdecimal():
        return Moment(stamp[:8], _time(stamp[8:14]))
    return Moment(*UNKNOWN_MOMENT)


def _time(value: object) -> str:
    """HHMMSS of a DICOM time, midnight when it has none."""
    whole = str(value or "").split(".")[0]
    return whole.ljust(6, "0") if whole.isdecimal() and len(whole) in (2, 4, 6) else UNKNOWN_MOMENT[1]


def equipment(source: Dataset) -> Dataset:
    """The scanner, as contributing equipment (PS3.3 C.12.1.1.5)."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "109101", "DCM", "Acquisition Equipment"
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    item.Manufacturer = str(source.get("Manufacturer", "") or "") or "unknown"
    names = "InstitutionName", "StationName", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"
    copy_attributes(source, item, names)
    return item
