"""The measurement of one series, as a story: read, calibrate, find, measure, judge, report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from node import report
from node.dicom import read
from node.domain.findings import BoneDensity, Category, Caution, Findings, Refusal
from node.domain.instance import InstanceHeader
from node.domain.job import MeasureJob, MeasureOutcome
from node.domain.phantom import Calibration, PhantomFit, PhantomModel
from node.domain.settings import MeasurementSettings
from node.domain.spine import LevelAssignment, Reformat, SpineMap, Vertebra, Voi
from node.domain.volume import Volume
from node.errors import SpineNotFound, StudyRefused
from node.imaging import body, calibration, density, morphometry, phantom, reformat, spine, verdict
from node.imaging.body import Scene


def run(job: MeasureJob) -> MeasureOutcome:
    """Measure one series and write its report, pictures and result into ``job.out_dir``.

    The same job gives the same files. Refusals are outcomes, not errors; whatever else goes wrong is raised.
    """
    header = job.series.instances[0].header
    volume: Volume | None = None
    try:
        volume = read.volume(job.series)
        findings = measure(volume, header, job.phantoms, job.settings)
    except StudyRefused as refused:
        findings = _nothing_measured(header, refused)
    job.out_dir.mkdir(parents=True, exist_ok=True)
    previews = report.previews(volume, findings, job.out_dir) if volume is not None else ()
    objects = report.write(findings, job) if findings.refusal is None or job.report_refusals else ()
    result_json = job.out_dir / "result.json"
    result = report.result(findings, job, objects)
    result_json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return MeasureOutcome(
        "measured" if findings.refusal is None else "refused", findings.refusal, result_json, objects, previews
    )


def measure(
    volume: Volume, header: InstanceHeader, phantoms: tuple[PhantomModel, ...], settings: MeasurementSettings
) -> Findings:
    """Measure everything that can be measured; what cannot is refused with its reason.

    A refused calibration still leaves levels with their attenuation and heights; a refused spine leaves nothing.
    """
    scene = body.separate(volume, header.patient_position)
    calibrated = _calibrate(volume, scene, phantoms, settings, header)
    try:
        column = spine.locate(volume, scene)
    except SpineNotFound as refused:
        findings = _nothing_measured(header, refused)
        return replace(findings, phantom=calibrated.fit, calibration=calibrated.calibration)
    vertebrae = morphometry.deformities(spine.delineate(volume, column))
    vois = {v.level: density.sample(volume, v, settings.voi) for v in vertebrae if v.complete}
    reformats = (reformat.sagittal(volume, column),)
    return _judge(header, calibrated, column, vertebrae, vois, reformats, settings)


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """The calibration, or why there is none."""

    fit: PhantomFit | None
    calibration: Calibration | None
    refusal: StudyRefused | None


def _calibrate(
    volume: Volume,
    scene: Scene,
    phantoms: tuple[PhantomModel, ...],
    settings: MeasurementSettings,
    header: InstanceHeader,
) -> _Calibrated:
    fit: PhantomFit | None = None
    try:
        fit = phantom.find(volume, scene, phantoms)
        return _Calibrated(fit, calibration.fit(fit, settings.calibration), None)
    except StudyRefused as refused:
        return _Calibrated(fit, None, refused)


def _judge(
    header: InstanceHeader,
    calibrated: _Calibrated,
    column: SpineMap,
    vertebrae: tuple[Vertebra, ...],
    vois: Mapping[str, Voi],
    reformats: tuple[Reformat, ...],
    settings: MeasurementSettings,
) -> Findings:
    """Apply the clinical rules to what was found."""
    limits = settings.levels
    refusal, mean_levels = calibrated.refusal, ()
    densities: dict[str, BoneDensity] = {}
    try:
        targets = verdict.require_targets(vertebrae, column.assignment, limits)
        if calibrated.refusal is None and calibrated.fit is not None:
            target_vois = {v.level: vois[v.level] for v in targets if v.level in vois}
            mean_levels = verdict.select_levels(target_vois, limits)
            verdict.require_phantom_beside({level: vois[level] for level in mean_levels}, calibrated.fit)
    except StudyRefused as refused:
        refusal = refusal or refused
    found = verdict.cautions(header, calibrated.calibration, mean_levels, settings.category)
    mean = None
    category: Category = "not-classified"
    if refusal is None and calibrated.calibration is not None:
        densities = _densities(vois, calibrated.calibration, mean_levels, settings)
        included = [densities[level] for level in mean_levels]
        mean = density.mean(
            included, [vois[level] for level in mean_levels], calibrated.calibration, settings.uncertainty
        )
        category = verdict.categorise(mean.vbmd_mg_cm3, found, settings.category)
    return Findings(
        header=header,
        refusal=_as_value(refusal),
        cautions=found,
        phantom=calibrated.fit,
        calibration=calibrated.calibration,
        vertebrae=vertebrae,
        assignment=column.assignment,
        vois=vois,
        densities=densities,
        mean_vbmd_mg_cm3=mean.vbmd_mg_cm3 if mean else None,
        mean_expanded_uncertainty_mg_cm3=mean.expanded_uncertainty_mg_cm3 if mean else None,
        mean_levels=mean_levels if mean else (),
        category=category,
        reformats=reformats,
    )
