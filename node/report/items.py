"""Content items of a structured report, made from template entries (PS3.3 C.17.3, PS3.16 TID 300, 1411, 4019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import highdicom as hd
from highdicom.sr import RelationshipTypeValues as Relation
from highdicom.sr.value_types import ContentItem

from node.errors import ReportInvalid
from node.report.source import Region
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


def region_group(
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
) -> ContentItem:
    """A measurement group on outlines (TID 1411).

    Every group carries outlines: one group without coordinates makes common viewers fail on the whole study.
    """
    if not regions or not measurements:
        raise ReportInvalid(f"{tracking}: a group needs an outline and a number")
    group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid, identifier=tracking),
        referenced_regions=[_first_region(regions[0])],
        finding_type=concept(finding),
        finding_sites=[hd.sr.FindingSite(anatomic_location=concept(site))],
        algorithm_id=algorithm,
        measurements=measurements,
    )
    holder = cast(ContentItem, group[0])
    for region in regions[1:]:
        holder.ContentSequence.append(_further_region(region))
    for answer in answers:
        holder.ContentSequence.append(answer)
    if comment and comment_name:
        holder.ContentSequence.append(text(comment_name, comment))
    return holder
