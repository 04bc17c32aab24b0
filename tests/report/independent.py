"""A reader of SR content that shares nothing with the writer but PS3.3 C.17.3 and PS3.16: plain pydicom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

Code = tuple[str, str]
"""Coding Scheme Designator and Code Value."""


@dataclass(frozen=True)
class Number:
    """One NUM item."""

    name: str
    code: Code
    value: str
    unit: str
    modifiers: tuple[Code, ...]


@dataclass(frozen=True)
class Outline:
    """One SCOORD item."""

    kind: str
    points: tuple[float, ...]
    sop_instance_uid: str
    frame: int | None


@dataclass(frozen=True)
class Group:
    """One measurement group (125007, DCM)."""

    tracking: str
    tracking_uid: str
    site: str
    numbers: tuple[Number, ...]
    outlines: tuple[Outline, ...]
    texts: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]
    segment: tuple[str, int] | None
    """SOP Instance UID and Segment Number."""

    def text(self, name: str) -> str:
        """The only text of that name."""
        (value,) = [value for known, value in self.texts if known == name]
        return value

    def number(self, name: str) -> Number:
        """The only number of that name."""
        (found,) = [number for number in self.numbers if number.name == name]
        return found


def items(parent: Dataset) -> Iterator[Dataset]:
    """Everything under an item, depth first."""
    for child in parent.get("ContentSequence", ()):
        yield child
        yield from items(child)


def meaning(item: Dataset) -> str:
    """Name of an item, in words."""
    name = item.get("ConceptNameCodeSequence")
    return str(name[0].CodeMeaning) if name else ""


def code(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> Code:
    """A code of an item."""
    found = item.get(keyword)
    return (str(found[0].CodingSchemeDesignator), str(found[0].CodeValue)) if found else ("", "")


def groups(path: Path) -> list[Group]:
    """All measurement groups of a report, in order."""
    return [_group(item) for item in items(pydicom.dcmread(path)) if code(item) == ("DCM", "125007")]


def statements(path: Path) -> list[tuple[str, str]]:
    """Name and value of every text and coded answer outside the groups."""
    found: list[tuple[str, str]] = []
    for item in pydicom.dcmread(path).ContentSequence:
        if code(item) in (("DCM", "126010"), ("DCM", "111028")):
            continue
        found += [(meaning(one), _value(one)) for one in (item, *items(item)) if one.ValueType in ("TEXT", "CODE")]
    return found


def _value(item: Dataset) -> str:
    if item.ValueType == "TEXT":
        return str(item.TextValue)
    return str(item.ConceptCodeSequence[0].CodeMeaning)


def _group(container: Dataset) -> Group:
    children = list(container.ContentSequence)
    texts = [(meaning(one), str(one.TextValue)) for one in children if one.ValueType == "TEXT"]
    answers = [(meaning(one), _value(one)) for one in children if one.ValueType == "CODE"]
    segments = [
        (
            str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
            int(one.ReferencedSOPSequence[0].ReferencedSegmentNumber),
        )
        for one in children
        if code(one) == ("DCM", "121191")
    ]
    return Group(
        tracking=next(value for name, value in texts if name == "Tracking Identifier"),
        tracking_uid=next(str(one.UID) for one in children if one.ValueType == "UIDREF"),
        site=next(value for name, value in answers if name == "Finding Site"),
        numbers=tuple(_number(one) for one in children if one.ValueType == "NUM"),
        outlines=tuple(_outline(one) for one in items(container) if one.ValueType == "SCOORD"),
        texts=tuple(texts),
        answers=tuple(answers),
        segment=segments[0] if segments else None,
    )


def _number(item: Dataset) -> Number:
    measured = item.MeasuredValueSequence[0]
    return Number(
        name=meaning(item),
        code=code(item),
        value=str(measured["NumericValue"].value),
        unit=str(measured.MeasurementUnitsCodeSequence[0].CodeValue),
        modifiers=tuple(
            code(one, "ConceptCodeSequence") for one in item.get("ContentSequence", ()) if one.ValueType == "CODE"
        ),
    )


def _outline(item: Dataset) -> Outline:
    image = item.ContentSequence[0].ReferencedSOPSequence[0]
    frame = image.get("ReferencedFrameNumber")
    return Outline(
        kind=str(item.GraphicType),
        points=tuple(float(value) for value in item.GraphicData),
        sop_instance_uid=str(image.ReferencedSOPInstanceUID),
        frame=None if frame is None else int(frame),
    )
