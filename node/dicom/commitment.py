"""What a storage commitment result says (PS3.4 section J.3.3, PS3.3 section C.14)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

_CLASS_CONFLICT = 0x0119
"""Held, as an object of another class: a Comprehensive 3D SR that went as Comprehensive SR."""


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """Transaction UID, and SOP Instance UIDs."""

    transaction_uid: str
    held: tuple[str, ...]
    missing: tuple[str, ...]


def read_result(information: Dataset) -> CommitmentResult:
    """Read the event information of an N-EVENT-REPORT. Raises ``AttributeError`` where it lacks what it must have."""
    held = [str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence", [])]
    missing: list[str] = []
    for item in information.get("FailedSOPSequence", []):
        place = held if item.get("FailureReason") == _CLASS_CONFLICT else missing
        place.append(str(item.ReferencedSOPInstanceUID))
    return CommitmentResult(str(information.TransactionUID), tuple(held), tuple(missing))
