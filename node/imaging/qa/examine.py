"""One scan: patient, or QA phantom; which one; its inserts, in the units of the calibration phantom beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from node.domain.phantom import Calibration, PhantomFit, PhantomModel, RodModel, RodReading
from node.domain.quality import InsertReading
from node.domain.settings import CalibrationLimits
from node.domain.volume import Volume
from node.errors import PoorCalibration, StudyRefused, UnsuitableSeries
from node.imaging import body, calibration, phantom, rod_levels
from node.imaging.body import Scene
from node.imaging.grid import block_mean
from node.imaging.line import WATER_DISPLACED, WATER_MG_CM3, fit_line
from node.imaging.phantom.rows import RodRow, find_rows
from node.imaging.qa import inserts as body_inserts
from node.imaging.qa.inserts import Insert
from node.imaging.qa.uniform import COARSE_MM, look

PATIENT_LITRES = 0.3
"""Less than this beside slabs is no patient."""
DENSITY_TOLERANCE = (20.0, 0.25)
"""mg/cm³, and part of the nominal value: published ESP errors reach 15 %; inserts are 50 mg/cm³ apart."""
HU_PER_MG = (0.9, 2.5)
MAX_ZERO_HU = 60.0
"""Without a calibration phantom inserts must at least lie on a line that bone can lie on."""


UNLIMITED = {
    "min_r_squared": 0.9,
    "max_abs_beta_ct_hu": 200.0,
    "max_rms_residual_hu": 60.0,
    "max_left_out_shift_mg_cm3": 1000.0,
    "min_sigma_ct": 0.5,
    "max_sigma_ct": 4.0,
}
"""Limits of what is recorded: beyond them it is no calibration phantom."""


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """A scan without a patient."""

    qa_phantom: PhantomModel | None
    """``None``: none of those configured fits, or the calibration phantom lies there alone."""
    inserts: tuple[InsertReading, ...]
    fit: PhantomFit | None
    calibration: Calibration | None
    """Also one that would be refused under a patient: what is wrong with a scanner must reach its record."""
    objection: str | None
    """Why there is none, or why a patient's would be refused, in a sentence."""
    seen: tuple[Insert, ...]
    """Inserts as they were seen, head to foot, identified or not."""


def examine(
    volume: Volume,
    patient_position: str | None,
    qa_phantoms: Sequence[PhantomModel],
    phantoms: tuple[PhantomModel, ...],
    limits: CalibrationLimits,
    kvp: float | None = None,
) -> Examination | None:
    """Return what a scan without a patient shows; ``None`` when a patient lies in it (or nothing at all)."""
    seen = look(volume)
    if seen is None or not (seen.is_cast or seen.may_be_slabs):
        return None
    scene = _scene(volume, patient_position)
    litres = float(scene.patient.sum()) * float(np.prod(scene.coarse.spacing_mm)) / 1e6
    if seen.is_cast and litres >= PATIENT_LITRES:
        return _body(volume, scene, qa_phantoms, phantoms, limits, kvp)
    return _slabs(volume, scene, qa_phantoms, phantoms, limits, kvp) if litres < PATIENT_LITRES else None


def _scene(volume: Volume, patient_position: str | None) -> Scene:
    try:
        return body.separate(volume, patient_position)
    except UnsuitableSeries:
        coarse = block_mean(volume, COARSE_MM)
        return Scene(coarse, np.zeros(coarse.hu.shape, dtype=bool), None, find_rows(volume))


def _body(
    volume: Volume,
    scene: Scene,
    qa_phantoms: Sequence[PhantomModel],
    phantoms: tuple[PhantomModel, ...],
    limits: CalibrationLimits,
    kvp: float | None,
) -> Examination:
    """A cast body with inserts above a calibration phantom."""
    fit, line, why = _calibrated(volume, scene, phantoms, limits, kvp)
    seen = body_inserts.find(volume, scene.patient, scene.coarse.spacing_mm)
    found = _identified(seen, qa_phantoms, line)
    if found is None:
        return Examination(None, (), fit, line, why, seen)
    model, order = found
    readings = tuple(
        _reading(rod, insert, model, _local(fit, limits, insert.centre_lps_mm[2]) or line)
        for rod, insert in zip(model.rods, order, strict=True)
    )
    return Examination(model, readings, fit, line, why, seen)


def _calibrated(
    volume: Volume, scene: Scene, phantoms: tuple[PhantomModel, ...], limits: CalibrationLimits, kvp: float | None
) -> tuple[PhantomFit | None, Calibration | None, str | None]:
    fit = None
    try:
        fit = phantom.find(volume, scene, phantoms, limits, kvp)
        return fit, calibration.fit(fit, limits, kvp=kvp), None
    except PoorCalibration as poor:
        return fit, None if fit is None else _whatever(fit, limits), str(poor)
    except StudyRefused as refused:
        return fit, None, str(refused)


def _whatever(fit: PhantomFit, limits: CalibrationLimits) -> Calibration | None:
    """The line through the rods, though no patient would be measured by it."""
    try:
        return calibration.fit(fit, replace(limits, **UNLIMITED))
    except StudyRefused:
        return None


def _local(fit: PhantomFit | None, limits: CalibrationLimits, z_mm: float) -> Calibration | None:
    """The calibration at the height of an insert, as at a vertebra's."""
    if fit is None:
        return None
    try:
        return calibration.fit(fit, limits, z_mm)
    except StudyRefused:
        return None


def _identified(
    seen: Sequence[Insert], qa_phantoms: Sequence[PhantomModel], line: Calibration | None
) -> tuple[PhantomModel, tuple[Insert, ...]] | None:
    """The one QA phantom whose inserts these are, and they in its order; ``None`` where none or several fit."""
    if not seen or any(insert.cut for insert in seen):
        return None
    fitting = []
    for model in qa_phantoms:
        if len(model.rods) != len(seen) or not _sized(model, seen):
            continue
        for order in (tuple(seen), tuple(reversed(seen))):
            if _fits(model, order, line):
                fitting.append((model, order))
                break
    return fitting[0] if len(fitting) == 1 else None


def _sized(model: PhantomModel, seen: Sequence[Insert]) -> bool:
    """Whether inserts are as wide as published, where that is published."""
    if model.rod_diameter_mm is None:
        return True
    return all(abs(2 * one.radius_mm - model.rod_diameter_mm) <= 0.2 * model.rod_diameter_mm for one in seen)


def _fits(model: PhantomModel, order: Sequence[Insert], line: Calibration | None) -> bool:
    nominal = np.array([rod.density_mg_cm3 for rod in model.rods])
    hu = np.array([insert.hu_mean for insert in order])
    if line is not None:
        absolute, relative = DENSITY_TOLERANCE
        measured = (hu - line.beta_ct) / line.sigma_ct
        return bool(np.all(np.abs(measured - nominal) <= np.maximum(absolute, relative * np.abs(nominal))))
    if len(nominal) == 1:
        return bool(HU_PER_MG[0] <= (hu[0] / nominal[0]) <= HU_PER_MG[1])
    slope, zero = np.polyfit(nominal, hu, 1)
    return bool(HU_PER_MG[0] <= slope <= HU_PER_MG[1] and abs(zero) <= MAX_ZERO_HU)


def _reading(rod: RodModel, insert: Insert, model: PhantomModel, line: Calibration | None) -> InsertReading:
    return InsertReading(
        rod.name,
        rod.density_mg_cm3,
        model.material,
        None if line is None else line.density_mg_cm3(insert.hu_mean),
        insert.hu_mean,
        insert.hu_sd,
        insert.standard_error_hu,
        insert.voxels,
        insert.centre_lps_mm,
        insert.length_mm,
    )


def _slabs(
    volume: Volume,
    scene: Scene,
    qa_phantoms: Sequence[PhantomModel],
    phantoms: tuple[PhantomModel, ...],
    limits: CalibrationLimits,
    kvp: float | None,
) -> Examination | None:
    """Slabs of rods alone: a calibration phantom, or one with the rods of a QA phantom on it."""
    qa: PhantomFit | None = None
    others: list[RodRow] = []
    for row in scene.rod_rows:
        mine = _scene_of(scene, (row,))
        fit = _found(volume, mine, tuple(qa_phantoms))
        rival = _found(volume, mine, phantoms)
        if fit is not None and qa is None and (rival is None or _scatter(fit) < _scatter(rival)):
            qa = fit
        else:
            others.append(row)
    calibrating, line, why = _calibrated(volume, _scene_of(scene, tuple(others)), phantoms, limits, kvp)
    if qa is None and calibrating is None:
        return None
    if qa is None:
        return Examination(None, (), calibrating, line, why, ())
    readings = tuple(_rod_reading(one, qa.phantom, line) for one in qa.rods if one.rod in qa.phantom.rods)
    return Examination(qa.phantom, readings, calibrating, line, why, ())


def _scene_of(scene: Scene, rows: tuple[RodRow, ...]) -> Scene:
    return Scene(scene.coarse, scene.patient, scene.couch_side, rows)


def _found(volume: Volume, scene: Scene, models: tuple[PhantomModel, ...]) -> PhantomFit | None:
    try:
        return phantom.find(volume, scene, models)
    except StudyRefused:
        return None


def _scatter(fit: PhantomFit) -> float:
    """HU rms of a phantom's rods about its line."""
    levels = [rod_levels.whole(one) for one in fit.rods]
    hu, noise = np.array([one.hu for one in levels]), np.array([one.standard_error_hu for one in levels])
    return fit_line([one.rod for one in fit.rods], hu, noise).rms_residual_hu


def _rod_reading(one: RodReading, model: PhantomModel, line: Calibration | None) -> InsertReading:
    lengths = one.slice_centres_lps_mm[:, 2]
    return InsertReading(
        one.rod.name,
        one.rod.density_mg_cm3,
        model.material,
        None if line is None else rod_density(one.rod, one.hu_mean, line),
        one.hu_mean,
        one.hu_sd,
        rod_levels.whole(one).standard_error_hu,
        one.voxels,
        one.centre_lps_mm,
        float(np.ptp(lengths)),
    )


def rod_density(rod: RodModel, hu: float, line: Calibration) -> float:
    """Density of a rod in mg/cm³.

    A rod with a water-equivalent density of its own does not displace water as dissolved bone mineral does: it is read
    by HU = rho_water + sigma_ref · rho + beta_ref (QCT PRO User Guide, Mindways 2011), not by the line for bone.
    """
    if rod.water_density_mg_cm3 is None:
        return line.density_mg_cm3(hu)
    sigma_ref, beta_ref = line.sigma_ct + WATER_DISPLACED, line.beta_ct - WATER_MG_CM3
    return (hu - rod.water_density_mg_cm3 - beta_ref) / sigma_ref
