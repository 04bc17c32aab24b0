"""The measurement of one series, as a story: read, calibrate, find, measure, judge, report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from node import report, scan_record, segmenters
from node.dicom import read
from node.domain.findings import Converted, Findings, Refusal
from node.domain.instance import InstanceHeader, Series
from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject
from node.domain.phantom import Material, PhantomFit, PhantomModel
from node.domain.prior import PriorResult
from node.domain.quality import Quality
from node.domain.settings import MeasurementSettings
from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.errors import LevelsAmbiguous, StudyRefused
from node.imaging import (
    body,
    change,
    confounders,
    density,
    morphometry,
    readings,
    reformat,
    remarks,
    spine,
    standard,
    verdict,
    voi,
    voi_error,
)
from node.imaging.confounders import Seen
from node.imaging.standard import Circumstances, Standard
from node.routing.kernels import kernel_class
from node.routing.scanner import scan_date


def examine(
    series: Series, phantoms: tuple[PhantomModel, ...], settings: MeasurementSettings
) -> tuple[Volume | None, Findings]:
    """All that can be found in one series, and its volume where it could be read; nothing is written."""
    header = _acquisition(series)
    volume: Volume | None = None
    try:
        volume = read.volume(series)
        return volume, measure(volume, header, phantoms, settings)
    except StudyRefused as refused:
        return volume, _nothing_found(header, refused)


def run(job: MeasureJob) -> MeasureOutcome:
    """Measure one series and write its report, pictures and result into ``job.out_dir``.

    The same job gives the same files. Refusals are outcomes, not errors; whatever else goes wrong is raised.
    """
    header = _acquisition(job.series)
    limits = report.load(job.template).category.over(job.settings.category)
    job, left_out = _with_priors(replace(job, settings=replace(job.settings, category=limits)))
    outcome = _run(job, header)
    return replace(outcome, priors_left_out=left_out)


def _with_priors(job: MeasureJob) -> tuple[MeasureJob, tuple[str, ...]]:
    """The job with what its prior reports say, and why some of them say nothing."""
    if not job.settings.priors.enabled or not job.prior_reports or job.priors:
        return job, ()
    judged = report.judge(job.prior_reports, job.template, job.series.instances[0].path)
    return replace(job, priors=judged.results), judged.left_out


def _run(job: MeasureJob, header: InstanceHeader) -> MeasureOutcome:
    volume: Volume | None = None
    try:
        volume = read.volume(job.series)
        qa = scan_record.without_patient(volume, header, job)
        if qa is not None:
            return replace(_outcome(_nothing_found(header, qa.refusal), job, (), ()), scan_record=qa.record)
        findings = measure(volume, header, job.phantoms, job.settings, job.quality, job.priors)
        findings = _compared(findings, job)
    except StudyRefused as refused:
        findings = _nothing_found(header, refused)
    return _leave(findings, volume, job)


def _compared(findings: Findings, job: MeasureJob) -> Findings:
    """Add the changes since earlier results, and whether some may be missing."""
    changes = change.changes(findings, scan_date(job.series), job.priors, job.settings.priors)
    missing = (change.INCOMPLETE,) if job.priors_incomplete else ()
    return replace(findings, changes=changes, cautions=findings.cautions + missing)


def refuse(job: MeasureJob, refused: StudyRefused) -> MeasureOutcome:
    """Leave in ``job.out_dir`` the result of a series whose measurement failed: no report, which might be the cause."""
    return _outcome(_nothing_found(_acquisition(job.series), refused), job, (), ())


def _acquisition(series: Series) -> InstanceHeader:
    """Header of an image of the stack: a localizer may hide among them."""
    headers = [instance.header for instance in series.instances]
    return next((one for one in headers if one.planes and "LOCALIZER" not in one.image_type), headers[0])


def _leave(findings: Findings, volume: Volume | None, job: MeasureJob) -> MeasureOutcome:
    """Write pictures, report and result. A series without UIDs gets no report: none could refer to it."""
    job.out_dir.mkdir(parents=True, exist_ok=True)
    previews = report.previews(volume, findings, job.out_dir) if volume is not None else ()
    headers = [instance.header for instance in job.series.instances]
    identified = all(h.study_instance_uid and h.series_instance_uid and h.sop_instance_uid for h in headers)
    outcome = _outcome(findings, job, report.write(findings, volume, job) if identified else (), previews)
    return replace(outcome, scan_record=scan_record.of_patient(findings, job))


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
    volume: Volume,
    header: InstanceHeader,
    phantoms: tuple[PhantomModel, ...],
    settings: MeasurementSettings,
    quality: Quality | None = None,
    priors: tuple[PriorResult, ...] = (),
) -> Findings:
    """Measure all that can be measured in one volume; what cannot is refused with its reason.

    ``quality`` is what the record knows about the scanner, ``priors`` what earlier reports say of the patient.
    Without a calibration the levels still carry their attenuation and heights. Raises ``StudyRefused`` when not even a
    spine is found.
    """
    kernel = kernel_class(header.manufacturer, header.convolution_kernel)
    circumstances = Circumstances(header, kernel, quality or Quality())
    scene = body.separate(volume, header.patient_position)
    reference = standard.establish(volume, scene, phantoms, settings, circumstances)
    column, doubts = segmenters.find(volume, scene, settings.segmenter)
    column, delineated, renamed = spine.keep_naming(column, spine.delineate(volume, column), priors)
    vertebrae = morphometry.deformities(delineated, settings.fractures)
    noise = voi_error.reference(volume, reference.fit) if reference.fit else None
    vois = voi.measure(volume, vertebrae, settings.voi, settings.suitability, noise, header.slice_thickness_mm)
    found = Findings(
        header=header,
        refusal=None,
        cautions=doubts + renamed,
        phantom=reference.fit,
        calibration=reference.calibration,
        vertebrae=morphometry.stated(vertebrae, settings.fractures),
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
    seen = confounders.find(volume, scene, vertebrae, vois, settings, circumstances)
    return _without_empty(_judge(found, reference, column, settings, circumstances, seen))


def _without_empty(found: Findings) -> Findings:
    """Leave out VOIs that hold nothing: there is nothing in them to report or to draw."""
    vois = {level: one for level, one in found.vois.items() if one.volume_mm3 > 0}
    return replace(found, vois=vois, densities={k: v for k, v in found.densities.items() if k in vois})


def _judge(
    found: Findings,
    reference: Standard,
    column: SpineMap,
    settings: MeasurementSettings,
    circumstances: Circumstances,
    seen: Seen,
) -> Findings:
    """Apply the clinical rules: densities, mean and category, or the refusal with what was found."""
    mean_levels: tuple[str, ...] = ()
    refusal = reference.refusal
    try:
        mean_levels = _levels_of_mean(found, column, reference.fit, settings)
    except LevelsAmbiguous as doubtful:
        refusal = refusal or _with_readings(doubtful, found, column, reference, settings)
    except StudyRefused as refused:
        refusal = refusal or refused
    named = found.cautions + seen.cautions + verdict.naming_caution(column.assignment)
    named += standard.cautions(reference, found.vois, mean_levels, settings.confounders)
    named += remarks.remarks(found.vertebrae, found.vois, mean_levels, settings.levels, settings.fractures)
    if refusal is None:
        try:
            return _measured(replace(found, cautions=named), reference, mean_levels, settings, circumstances, seen)
        except StudyRefused as refused:
            refusal = refused
    return replace(found, refusal=_as_value(refusal), cautions=named)


def _measured(
    found: Findings,
    reference: Standard,
    mean_levels: tuple[str, ...],
    settings: MeasurementSettings,
    circumstances: Circumstances,
    seen: Seen,
) -> Findings:
    """Densities, their mean and its category. Raises ``StudyRefused`` when calibration or confounders forbid them."""
    verdict.require_permitted(found.cautions)
    lines = standard.lines(reference, found.vois, settings, found.header.kvp)
    measured = [(found.vois[level], lines.of(level)) for level in mean_levels]
    cv, uneven = standard.slope_variation(lines, mean_levels, settings.calibration)
    noisy = confounders.random_error(measured, settings.confounders)
    verdict.require_permitted(noisy)
    material = measured[0][1].material
    conversion = standard.cross_calibration(material, circumstances)
    densities = {
        level: density.density(found.vois[level], level, line, settings.uncertainty, conversion)
        for level, line in lines.by_level.items()
    }
    mean, uncertainty = density.mean(measured, settings.uncertainty)
    converted = density.converted(mean, uncertainty, conversion) if conversion else None
    named = found.cautions + uneven + noisy
    named += verdict.result_cautions(material, mean_levels, settings.category, conversion)
    return replace(
        found,
        cautions=named,
        densities=verdict.mark(densities, mean_levels),
        calibrations=lines.by_level if lines.local else {},
        slope_cv_percent=cv,
        cross_calibration=conversion,
        mean_vbmd_mg_cm3=mean,
        mean_expanded_uncertainty_mg_cm3=uncertainty,
        mean_k2hpo4=converted,
        mean_native_estimate=_native_estimate(mean, uncertainty, material, seen, settings),
        mean_levels=mean_levels,
        category=verdict.categorise(converted.vbmd_mg_cm3 if converted else mean, named, settings.category),
    )


def _with_readings(
    doubtful: LevelsAmbiguous, found: Findings, column: SpineMap, reference: Standard, settings: MeasurementSettings
) -> LevelsAmbiguous:
    """The refusal with what either reading of the names would report."""
    try:
        lines = standard.lines(reference, found.vois, settings, found.header.kvp).by_level
    except StudyRefused:
        lines = {}
    densities = {v: density.density(found.vois[v], v, line, settings.uncertainty) for v, line in lines.items()}
    told = readings.readings(
        column.assignment, settings.levels.targets, found.vois, verdict.mark(densities, tuple(densities))
    )
    message = f"{doubtful.message} Readings, {readings.sentence(told)}." if told else doubtful.message
    return LevelsAmbiguous(message, {**doubtful.evidence, "readings": told})


def _native_estimate(
    mean: float, uncertainty: float, material: Material, seen: Seen, settings: MeasurementSettings
) -> Converted | None:
    """What the mean would be without contrast medium, where the site asks for it; the equations are of one material."""
    if not (seen.contrast and settings.confounders.native_estimate and material == "K2HPO4"):
        return None
    return density.without_contrast(mean, uncertainty, seen.enhancement.arterial, settings.uncertainty)


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
