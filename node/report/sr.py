"""A content tree as a DICOM object: Comprehensive or Comprehensive 3D SR (PS3.3 A.35.3, A.35.13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import highdicom as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage

from node.domain.job import Kind, Predecessor
from node.errors import ReportInvalid
from node.report import bone_density as density_report
from node.report import heights as heights_report
from node.report import identity
from node.report.bone_density import Report
from node.report.source import Reference

INSTANCE_NUMBER = 1
_KINDS: Mapping[str, Kind] = {"bone-density": "sr", "heights": "heights"}
"""What the ledger calls the reports."""
_CLASSES = {"comprehensive": hd.sr.ComprehensiveSR, "comprehensive-3d": hd.sr.Comprehensive3DSR}


def bone_density(report: Report, created: datetime | None) -> Dataset:
    """The bone-density report, or the one that says why there is none: unverified.

    Partial without a density, or with one of fewer vertebrae than the configuration asks for (PS3.3 C.17.2).
    """
    document = report.template.document
    description = document.series_description_refused if report.refused else document.series_description
    dataset = _document(
        report, density_report.content(report), "bone-density", document.series_number, description, created
    )
    missing = report.missing
    if missing is not None:
        dataset.CompletionFlag, dataset.CompletionFlagDescription = "PARTIAL", missing
    return dataset


def heights(report: Report, created: datetime | None) -> Dataset:
    """The report of vertebral heights on the sagittal images: unverified, complete."""
    spec = report.template.heights
    return _document(
        report, heights_report.content(report), "heights", spec.series_number, spec.series_description, created
    )


def _document(
    report: Report,
    root: hd.sr.ContainerContentItem,
    name: str,
    series_number: int,
    series_description: str,
    created: datetime | None,
) -> Dataset:
    template, source = report.template, report.source.representative
    scheme = template.scheme
    moment = identity.moment(source, created)
    document = template.document
    dataset: Dataset = _CLASSES[report.settings.sr_class](
        evidence=[_study(report)],
        content=_beginning(root),
        series_instance_uid=report.uids.uid("series", name),
        series_number=series_number,
        sop_instance_uid=report.uids.uid("instance", name),
        instance_number=INSTANCE_NUMBER,
        manufacturer=document.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=series_description,
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
    dataset.ContentSequence = root.ContentSequence
    dataset.CurrentRequestedProcedureEvidenceSequence = _evidence(report, root)
    identity.identify(source, dataset)
    for stage in ("InstanceCreation", "Series"):
        setattr(dataset, f"{stage}Date", moment.date)
        setattr(dataset, f"{stage}Time", moment.time)
    replaced = [one for one in report.predecessors if one.kind == _KINDS[name]]
    if replaced:
        dataset.PredecessorDocumentsSequence = Sequence([_predecessor(one) for one in replaced])
    dataset.add_new("ContributingEquipmentSequence", "SQ", [identity.equipment(source)])
    for item in walk(dataset):
        if item.get("ValueType") == "CONTAINER":
            item.ContinuityOfContent = "SEPARATE"  # CONTINUOUS makes viewers leave out the names of numbers
    return dataset


def _predecessor(document: Predecessor) -> Dataset:
    """A report that this one replaces (PS3.3 C.17.2.3)."""
    item, series, study = Dataset(), Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = document.sop_class_uid, document.sop_instance_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = document.series_instance_uid, Sequence([item])
    study.StudyInstanceUID, study.ReferencedSeriesSequence = document.study_instance_uid, Sequence([series])
    return study


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


def _beginning(root: hd.sr.ContainerContentItem) -> hd.sr.ContainerContentItem:
    """The root with its first item alone: highdicom copies and searches all it is given, which takes a second."""
    alone = hd.sr.ContainerContentItem(name=root.ConceptNameCodeSequence[0], template_id="1500")
    alone.ContentSequence = hd.sr.ContentSequence([root.ContentSequence[0]])
    return alone


def _study(report: Report) -> Dataset:
    """As much of an image as highdicom asks for; names are filled in afterwards, unchecked and unchanged."""
    image = Dataset()
    for keyword in identity.REQUIRED_EMPTY:
        setattr(image, keyword, None)
    image.PatientID = ""
    needed = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"]
    identity.copy_attributes(report.source.representative, image, needed)
    return image


def _evidence(report: Report, root: Dataset) -> Sequence:
    """Everything that the content refers to, by series (PS3.3 C.17.2.3)."""
    known = report.source.references() | own_instances(report)
    of_series: dict[str, list[Dataset]] = {}
    for uid in referenced_instances(root):
        if uid not in known:
            raise ReportInvalid(f"the content refers to {uid}, which is neither measured nor written")
        one = known[uid]
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, uid
        of_series.setdefault(one.series_instance_uid, []).append(item)
    study = Dataset()
    study.StudyInstanceUID = report.source.representative.StudyInstanceUID
    study.ReferencedSeriesSequence = Sequence([_series(uid, images) for uid, images in of_series.items()])
    return Sequence([study])


def _series(uid: str, images: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = uid, Sequence(images)
    return series


def own_instances(report: Report) -> dict[str, Reference]:
    """The node's own objects that are written beside a report and that it may refer to: segmentation, sagittal images.

    By SOP Instance UID.
    """
    own: dict[str, Reference] = {}
    if report.segmentation is not None and "segmentation" in report.written:
        series = report.uids.uid("series", "segmentation")
        own[report.segmentation.sop_instance_uid] = Reference(series, str(SegmentationStorage))
    for reformat in report.findings.reformats if "sagittal" in report.written else ():
        series = report.uids.uid("series", reformat.name)
        for index in range(len(reformat.hu)):
            own[report.uids.uid("instance", reformat.name, index)] = Reference(series, str(CTImageStorage))
    return own
