"""Events of the ledger as audit messages (DICOM PS3.15 annex A.5; RFC 3881). Pure: text in, XML out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree

Code = tuple[str, str]
"""Code value and meaning, of DCM."""

APPLICATION_ACTIVITY: Code = ("110100", "Application Activity")
INSTANCES_ACCESSED: Code = ("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED: Code = ("110104", "DICOM Instances Transferred")
STUDY_DELETED: Code = ("110105", "DICOM Study Deleted")
SECURITY_ALERT: Code = ("110113", "Security Alert")
APPLICATION_START: Code = ("110120", "Application Start")
APPLICATION_STOP: Code = ("110121", "Application Stop")
NODE_AUTHENTICATION: Code = ("110126", "Node Authentication")
SOFTWARE_CONFIGURATION: Code = ("110131", "Software Configuration")
APPLICATION: Code = ("110150", "Application")
DESTINATION: Code = ("110152", "Destination Role ID")
SOURCE: Code = ("110153", "Source Role ID")
_STUDY_UID: Code = ("110180", "Study Instance UID")
_NODE_ID: Code = ("110182", "Node ID")
SUCCESS, MINOR_FAILURE = 0, 4


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part: a program, or a person."""

    user: str
    requestor: bool = False
    role: Code | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """What it was about."""

    study_instance_uid: str
    patient_id: str
    classes: Mapping[str, int] = field(default_factory=dict)
    """SOP Class UID → number of objects."""


@dataclass(frozen=True, slots=True)
class Message:
    """One audit message before it is written as XML."""

    at: float
    event: Code
    action: str
    """C create, R read, U update, D delete, E execute."""
    participants: Sequence[Participant]
    type: Code | None = None
    outcome: int = SUCCESS
    description: str | None = None
    study: Study | None = None
    node: str | None = None
    """The AE title that a security alert is about."""


def to_xml(message: Message, source: str) -> bytes:
    """Write a message; ``source`` is the Audit Source ID."""
    root = ElementTree.Element("AuditMessage")
    at = datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    facts = {
        "EventActionCode": message.action,
        "EventDateTime": at,
        "EventOutcomeIndicator": str(message.outcome),
    }
    event = ElementTree.SubElement(root, "EventIdentification", facts)
    _code(event, "EventID", message.event)
    if message.type is not None:
        _code(event, "EventTypeCode", message.type)
    if message.description is not None:
        ElementTree.SubElement(event, "EventOutcomeDescription").text = message.description
    for participant in message.participants:
        _participant(root, participant)
    origin = ElementTree.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": source})
    ElementTree.SubElement(origin, "AuditSourceTypeCode", {"csd-code": "4"})  # application server process
    if message.study is not None:
        _study(root, message.study)
    if message.node is not None:
        about = _object(root, message.node, "2", "13")
        _code(about, "ParticipantObjectIDTypeCode", _NODE_ID)
        ElementTree.SubElement(about, "ParticipantObjectName").text = message.node
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _code(parent: ElementTree.Element, name: str, code: Code, system: str = "DCM") -> None:
    value, meaning = code
    ElementTree.SubElement(parent, name, {"csd-code": value, "codeSystemName": system, "originalText": meaning})


def _participant(root: ElementTree.Element, participant: Participant) -> None:
    facts = {"UserID": participant.user, "UserIsRequestor": str(participant.requestor).lower()}
    if participant.host:
        address = participant.host.replace(".", "").replace(":", "")
        is_address = bool(address) and all(character in "0123456789abcdefABCDEF" for character in address)
        facts |= {"NetworkAccessPointID": participant.host, "NetworkAccessPointTypeCode": "2" if is_address else "1"}
    element = ElementTree.SubElement(root, "ActiveParticipant", facts)
    if participant.role is not None:
        _code(element, "RoleIDCode", participant.role)


def _object(root: ElementTree.Element, identity: str, kind: str, role: str) -> ElementTree.Element:
    facts = {
        "ParticipantObjectID": identity,
        "ParticipantObjectTypeCode": kind,
        "ParticipantObjectTypeCodeRole": role,
    }
    return ElementTree.SubElement(root, "ParticipantObjectIdentification", facts)


def _study(root: ElementTree.Element, study: Study) -> None:
    """A study is a system object (2) that is a report (3), a patient a person (1) who is the patient (1)."""
    about = _object(root, study.study_instance_uid, "2", "3")
    _code(about, "ParticipantObjectIDTypeCode", _STUDY_UID)
    if study.classes:
        description = ElementTree.SubElement(about, "ParticipantObjectDescription")
        for sop_class, number in sorted(study.classes.items()):
            ElementTree.SubElement(description, "SOPClass", {"UID": sop_class, "NumberOfInstances": str(number)})
    patient = _object(root, study.patient_id, "1", "1")
    _code(patient, "ParticipantObjectIDTypeCode", ("2", "Patient Number"), "RFC-3881")
