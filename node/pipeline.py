"""The measurement of one series, as a story: read, calibrate, find, measure, judge, report."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from node import report, segmenters
from node.dicom import read
from node.domain.findings import Findings, Refusal
from node.domain.instance import InstanceHeader
from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject
from node.domain.phantom import Calibration, PhantomFit, PhantomModel
from node.domain.settings import MeasurementSettings
from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.errors import StudyRefused
from node.imaging import body, calibration, density, morphometry, phantom, reformat, spine, verdict
from node.imaging.body import Scene


def run(job: MeasureJob) -> MeasureOutcome:
    """Measure one series and write its report, pictures and result into ``job.out_dir``.

    The same job gives the same files. Refusals are outcomes, not errors; whatever else goes wrong is raised.
    """
    header = _acquisition(job)
    volume: Volume | None = None
    try:
        volume = read.volume(job.series)
        findings = measure(volume, header, job.phantoms, job.settings)
    except StudyRefused as refused:
        findings = _nothing_found(header, refused)
    return _leave(findings, volume, job)


def refuse(job: MeasureJob, refused: StudyRefused) -> MeasureOutcome:
    """Leave in ``job.out_dir`` the result of a series whose measurement failed: no report, which might be the cause."""
    return _outcome(_nothing_found(_acquisition(job), refused), job, (), ())


def _acquisition(job: MeasureJob) -> InstanceHeader:
    """Header of an image of the stack: a localizer may hide among them."""
    headers = [instance.header for instance in job.series.instances]
    return next((one for one in headers if one.planes and "LOCALIZER" not in one.image_type), headers[0])


def _leave(findings: Findings, volume: Volume | None, job: MeasureJob) -> MeasureOutcome:
    """Write pictures, report and result. A series without UIDs gets no report: none could refer to it."""
    job.out_dir.mkdir(parents=True, exist_ok=True)
    previews = report.previews(volume, findings, job.out_dir) if volume is not None else ()
    headers = [instance.header for instance in job.series.instances]
    identified = all(h.study_instance_uid and h.series_instance_uid and h.sop_instance_uid for h in headers)
    return _outcome(findings, job, report.write(findings, volume, job) if identified else (), previews)


def _outcome(
    findings: Findings, job: MeasureJob, objects: tuple[OutgoingObject, ...], previews: tuple[Path, ...]
) -> MeasureOutcome:
    job.out_dir.mkdir(parents=True, exist_ok=True)
    result_json = job.out_dir / "result.json"
    result = report.result(findings, [one.sop_instance_uid for one in objects])
    result_json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return MeasureOutcome(
        "measured" if findings.refusal is None else "refused", findings.refusal, result_json, objects, previews
    )


def measure(
    volume: Volume, header: InstanceHeader, phantoms: tuple[PhantomModel, ...], settings: MeasurementSettings
) -> Findings:
    """Measure all that can be measured in one volume; what cannot is refused with its reason.

    Without a calibration the levels still carry their attenuation and heights. Raises ``StudyRefused`` when not
    even a spine is found.
    """
    scene = body.separate(volume, header.patient_position)
    standard = _calibrate(volume, scene, phantoms, settings)
    column, doubts = segmenters.find(volume, scene, settings.segmenter)
    vertebrae = morphometry.deformities(spine.delineate(volume, column))
    vois = {v.level: density.sample(volume, v, settings.voi) for v in vertebrae if v.complete}
    found = Findings(
        header=header,
        refusal=None,
        cautions=doubts,
        phantom=standard.fit,
        calibration=standard.calibration,
        vertebrae=vertebrae,
        assignment=column.assignment,
        vois=vois,
        densities={},
        mean_vbmd_mg_cm3=None,
        mean_expanded_uncertainty_mg_cm3=None,
        mean_levels=(),
        category="not-classified",
        reformats=(reformat.sagittal(volume, vertebrae, settings.reformat, header.slice_thickness_mm),),
        curved=reformat.curved(volume, vertebrae, settings.reformat, header.slice_thickness_mm)
        if settings.reformat.curved
        else (),
    )
    return _judge(found, standard, column, settings)


@dataclass(frozen=True, slots=True)
class _Standard:
    """The phantom and its calibration, or why there is none."""

    fit: PhantomFit | None = None
    calibration: Calibration | None = None
    refusal: StudyRefused | None = None


def _calibrate(
    volume: Volume, scene: Scene, phantoms: tuple[PhantomModel, ...], settings: MeasurementSettings
) -> _Standard:
    fit: PhantomFit | None = None
    try:
        fit = phantom.find(volume, scene, phantoms)
        return _Standard(fit, calibration.fit(fit, settings.calibration))
    except StudyRefused as refused:
        return _Standard(fit, None, refused)


def _judge(found: Findings, standard: _Standard, column: SpineMap, settings: MeasurementSettings) -> Findings:
    """Apply the clinical rules: densities, mean and category, or the refusal with what was found."""
    mean_levels: tuple[str, ...] = ()
    refusal = standard.refusal
    try:
        mean_levels = _levels_of_mean(found, column, standard.fit, settings)
    except StudyRefused as refused:
        refusal = refusal or refused
    cautions = verdict.cautions(found.header, standard.calibration, mean_levels, settings.category)
    cautions += verdict.naming_caution(column.assignment) + found.cautions
    if refusal is not None or standard.calibration is None:
        return replace(found, refusal=_as_value(refusal), cautions=cautions)
    densities = {
        level: density.density(voi, level, standard.calibration, settings.uncertainty)
        for level, voi in found.vois.items()
    }
    mean, uncertainty = density.mean(
        [found.vois[level] for level in mean_levels], standard.calibration, settings.uncertainty
    )
    return replace(
        found,
        cautions=cautions,
        densities=verdict.mark(densities, mean_levels),
        mean_vbmd_mg_cm3=mean,
        mean_expanded_uncertainty_mg_cm3=uncertainty,
        mean_levels=mean_levels,
        category=verdict.categorise(mean, cautions, settings.category),
    )


def _levels_of_mean(
    found: Findings, column: SpineMap, fit: PhantomFit | None, settings: MeasurementSettings
) -> tuple[str, ...]:
    candidates = verdict.require_targets(found.vertebrae, column.assignment, settings.levels)
    vois = {vertebra.level: found.vois[vertebra.level] for vertebra in candidates}
    levels = verdict.select_levels(vois, settings.levels)
    if fit is not None:
        verdict.require_phantom_beside({level: vois[level] for level in levels}, fit)
    return levels


def _as_value(refused: StudyRefused | None) -> Refusal | None:
    return None if refused is None else Refusal(refused.reason, refused.message, refused.evidence)


def _nothing_found(header: InstanceHeader, refused: StudyRefused) -> Findings:
    """A refusal before any vertebra was found."""
    return Findings(
        header=header,
        refusal=_as_value(refused),
        cautions=(),
        phantom=None,
        calibration=None,
        vertebrae=(),
        assignment=None,
        vois={},
        densities={},
        mean_vbmd_mg_cm3=None,
        mean_expanded_uncertainty_mg_cm3=None,
        mean_levels=(),
        category="not-classified",
        reformats=(),
    )
