"""A note that takes objects back: a Key Object Selection whose title rejects what it refers to (IHE RAD TF-2, IOCM)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import highdicom as hd
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from node.domain.job import OutgoingObject
from node.errors import ReportInvalid
from node.report import identity
from node.report.files import save

Reason = Literal["quality", "safety"]
TITLES: Mapping[Reason, Code] = {
    "quality": Code("113001", "DCM", "Rejected for Quality Reasons"),
    "safety": Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
}
"""PS3.16 CID 7011."""
SERIES_NUMBER = 9990
_NAMESPACE = uuid.UUID("5d1fd0a4-5f0c-4c87-9a39-6ac5f6f0c5a1")


def reject(
    paths: Sequence[Path], folder: Path, by: str, why: str, reason: Reason, now: datetime | None = None
) -> OutgoingObject:
    """Write into ``folder`` the note that rejects the objects in ``paths`` (of one study), with who and why.

    Its UIDs follow from what it rejects: the same act twice is the same note. Raises ``ReportInvalid`` when a file
    cannot be read or the note does not refer to all of them.
    """
    objects = [_header(path) for path in paths]
    at = (now or datetime.now(UTC)).replace(tzinfo=None, microsecond=0)
    uids = sorted(str(one.SOPInstanceUID) for one in objects)
    names = [f"2.25.{uuid.uuid5(_NAMESPACE, ' '.join([part, *uids])).int}" for part in ("series", "instance")]
    note: Dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=objects,
        content=_content(objects, by, why, reason),
        series_instance_uid=names[0],
        series_number=SERIES_NUMBER,
        sop_instance_uid=names[1],
        instance_number=1,
        manufacturer=str(objects[0].get("Manufacturer", "")) or None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=identity.CHARACTER_SET,
        content_date=at.date(),
        content_time=at.time(),
    )
    identity.identify(objects[0], note)
    note.SeriesDescription = "Withdrawn"
    path = folder / "withdrawal.dcm"
    folder.mkdir(parents=True, exist_ok=True)
    save(note, path)
    _check(path, set(uids))
    return OutgoingObject(path, KeyObjectSelectionDocumentStorage, names[1], "withdrawal", 0, names[0])


_TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""Attributes that may be empty, but have to be there (PS3.3 C.7.1.1, C.7.2.1)."""


def _header(path: Path) -> Dataset:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except FileNotFoundError as error:
        raise ReportInvalid(f"{path.name} is no longer kept here: the archive has to take it back by itself") from error
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise ReportInvalid(f"{path.name} cannot be read ({type(error).__name__}): it cannot be referred to") from error
    for keyword in _TYPE_2:
        if keyword not in header:
            setattr(header, keyword, None)
    return header


def _person(by: str) -> str:
    """A user's name as a person's (PS3.5 section 6.2.1): all of it is the family name."""
    name = " ".join(by.replace("^", " ").replace("=", " ").replace("\\", " ").split())
    return f"{name[:63]}^"


def _content(objects: Sequence[Dataset], by: str, why: str, reason: Reason) -> hd.ko.KeyObjectSelection:
    person = hd.sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name=_person(by)),
    )
    return hd.ko.KeyObjectSelection(
        document_title=TITLES[reason],
        referenced_objects=list(objects),
        observer_person_context=person,
        description=why[:1024],
    )


def _check(path: Path, rejected: set[str]) -> None:
    note = pydicom.dcmread(path)
    listed = {
        str(one.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    if listed != rejected:
        raise ReportInvalid("the note does not refer to every object that is taken back")
