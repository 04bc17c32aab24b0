"""What the bone-density report says: the content tree (PS3.16 TID 1500), from findings and a template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import highdicom as hd
from highdicom.sr import RelationshipTypeValues as Relation
from highdicom.sr.value_types import ContentItem

from node.domain.findings import BoneDensity, Caution, Converted, Findings
from node.domain.job import Predecessor, Provenance
from node.domain.phantom import Calibration
from node.domain.prior import Change
from node.domain.settings import CategoryLimits, ReportSettings
from node.domain.spine import Vertebra, Voi
from node.errors import ReportInvalid
from node.report import items
from node.report.items import SegmentReference
from node.report.segmentation import Plan
from node.report.source import Region, Source
from node.report.template import Coded, Template
from node.report.uids import DEVICE_UID, Uids

_MEASUREMENTS = Coded("126010", "DCM", "Imaging Measurements")
_LIBRARY = Coded("111028", "DCM", "Image Library")
_LIBRARY_GROUP = Coded("126200", "DCM", "Image Library Group")
_SOURCE = Coded("260753009", "SCT", "Source")
_MODALITY = Coded("121139", "DCM", "Modality")
_CT = Coded("CT", "DCM", "Computed Tomography")
_FRAME_OF_REFERENCE = Coded("112227", "DCM", "Frame of Reference UID")
_PROCEDURE_REPORTED = Coded("121058", "DCM", "Procedure reported")
_MEAN = Coded("373098007", "SCT", "Mean")


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that the content is made from."""

    findings: Findings
    source: Source
    template: Template
    uids: Uids
    provenance: Provenance
    category: CategoryLimits
    settings: ReportSettings = field(default_factory=ReportSettings)
    predecessors: tuple[Predecessor, ...] = ()
    """Reports that those of this job replace."""
    segmentation: Plan | None = None
    """The segments that groups refer to; ``None`` where none is sent."""
    vertebrae_wanted: int = 2
    """In the mean."""

    @property
    def refused(self) -> bool:
        """Whether there is no density to report."""
        return self.findings.refusal is not None

    @property
    def missing(self) -> str | None:
        """What the report lacks of what it should say, in at most 64 characters."""
        refusal, levels = self.findings.refusal, self.findings.mean_levels
        if refusal is not None:
            return f"not measured: {refusal.reason}"[:64]
        return f"mean of {', '.join(levels)} alone"[:64] if len(levels) < self.vertebrae_wanted else None

    @property
    def written(self) -> frozenset[str]:
        """What is written for this series: of a refused one the bone-density report alone."""
        sagittal = any(reformat.name == "sagittal" for reformat in self.findings.reformats)
        heights = any(vertebra.heights for vertebra in self.findings.vertebrae)
        missing = {
            "segmentation": self.segmentation is None,
            "sagittal": not sagittal,
            "heights": not (sagittal and heights and "sagittal" in self.settings.outputs),
        }
        if self.refused:
            return frozenset({"bone-density", "summary", "summary-pdf"} & set(self.settings.outputs))
        return frozenset(name for name in self.settings.outputs if not missing.get(name))

    def segment(self, regions: tuple[Region, ...], *name: str) -> SegmentReference | None:
        """The segment of that name, where one is written."""
        if self.segmentation is None or name not in self.segmentation.number or not regions:
            return None
        number = self.segmentation.number[name]
        return SegmentReference(self.segmentation.sop_instance_uid, number, regions[0].frame)

    def say(self, name: str, /, **words: object) -> str:
        """A sentence of the template."""
        return self.template.texts[name].format(**words)

    def warning(self, caution: Caution) -> str:
        """A warning with its code, in the language of the template."""
        message = self.template.message(caution.code, caution.message)
        return self.say("warning", message=message, code=caution.code)

    def figure(self, name: str, value: float) -> str:
        """A number as the template prints it."""
        return items.printed(value, self.template.numbers[name].decimals)


def content(report: Report) -> hd.sr.ContainerContentItem:
    """The root of the content tree."""
    template, document = report.template, report.template.document
    groups, used = _groups(report)
    root = hd.sr.ContainerContentItem(
        name=items.concept(document.title_refused if report.refused else document.title), template_id="1500"
    )
    tree: list[ContentItem] = [
        *hd.sr.LanguageOfContentItemAndDescendants(items.concept(template.language)),
        *observer(report),
        items.code(_PROCEDURE_REPORTED, document.procedure, Relation.HAS_CONCEPT_MOD),
        *_explanation(report),
        image_library(report, [] if report.refused else used),
    ]
    if groups:
        tree.append(items.container(_MEASUREMENTS, groups))
    tree.append(items.container(template.concepts["qualitative_evaluations"], list(_statements(report))))
    root.ContentSequence = hd.sr.ContentSequence(tree)
    return root


def _explanation(report: Report) -> Iterator[ContentItem]:
    """Why nothing was measured, ahead of all else (an addition to TID 1500, which is extensible)."""
    refusal = report.findings.refusal
    if refusal is not None:
        name = report.template.concepts["refusal_message"]
        yield items.text(name, f"{report.template.message(refusal.reason, refusal.message)} [{refusal.reason}]")


def observer(report: Report) -> hd.sr.ObservationContext:
    """The software, as the observer (TID 1004)."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=DEVICE_UID,
        name=report.template.document.model,
        manufacturer_name=report.template.document.manufacturer,
        model_name=report.template.document.model,
    )
    context = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"), observer_identifying_attributes=device
    )
    return hd.sr.ObservationContext(observer_device_context=context)


def image_library(report: Report, used: list[Region]) -> hd.sr.ContainerContentItem:
    """The images that carry a region, else the one that stands for the series (TID 1600).

    Never absent: some viewers fail without it. Never the whole series: it would fill the report, and a report that
    is shown as plain text should come to its point.
    """
    library: list[ContentItem] = [
        items.code(_MODALITY, _CT, Relation.HAS_ACQ_CONTEXT),
    ]
    frame_of_reference = report.findings.header.frame_of_reference_uid
    if frame_of_reference:
        library.append(
            hd.sr.UIDRefContentItem(
                name=items.concept(_FRAME_OF_REFERENCE),
                value=frame_of_reference,
                relationship_type=Relation.HAS_ACQ_CONTEXT,
            )
        )
    stand_in = report.source.representative
    wanted: dict[str, str] = {}
    frames: dict[str, set[int]] = {}
    for region in used:
        wanted[region.frame.sop_instance_uid] = region.frame.sop_class_uid
        if region.frame.frame_number:
            frames.setdefault(region.frame.sop_instance_uid, set()).add(region.frame.frame_number)
    for instance, sop_class in (wanted or {str(stand_in.SOPInstanceUID): str(stand_in.SOPClassUID)}).items():
        library.append(
            hd.sr.ImageContentItem(
                name=items.concept(_SOURCE),
                referenced_sop_class_uid=sop_class,
                referenced_sop_instance_uid=instance,
                referenced_frame_numbers=sorted(frames[instance]) if instance in frames else None,
                relationship_type=Relation.CONTAINS,
            )
        )
    return items.container(_LIBRARY, [items.container(_LIBRARY_GROUP, library)])


def _groups(report: Report) -> tuple[list[ContentItem], list[Region]]:
    """All measurement groups, and the regions they lie on: the mean, its vertebrae, the other vertebrae, heights."""
    findings = report.findings
    vertebrae = [v for v in findings.vertebrae if v.level in findings.vois]
    of_level = {v.level: report.source.regions(findings.vois[v.level].mask) for v in vertebrae}
    groups: list[ContentItem] = []
    if not report.refused and findings.mean_vbmd_mg_cm3 is not None:
        groups.append(_mean_group(report, of_level))
    for vertebra in sorted(vertebrae, key=lambda v: v.level not in findings.mean_levels):
        groups.append(_voi_group(report, vertebra, findings.vois[vertebra.level], of_level[vertebra.level]))
    used = [region for regions in of_level.values() for region in regions]
    for vertebra in findings.vertebrae:
        if vertebra.heights is None or "heights" in report.written:
            continue
        region = _body_region(report.source, vertebra, of_level.get(vertebra.level, ()))
        if region is not None:
            groups.append(_body_group(report, vertebra, (region,)))
            used.append(region)
    return groups, used


def _led_by(regions: tuple[Region, ...], index: int) -> tuple[Region, ...]:
    """The regions with one of them in front: viewers write the numbers beside the first outline of a group.

    So each group is led by an image of its own, else their numbers are written over each other.
    """
    return (*regions[index : index + 1], *regions[:index], *regions[index + 1 :])


def _body_region(source: Source, vertebra: Vertebra, taken: tuple[Region, ...]) -> Region | None:
    """The outline of a body nearest its middle on an image without other outlines, else on any image."""
    frames = source.frames_near(vertebra.body)
    images = {region.frame.key for region in taken}
    order = sorted(range(len(frames)), key=lambda index: (frames[index].key in images, abs(index - len(frames) // 2)))
    regions = (source.region(frames[index], vertebra.body) for index in order)
    return next((region for region in regions if region is not None), None)


def _density(report: Report, level: str) -> BoneDensity | None:
    return None if report.refused else report.findings.densities.get(level)


def _voi_group(report: Report, vertebra: Vertebra, voi: Voi, regions: tuple[Region, ...]) -> ContentItem:
    """Density and attenuation of one vertebra."""
    template, level, numbers = report.template, vertebra.level, report.template.numbers
    density = _density(report, level)
    measurements, comment = [], report.say("comment_voi_no_density", level=level)
    ordered = _led_by(regions, len(regions) // 2)
    if density is not None:
        method = _method(report)
        measurements += [
            items.number(numbers["vbmd"], density.vbmd_mg_cm3, method),
            items.number(numbers["vbmd_uncertainty"], density.expanded_uncertainty_mg_cm3, method),
            *_converted(report, "vbmd_k2hpo4", density.k2hpo4),
        ]
        comment = report.say("comment_voi", level=level, **_printed_density(report, density))
    measurements += [
        items.number(numbers["hu_mean"], voi.hu_mean),
        items.number(numbers["hu_sd"], voi.hu_sd),
        items.number(numbers["voi_volume"], voi.volume_mm3),
        items.number(numbers["level_confidence"], vertebra.confidence),
    ]
    return items.group(
        tracking=report.say("tracking_voi", level=level),
        tracking_uid=report.uids.uid("voi", level),
        finding=template.findings["trabecular"],
        site=template.site(level),
        algorithm=algorithm(report),
        regions=ordered,
        segment=report.segment(ordered, "voi", level),
        measurements=measurements,
        answers=list(_inclusion(report, voi, density)),
        comment=comment,
        comment_name=template.concepts["comment"],
    )


def _converted(report: Report, name: str, value: Converted | None) -> list[hd.sr.Measurement]:
    """A density expressed in another way, and its uncertainty, under names of their own."""
    if value is None:
        return []
    numbers = report.template.numbers
    return [
        items.number(numbers[name], value.vbmd_mg_cm3),
        items.number(numbers[f"{name}_uncertainty"], value.expanded_uncertainty_mg_cm3),
    ]


def _printed_density(report: Report, density: BoneDensity) -> dict[str, str]:
    return {
        "vbmd": report.figure("vbmd", density.vbmd_mg_cm3),
        "uncertainty": report.figure("vbmd_uncertainty", density.expanded_uncertainty_mg_cm3),
        "material": _material(report),
    }


def _inclusion(report: Report, voi: Voi, density: BoneDensity | None) -> Iterator[ContentItem]:
    """Whether the vertebra enters the mean, and why not."""
    concepts, values = report.template.concepts, report.template.values["included"]
    if density is not None:
        yield items.code(concepts["included"], values["yes" if density.included_in_mean else "no"])
    reason = voi.exclusion or (density.exclusion_reason if density else None)
    if reason:
        english = voi.exclusion_message if voi.exclusion and voi.exclusion_message else reason.replace("-", " ")
        message = report.template.message(f"excluded-{reason}", english)
        yield items.text(concepts["exclusion"], report.say("exclusion", message=message, code=reason))


def _mean_group(report: Report, of_level: Mapping[str, tuple[Region, ...]]) -> ContentItem:
    """The mean density and its category, on the outlines it was taken from."""
    template, findings = report.template, report.findings
    mean, uncertainty = findings.mean_vbmd_mg_cm3, findings.mean_expanded_uncertainty_mg_cm3
    if mean is None:
        raise ReportInvalid("there is no mean to report")
    levels, method = ", ".join(findings.mean_levels), _method(report)
    regions = tuple(region for level in findings.mean_levels for region in of_level.get(level, ()))
    measurements = [items.number(items.derived(template.numbers["vbmd"], _MEAN), mean, method)]
    if uncertainty is not None:
        measurements.append(items.number(template.numbers["vbmd_uncertainty"], uncertainty, method))
    measurements += _converted(report, "vbmd_k2hpo4", findings.mean_k2hpo4)
    measurements += _converted(report, "vbmd_native_estimate", findings.mean_native_estimate)
    comment = report.say(
        "comment_mean",
        levels=levels,
        vbmd=report.figure("vbmd", mean),
        uncertainty=report.say("not_stated") if uncertainty is None else report.figure("vbmd_uncertainty", uncertainty),
        material=_material(report),
    )
    return items.group(
        tracking=report.say("tracking_mean", levels=levels),
        tracking_uid=report.uids.uid("mean"),
        finding=template.findings["trabecular"],
        site=template.site_of_mean(findings.mean_levels),
        algorithm=algorithm(report),
        regions=regions,
        segment=report.segment(regions, "mean"),
        measurements=measurements,
        answers=[
            items.code(template.concepts["category"], template.values["category"][findings.category]),
            items.text(template.concepts["category_limits"], _limits(report)),
        ],
        comment=comment,
        comment_name=template.concepts["comment"],
    )


def _limits(report: Report) -> str:
    limits = report.category
    return report.say(
        "category_limits",
        normal=f"{limits.normal_above_mg_cm3:g}",
        osteoporosis=f"{limits.osteoporosis_below_mg_cm3:g}",
        material=limits.material,
        kvp=f"{limits.kvp:g}",
        source=report.template.category.source,
    )


def _body_group(report: Report, vertebra: Vertebra, regions: tuple[Region, ...]) -> ContentItem:
    """Heights of one vertebral body, and its deformity as a candidate for review."""
    template, heights, deformity = report.template, vertebra.heights, vertebra.deformity
    if heights is None:
        raise ReportInvalid(f"{vertebra.level} has no heights to report")
    numbers, concepts = template.numbers, template.concepts
    measurements = [
        items.number(numbers["height_anterior"], heights.anterior_mm),
        items.number(numbers["height_middle"], heights.middle_mm),
        items.number(numbers["height_posterior"], heights.posterior_mm),
    ]
    answers: list[ContentItem] = []
    if deformity is not None:
        measurements.append(items.number(numbers["height_loss"], deformity.loss_percent))
        answers = [
            items.code(concepts["deformity"], template.values["deformity"][deformity.type]),
            items.code(concepts["genant_grade"], template.values["genant_grade"][str(deformity.genant_grade)]),
        ]
    return items.group(
        tracking=report.say("tracking_body", level=vertebra.level),
        tracking_uid=report.uids.uid("body", vertebra.level),
        finding=template.findings["body"],
        site=template.site(vertebra.level),
        algorithm=algorithm(report, calibrated=False),
        regions=regions,
        measurements=measurements,
        answers=answers,
        comment=report.say("comment_body", level=vertebra.level),
        comment_name=concepts["comment"],
    )


def _material(report: Report) -> str:
    calibration = report.findings.calibration
    if calibration is None:
        raise ReportInvalid("there is a density without a calibration")
    return calibration.material


def _method(report: Report) -> Coded:
    calibration = report.findings.calibration
    asynchronous = calibration is not None and calibration.kind == "asynchronous"
    return report.template.values["method"][_material(report) + ("-asynchronous" if asynchronous else "")]


def algorithm(report: Report, calibrated: bool = True) -> hd.sr.AlgorithmIdentification:
    """Name, version and parameters (TID 4019): enough to make a number again."""
    return hd.sr.AlgorithmIdentification(
        name=report.template.document.algorithm,
        version=report.provenance.software_version,
        parameters=[f"configuration = {report.provenance.config_digest}", *(_parameters(report) if calibrated else ())],
    )


def _parameters(report: Report) -> Iterator[str]:
    findings, header = report.findings, report.findings.header
    if not report.refused and findings.calibration is not None:
        calibration = findings.calibration
        yield f"sigma_ct = {calibration.sigma_ct:.4f} HU per mg/cm3"
        yield f"beta_ct = {items.printed(calibration.beta_ct, 2)} HU"
        yield f"calibration = {calibration.kind}"
        if calibration.r_squared is not None and calibration.rms_residual_hu is not None:
            yield f"r_squared = {calibration.r_squared:.5f}"
            yield f"rms_residual = {calibration.rms_residual_hu:.2f} HU"
    if not report.refused and findings.phantom is not None:
        phantom = findings.phantom.phantom
        yield f"phantom = {phantom.model}, serial {phantom.serial or 'not stated'}"
    yield f"kvp = {_or_unknown(header.kvp)}"
    yield f"kernel = {_or_unknown(header.convolution_kernel)}"
    yield f"contrast = {_or_unknown(header.contrast_bolus_agent)}"


def _or_unknown(value: object) -> str:
    if value is None or value == "":
        return "not stated"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _statements(report: Report) -> Iterator[ContentItem]:
    """What holds for the study as a whole."""
    concepts, values, findings = report.template.concepts, report.template.values, report.findings
    yield items.code(concepts["status"], values["status"]["refused" if report.refused else "measured"])
    refusal = findings.refusal
    if refusal is not None:
        yield items.code(concepts["refusal_reason"], report.template.refusal(refusal.reason))
        for name, value in sorted(refusal.evidence.items()):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield items.text(concepts["evidence"], report.say("evidence", name=name, value=shown))
    for caution in findings.cautions:
        yield items.text(concepts["warning"], report.warning(caution))
    for change in findings.changes:
        yield from _change_statements(report, change)
    yield from _calibration_statements(report)
    yield items.text(concepts["acquisition"], _acquisition(report))
    yield from assignment_statements(report)
    yield items.text(concepts["notice"], report.say("notice"))


def _change_statements(report: Report, change: Change) -> Iterator[ContentItem]:
    """What became of the mean since one earlier result, and whether that is more than scatter."""
    concepts, answers = report.template.concepts, report.template.values["included"]
    on, said = change.prior.study_date.isoformat(), report.template.message
    if change.change_mg_cm3 is None or change.least_significant_change_mg_cm3 is None:
        reasons = "; ".join(said(f"not-comparable-{one.code}", one.message) for one in change.reasons)
        yield items.text(concepts["change"], report.say("change_not_comparable", date=on, reasons=reasons))
        return
    other = "; ".join(said(f"differs-{one.what}", one.message) for one in change.differences)
    rate = change.percent_per_year
    sentence = report.say(
        "change",
        date=on,
        change=f"{change.change_mg_cm3:+.1f}",
        percent="–" if change.change_percent is None else f"{change.change_percent:+.1f}",
        rate="" if rate is None else report.say("change_rate", rate=f"{rate:+.1f}"),
        least=f"{change.least_significant_change_mg_cm3:.1f}",
        differences=report.say("change_differences", differences=other) if other else "",
    )
    yield items.text(concepts["change"], sentence)
    yield items.code(concepts["change_significant"], answers["yes" if change.significant else "no"])


def _calibration_statements(report: Report) -> Iterator[ContentItem]:
    """Phantom, rods and line; of a refused calibration too, as evidence."""
    concepts, fit, calibration = report.template.concepts, report.findings.phantom, report.findings.calibration
    if fit is not None:
        model = fit.phantom
        words = {
            "model": model.model,
            "serial": model.serial or report.say("not_stated"),
            "id": model.id,
            "evidence": fit.evidence,
        }
        yield items.text(concepts["phantom"], report.say("phantom", **words))
        residuals = calibration.residuals_hu if calibration is not None else ()
        for index, reading in enumerate(fit.rods):
            sentence = report.say(
                "rod",
                name=reading.rod.name,
                density=items.printed(reading.rod.density_mg_cm3, 2),
                hu=items.printed(reading.hu_mean, 1),
                sd=items.printed(reading.hu_sd, 1),
                residual=items.printed(residuals[index], 1) if index < len(residuals) else report.say("not_stated"),
            )
            yield items.text(concepts["rod"], sentence)
    if calibration is not None:
        yield items.text(concepts["calibration"], _line(report, calibration))
        for level, local in report.findings.calibrations.items():
            yield items.text(concepts["local_calibration"], f"{level}: {_line(report, local)}")
    used = report.findings.cross_calibration
    if used is not None and not report.refused:
        sentence = report.say(
            "cross_calibration",
            slope=items.printed(used.slope, 4),
            intercept=items.added(used.intercept_mg_cm3, 2),
            material=used.from_material,
            measured=used.measured_on.isoformat(),
            expires=used.expires_on.isoformat(),
            source=used.source,
        )
        yield items.text(concepts["cross_calibration"], sentence)


def _line(report: Report, calibration: Calibration) -> str:
    line = {
        "sigma": items.printed(calibration.sigma_ct, 4),
        "beta": items.added(calibration.beta_ct, 2),
        "material": calibration.material,
    }
    if calibration.r_squared is None or calibration.rms_residual_hu is None:
        return report.say("calibration_asynchronous", **line, source=calibration.source or report.say("not_stated"))
    return report.say(
        "calibration",
        **line,
        r_squared=items.printed(calibration.r_squared, 5),
        rms=items.printed(calibration.rms_residual_hu, 2),
    )


def _acquisition(report: Report) -> str:
    header = report.findings.header
    stated = {
        "kvp": header.kvp,
        "kernel": header.convolution_kernel,
        "thickness": header.slice_thickness_mm,
        "contrast": header.contrast_bolus_agent,
        "manufacturer": header.manufacturer,
        "scanner": header.manufacturer_model_name,
    }
    unknown = report.say("not_stated")
    words = {name: unknown if value in (None, "") else _or_unknown(value) for name, value in stated.items()}
    return report.say("acquisition", **words)


def assignment_statements(report: Report) -> Iterator[ContentItem]:
    """How the levels got their names."""
    name, assignment = report.template.concepts["level_assignment"], report.findings.assignment
    if assignment is None:
        return
    words = {"agreement": report.say(f"levels_{assignment.agreement}"), "pairs": assignment.rib_pairs_seen}
    yield items.text(name, report.say("level_assignment", **words, confidence=f"{assignment.confidence:.2f}"))
    for anchor in assignment.anchors:
        level = anchor.level_of_first or report.say("not_stated")
        yield items.text(name, report.say("anchor", name=anchor.name, level=level, evidence=anchor.evidence))
