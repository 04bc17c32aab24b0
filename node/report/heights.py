"""The report of vertebral heights, drawn on the sagittal images (PS3.16 TID 1500 with TID 1410 groups).

A report of its own, because viewers show a report on one image series only. Each vertebra lies on the image that runs
nearest its mid-sagittal plane, as the hexagon of its six points.
"""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
import numpy as np
from highdicom.sr import RelationshipTypeValues as Relation
from highdicom.sr.value_types import ContentItem
from pydicom.uid import CTImageStorage

from node.domain.spine import Deformity, Heights, Reformat, Vertebra
from node.errors import ReportInvalid
from node.report import items
from node.report.bone_density import Report, algorithm, assignment_statements, image_library, observer
from node.report.outline import Raster
from node.report.source import Region, SourceFrame
from node.report.template import Coded

_MEASUREMENTS = Coded("126010", "DCM", "Imaging Measurements")
_PROCEDURE_REPORTED = Coded("121058", "DCM", "Procedure reported")
_HEXAGON = (0, 2, 4, 5, 3, 1)
"""Order of ``Heights.points_lps_mm`` around the body: along the upper endplate and back along the lower."""


def content(report: Report) -> hd.sr.ContainerContentItem:
    """The root of the content tree. Raises ``ReportInvalid`` when there is nothing to draw on."""
    template = report.template
    reformat = next((one for one in report.findings.reformats if one.name == "sagittal"), None)
    if reformat is None:
        raise ReportInvalid("there are no sagittal images to report heights on")
    frames = _frames(report, reformat)
    drawn = [(v, _region(v.heights, frames)) for v in report.findings.vertebrae if v.heights is not None]
    root = hd.sr.ContainerContentItem(name=items.concept(template.heights.title), template_id="1500")
    root.ContentSequence = hd.sr.ContentSequence(
        [
            *hd.sr.LanguageOfContentItemAndDescendants(items.concept(template.language)),
            *observer(report),
            items.code(_PROCEDURE_REPORTED, template.document.procedure, Relation.HAS_CONCEPT_MOD),
            image_library(report, [region for _, region in drawn]),
            items.container(_MEASUREMENTS, [_group(report, vertebra, region) for vertebra, region in drawn]),
            items.container(template.concepts["qualitative_evaluations"], list(_statements(report))),
        ]
    )
    return root


def _frames(report: Report, reformat: Reformat) -> list[SourceFrame]:
    """The sagittal images as they are written by ``sagittal``."""
    step, down, right = reformat.affine_lps_mm[:3, :3].T
    rows, columns = reformat.hu.shape[1:]
    return [
        SourceFrame(
            path=report.source.representative_instance.path,
            sop_class_uid=str(CTImageStorage),
            sop_instance_uid=report.uids.uid("instance", reformat.name, index),
            frame_number=None,
            raster=Raster(reformat.affine_lps_mm[:3, 3] + index * step, right, down, rows, columns),
        )
        for index in range(reformat.hu.shape[0])
    ]


def _region(heights: Heights, frames: list[SourceFrame]) -> Region:
    """The six points on the nearest image, as a closed outline."""
    points = np.array(heights.points_lps_mm)[list(_HEXAGON)]
    middle = points.mean(axis=0)
    frame = min(frames, key=lambda one: abs(float((middle - one.raster.origin_lps_mm) @ one.raster.normal)))
    corners = frame.raster.pixels(points) + 0.5
    limits = np.array([frame.raster.columns, frame.raster.rows], dtype=np.float64)
    corners = np.clip(corners, 0.0, limits)
    return Region(frame, np.concatenate([corners, corners[:1]]))


def _group(report: Report, vertebra: Vertebra, region: Region) -> ContentItem:
    """Heights of one vertebral body, and its deformity as a candidate for review."""
    template, heights, level = report.template, vertebra.heights, vertebra.level
    if heights is None:
        raise ReportInvalid(f"{level} has no heights to report")
    numbers = template.numbers
    measurements = [
        items.number(numbers["height_anterior"], heights.anterior_mm),
        items.number(numbers["height_middle"], heights.middle_mm),
        items.number(numbers["height_posterior"], heights.posterior_mm),
    ]
    if (loss := candidate_loss_percent(vertebra)) is not None:
        measurements.append(items.number(numbers["height_loss"], loss))
    return items.group(
        tracking=report.say("tracking_body", level=level),
        tracking_uid=report.uids.uid("body", level),
        finding=template.findings["body"],
        site=template.site(level),
        algorithm=algorithm(report, calibrated=False),
        regions=(region,),
        measurements=measurements,
        answers=list(_deformity(report, vertebra.deformity)),
        comment=report.say("comment_heights", level=level, finding=_finding(report, vertebra.deformity)),
        comment_name=template.concepts["comment"],
        planar=True,
    )


def candidate_loss_percent(vertebra: Vertebra) -> float | None:
    """Loss of a deformity to be looked at; of others none is stated, so that viewers have room for the level."""
    deformity = vertebra.deformity
    return None if deformity is None or deformity.type == "none" else deformity.loss_percent


def _deformity(report: Report, deformity: Deformity | None) -> Iterator[ContentItem]:
    if deformity is not None:
        concepts, values = report.template.concepts, report.template.values
        yield items.code(concepts["deformity"], values["deformity"][deformity.type])
        yield items.code(concepts["genant_grade"], values["genant_grade"][str(deformity.genant_grade)])


def _finding(report: Report, deformity: Deformity | None) -> str:
    """The deformity in words, for the first line that a viewer shows beside the outline."""
    if deformity is None:
        return report.say("deformity_unknown")
    values = report.template.values
    if deformity.type == "none":
        return values["deformity"]["none"].meaning
    return report.say(
        "deformity_candidate",
        type=values["deformity"][deformity.type].meaning,
        loss=report.figure("height_loss", deformity.loss_percent),
        grade=deformity.genant_grade,
        confidence=f"{deformity.confidence:.2f}",
    )


def _statements(report: Report) -> Iterator[ContentItem]:
    """What holds for all vertebrae."""
    concepts = report.template.concepts
    for caution in report.findings.cautions:
        yield items.text(concepts["warning"], report.warning(caution))
    yield from assignment_statements(report)
    yield items.text(concepts["notice"], report.say("notice"))
