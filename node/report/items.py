"""Content items of a structured report, made from template entries (PS3.3 C.17.3, PS3.16 TID 300, 1411, 4019)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import highdicom as hd
from highdicom.sr import RelationshipTypeValues as Relation
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from node.errors import ReportInvalid
from node.report.source import Region, SourceFrame
from node.report.template import Coded, NumberSpec

_IMAGE_REGION = Coded("111030", "DCM", "Image Region")


def concept(code: Coded) -> hd.sr.CodedConcept:
    """A coded concept."""
    return hd.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def printed(value: float, decimals: int) -> str:
    """A number as it is printed everywhere: in the report, in its sentences, and by those who check it."""
    if not math.isfinite(value):
        raise ReportInvalid(f"{value} is not a number that can be reported")
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def added(value: float, decimals: int) -> str:
    """The same as the last term of a sum: with its sign in front and apart."""
    text = printed(value, decimals)
    return f"- {text[1:]}" if text.startswith("-") else f"+ {text}"


def code(name: Coded, value: Coded, relation: Relation = Relation.CONTAINS) -> hd.sr.CodeContentItem:
    """A coded answer."""
    return hd.sr.CodeContentItem(name=concept(name), value=concept(value), relationship_type=relation)


def text(name: Coded, value: str, relation: Relation = Relation.CONTAINS) -> hd.sr.TextContentItem:
    """A sentence."""
    return hd.sr.TextContentItem(name=concept(name), value=value, relationship_type=relation)


def number(spec: NumberSpec, value: float, method: Coded | None = None) -> hd.sr.Measurement:
    """A measurement (TID 300), printed to the template's decimals."""
    shown = printed(value, spec.decimals)
    measurement = hd.sr.Measurement(
        name=concept(spec.code),
        value=float(shown),
        unit=concept(spec.unit),
        derivation=concept(spec.derivation) if spec.derivation else None,
        method=concept(method) if method else None,
    )
    measurement[0].MeasuredValueSequence[0].NumericValue = shown
    return measurement


def derived(spec: NumberSpec, derivation: Coded | None) -> NumberSpec:
    """The same number with another derivation."""
    return NumberSpec(spec.code, spec.unit, spec.decimals, derivation)


def container(name: Coded, items: Sequence[ContentItem]) -> hd.sr.ContainerContentItem:
    """A heading with what stands under it."""
    holder = hd.sr.ContainerContentItem(name=concept(name), relationship_type=Relation.CONTAINS)
    holder.ContentSequence = hd.sr.ContentSequence(items)
    return holder


def _draw(number: Dataset, region: Region) -> None:
    """Hang the outline at a number (TID 300: INFERRED FROM a SCOORD): drawn by viewers that cannot paint a segment."""
    item = hd.sr.ScoordContentItem(
        name=concept(_IMAGE_REGION),
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=region.outline,
        relationship_type=Relation.INFERRED_FROM,
    )
    item.ContentSequence = hd.sr.ContentSequence([_image_of(region)])
    if "ContentSequence" not in number:
        number.ContentSequence = hd.sr.ContentSequence()
    number.ContentSequence.append(item)


def _first_region(region: Region) -> hd.sr.ImageRegion:
    """A closed outline on one source image or frame."""
    return hd.sr.ImageRegion(hd.sr.GraphicTypeValues.POLYLINE, region.outline, _image_of(region))


def _further_region(region: Region) -> ContentItem:
    """The same item made without the look-ups in the standard's tables, which are slow by the hundred."""
    item = hd.sr.ScoordContentItem(
        name=concept(_IMAGE_REGION),
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=region.outline,
        relationship_type=Relation.CONTAINS,
    )
    item.ContentSequence = hd.sr.ContentSequence([_image_of(region)])
    return item


def _image_of(region: Region) -> hd.sr.SourceImageForRegion:
    frame = region.frame
    return hd.sr.SourceImageForRegion(
        referenced_sop_class_uid=frame.sop_class_uid,
        referenced_sop_instance_uid=frame.sop_instance_uid,
        referenced_frame_numbers=[frame.frame_number] if frame.frame_number else None,
    )


@dataclass(frozen=True, slots=True)
class SegmentReference:
    """One segment of a segmentation, and an image it was made on (TID 1411: Referenced Segment, Source image)."""

    sop_instance_uid: str
    segment_number: int
    source: SourceFrame


def group(
    *,
    tracking: str,
    tracking_uid: str,
    finding: Coded,
    site: Coded,
    algorithm: hd.sr.AlgorithmIdentification,
    regions: Sequence[Region],
    measurements: Sequence[hd.sr.Measurement],
    answers: Sequence[ContentItem] = (),
    comment: str | None = None,
    comment_name: Coded | None = None,
    segment: SegmentReference | None = None,
    planar: bool = False,
) -> ContentItem:
    """A measurement group: on a segment or on outlines (TID 1411), or on one outline of one image (TID 1410).

    Every group carries outlines: one group without coordinates makes common viewers fail on the whole study. On a
    segment the outline of the middle image hangs at each number, because a group has either a segment or regions.
    """
    if not regions or not measurements:
        raise ReportInvalid(f"{tracking}: a group needs an outline and a number")
    made = _typed(planar, segment, regions)(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid, identifier=tracking),
        finding_type=concept(finding),
        finding_sites=[hd.sr.FindingSite(anatomic_location=concept(site))],
        algorithm_id=algorithm,
        measurements=measurements,
    )
    holder = cast(ContentItem, made[0])
    for item in holder.ContentSequence if segment is not None else ():
        if item.ValueType == "NUM":
            _draw(item, regions[0])
        elif item.ConceptNameCodeSequence[0].CodeValue == "121233":
            item.ConceptNameCodeSequence[0].CodeMeaning = "Source image for segmentation"  # as PS3.16 writes it
    for region in regions[1:] if segment is None and not planar else ():
        holder.ContentSequence.append(_further_region(region))
    for answer in answers:
        holder.ContentSequence.append(answer)
    if comment and comment_name:
        holder.ContentSequence.append(text(comment_name, comment))
    return holder


def _typed(planar: bool, segment: SegmentReference | None, regions: Sequence[Region]) -> Callable[..., ContentSequence]:
    """The template that fits what the group lies on, with that filled in."""
    if planar:
        return partial(
            hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations, referenced_region=_first_region(regions[0])
        )
    volumetric = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
    if segment is None:
        return partial(volumetric, referenced_regions=[_first_region(regions[0])])
    source = hd.sr.SourceImageForSegmentation(
        referenced_sop_class_uid=segment.source.sop_class_uid,
        referenced_sop_instance_uid=segment.source.sop_instance_uid,
        referenced_frame_numbers=[segment.source.frame_number] if segment.source.frame_number else None,
    )
    reference = hd.sr.ReferencedSegment(
        sop_class_uid=str(SegmentationStorage),
        sop_instance_uid=segment.sop_instance_uid,
        segment_number=segment.segment_number,
        source_images=[source],
    )
    return partial(volumetric, referenced_segment=reference)
