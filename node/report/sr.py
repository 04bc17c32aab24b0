"""The content tree as a DICOM object: Comprehensive SR (PS3.3 A.35.3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import highdicom as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from node.report import identity
from node.report.bone_density import Report, content

INSTANCE_NUMBER = 1


def bone_density(report: Report, created: datetime | None) -> Dataset:
    """The bone-density report, or the one that says why there is none: unverified, complete."""
    template, source = report.template, report.source.representative
    root = content(report)
    scheme = template.scheme
    moment = identity.moment(source, created)
    document = template.document
    dataset = hd.sr.ComprehensiveSR(
        evidence=[_evidence(report, uid) for uid in referenced_instances(root)],
        content=root,
        series_instance_uid=report.uids.uid("series", "bone-density"),
        series_number=document.series_number,
        sop_instance_uid=report.uids.uid("instance", "bone-density"),
        instance_number=INSTANCE_NUMBER,
        manufacturer=document.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=document.series_description_refused if report.refused else document.series_description,
        manufacturer_model_name=document.model,
        software_versions=report.provenance.software_version,
        content_date=moment.date,
        content_time=moment.time,
        specific_character_set=identity.CHARACTER_SET,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=scheme.designator,
                uid=scheme.uid,
                name=scheme.name,
                responsible_organization=scheme.organization,
            )
        ],
    )
    identity.identify(source, dataset)
    for name in ("InstanceCreation", "Series"):
        setattr(dataset, f"{name}Date", moment.date)
        setattr(dataset, f"{name}Time", moment.time)
    dataset.add_new("ContributingEquipmentSequence", "SQ", [identity.equipment(source)])
    for item in walk(dataset):
        if item.get("ValueType") == "CONTAINER":
            item.ContinuityOfContent = "SEPARATE"  # CONTINUOUS makes viewers leave out the names of numbers
    return dataset


def walk(item: Dataset) -> Iterator[Dataset]:
    """The item itself and everything under it, in order."""
    yield item
    for child in item.get("ContentSequence", ()):
        yield from walk(child)


def referenced_instances(root: Dataset) -> list[str]:
    """SOP Instance UIDs that the content refers to, each once, in order."""
    found: dict[str, None] = {}
    for item in walk(root):
        for reference in item.get("ReferencedSOPSequence", ()):
            found.setdefault(str(reference.ReferencedSOPInstanceUID))
    return list(found)


def _evidence(report: Report, sop_instance_uid: str) -> Dataset:
    """As much of a source image as the document needs; names are filled in afterwards, unchecked and unchanged."""
    header = report.source.header(sop_instance_uid)
    evidence = Dataset()
    for keyword in identity.REQUIRED_EMPTY:
        setattr(evidence, keyword, None)
    evidence.PatientID = ""
    identity.copy_attributes(
        header, evidence, ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"]
    )
    return evidence
