"""The result as JSON: the stable form that is written by ``measure --json`` and kept in the ledger.

Described by docs/result.schema.json and docs/result.md. Numbers are not rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from node.domain.decision import Decision
from node.domain.findings import Converted, Findings
from node.domain.job import Provenance
from node.domain.phantom import Calibration, PhantomFit
from node.domain.prior import Change
from node.domain.spine import Contour, Ratios, SideHeights, Vertebra, Voi

SCHEMA = "vbmd-node/result/1"
"""Changes only when a reader of the former would misread the new."""


def result(findings: Findings, outputs: Sequence[str]) -> dict[str, Any]:
    """One entry of ``results``: plain JSON values. ``outputs``: paths or UIDs of what was written."""
    refusal, calibration = findings.refusal, findings.calibration
    measured = refusal is None
    return {
        "study_instance_uid": findings.header.study_instance_uid,
        "series_instance_uid": findings.header.series_instance_uid,
        "status": "measured" if measured else "refused",
        "refusal": None
        if refusal is None
        else {"reason": refusal.reason, "message": refusal.message, "evidence": plain(refusal.evidence)},
        "warnings": [
            {"code": caution.code, "message": caution.message, "effect": caution.effect}
            for caution in findings.cautions
        ],
        "phantom": None if findings.phantom is None else _phantom(findings.phantom),
        "calibration": None if calibration is None else _calibration(calibration, findings),
        "cross_calibration": _cross_calibration(findings),
        "levels": {vertebra.level: _level(vertebra, findings) for vertebra in findings.vertebrae},
        "mean_vbmd_mg_cm3": plain(findings.mean_vbmd_mg_cm3) if measured else None,
        "mean_vbmd_expanded_uncertainty_mg_cm3": plain(findings.mean_expanded_uncertainty_mg_cm3) if measured else None,
        **_converted("mean_vbmd_k2hpo4", findings.mean_k2hpo4 if measured else None),
        **_converted("mean_vbmd_native_estimate", findings.mean_native_estimate if measured else None),
        "changes": [_change(one) for one in findings.changes],
        "mean_levels": list(findings.mean_levels) if measured else [],
        "category": findings.category if measured else "not-classified",
        "level_assignment": _assignment(findings),
        "outputs": list(outputs),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "since": change.prior.study_date.isoformat(),
        "prior_report": change.prior.sop_instance_uid,
        "prior_mean_vbmd_mg_cm3": plain(change.prior.mean_vbmd_mg_cm3),
        "not_comparable": list(change.not_comparable),
        "differences": [one.message for one in change.differences],
        "change_mg_cm3": plain(change.change_mg_cm3),
        "change_percent": plain(change.change_percent),
        "percent_per_year": plain(change.percent_per_year),
        "least_significant_change_mg_cm3": plain(change.least_significant_change_mg_cm3),
        "significant": change.significant,
    }


def document(
    results: Iterable[Mapping[str, Any]], ignored: Iterable[Decision], provenance: Provenance
) -> dict[str, Any]:
    """The whole document: results, and every series that was not measured with its reason."""
    return {
        "schema": SCHEMA,
        "software_version": provenance.software_version,
        "config_digest": provenance.config_digest,
        "results": [dict(entry) for entry in results],
        "ignored": [
            {"series_instance_uid": one.series_instance_uid, "reason": one.reason, "message": one.message}
            for one in ignored
        ],
    }


def plain(value: Any) -> Any:
    """JSON values of anything that evidence may hold: arrays, tuples, sets, NumPy numbers; not-a-number is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(inner) for inner in value), key=str)
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _phantom(fit: PhantomFit) -> dict[str, Any]:
    model = fit.phantom
    return {
        "id": model.id,
        "model": model.model,
        "serial": model.serial,
        "rods": [
            {
                "name": reading.rod.name,
                "density_mg_cm3": plain(reading.rod.density_mg_cm3),
                "hu_mean": plain(reading.hu_mean),
                "hu_sd": plain(reading.hu_sd),
                "centre_lps_mm": plain(reading.centre_lps_mm),
            }
            for reading in fit.rods
        ],
    }


def _calibration(calibration: Calibration, findings: Findings) -> dict[str, Any]:
    return {
        "kind": calibration.kind,
        **_line(calibration),
        "material": calibration.material,
        "source": calibration.source,
        "slope_cv_percent": plain(findings.slope_cv_percent),
        "left_out": [
            {
                "rod": one.rod,
                "residual_hu": plain(one.residual_hu),
                "shift_mg_cm3": plain(one.shift_mg_cm3),
            }
            for one in calibration.left_out
        ],
    }


def _line(calibration: Calibration) -> dict[str, Any]:
    return {
        "sigma_ct": plain(calibration.sigma_ct),
        "beta_ct": plain(calibration.beta_ct),
        "covariance": plain(calibration.covariance),
        "r_squared": plain(calibration.r_squared),
        "rms_residual_hu": plain(calibration.rms_residual_hu),
    }


def _cross_calibration(findings: Findings) -> dict[str, Any] | None:
    used = findings.cross_calibration
    if used is None or findings.refusal is not None:
        return None
    return {
        "from_material": used.from_material,
        "slope": plain(used.slope),
        "intercept_mg_cm3": plain(used.intercept_mg_cm3),
        "standard_error_mg_cm3": plain(used.standard_error_mg_cm3),
        "measured_on": used.measured_on.isoformat(),
        "expires_on": used.expires_on.isoformat(),
        "source": used.source,
    }


def _converted(name: str, value: Converted | None) -> dict[str, Any]:
    return {
        f"{name}_mg_cm3": None if value is None else plain(value.vbmd_mg_cm3),
        f"{name}_expanded_uncertainty_mg_cm3": None if value is None else plain(value.expanded_uncertainty_mg_cm3),
    }


def _level(vertebra: Vertebra, findings: Findings) -> dict[str, Any]:
    level = vertebra.level
    voi = findings.vois.get(level)
    density = findings.densities.get(level) if findings.refusal is None else None
    heights, deformity = vertebra.heights, vertebra.deformity
    local = findings.calibrations.get(level)
    return {
        "complete": bool(vertebra.complete),
        "centroid_lps_mm": plain(vertebra.frame.centre_lps_mm),
        "confidence": plain(vertebra.confidence),
        "voi": None if voi is None or not voi.volume_mm3 else _voi(voi),
        "vbmd_mg_cm3": plain(density.vbmd_mg_cm3) if density else None,
        "vbmd_expanded_uncertainty_mg_cm3": plain(density.expanded_uncertainty_mg_cm3) if density else None,
        **_converted("vbmd_k2hpo4", density.k2hpo4 if density else None),
        "calibration": None if local is None else _line(local),
        "included_in_mean": bool(density.included_in_mean) if density else False,
        "exclusion_reason": (density.exclusion_reason if density else None) or (voi.exclusion if voi else None),
        "exclusion_message": voi.exclusion_message if voi else None,
        "heights_mm": None
        if heights is None
        else {
            "anterior": plain(heights.anterior_mm),
            "middle": plain(heights.middle_mm),
            "posterior": plain(heights.posterior_mm),
        },
        "heights_standard_errors_mm": None
        if heights is None
        else dict(zip(("anterior", "middle", "posterior"), plain(heights.standard_errors_mm), strict=True)),
        "deformity": None
        if deformity is None
        else {
            "type": deformity.type,
            "loss_percent": plain(deformity.loss_percent),
            "genant_grade": deformity.genant_grade,
            "confidence": plain(deformity.confidence),
            "ratios": _ratios(deformity.ratios),
        },
        "contour": _contour(vertebra.contour),
    }


def _ratios(ratios: Ratios | None) -> dict[str, Any] | None:
    if ratios is None:
        return None
    return {
        "wedge": plain(ratios.wedge),
        "biconcave": plain(ratios.biconcave),
        "crush": plain(ratios.crush),
        "expected_wedge": plain(ratios.expected_wedge),
        "expected_biconcave": plain(ratios.expected_biconcave),
    }


def _contour(contour: Contour | None) -> dict[str, Any] | None:
    if contour is None:
        return None
    return {
        "right_mm": _three(contour.right),
        "left_mm": _three(contour.left),
        "superior_depression_mm": plain(contour.superior_depression_mm),
        "inferior_depression_mm": plain(contour.inferior_depression_mm),
        "posterior_bulge_mm": plain(contour.posterior_bulge_mm),
    }


def _three(side: SideHeights | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "anterior": plain(side.anterior_mm),
        "middle": plain(side.middle_mm),
        "posterior": plain(side.posterior_mm),
    }


def _voi(voi: Voi) -> dict[str, Any]:
    return {
        "centre_lps_mm": plain(voi.centre_lps_mm),
        "volume_mm3": plain(voi.volume_mm3),
        "hu_mean": plain(voi.hu_mean),
        "hu_sd": plain(voi.hu_sd),
        "standard_error_hu": plain(voi.standard_error_hu),
        "noise_error_hu": plain(voi.noise_error_hu),
        "placement_error_hu": plain(voi.placement_error_hu),
        "hu_median": plain(voi.hu_median),
        "hu_trimmed_mean": plain(voi.hu_trimmed_mean),
        "hu_quartiles": plain(voi.hu_quartiles),
        "dense_part": plain(voi.dense_part),
        "sparse_part": plain(voi.sparse_part),
    }


def _assignment(findings: Findings) -> dict[str, Any] | None:
    assignment = findings.assignment
    if assignment is None:
        return None
    return {
        "anchors": [
            {"name": anchor.name, "level_of_first": anchor.level_of_first, "evidence": anchor.evidence}
            for anchor in assignment.anchors
        ],
        "agreement": assignment.agreement,
        "rib_pairs_seen": plain(assignment.rib_pairs_seen),
        "confidence": plain(assignment.confidence),
    }
