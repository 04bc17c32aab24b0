"""Earlier results of a patient, read out of their reports by codes, as written by this or an earlier release."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import get_args

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node import log
from node.domain.phantom import Material
from node.domain.prior import PriorResult
from node.errors import ReportInvalid
from node.report import read_back
from node.report.sr import walk
from node.report.template import Template, load
from node.resources import shipped

_log = log.get(__name__)
_ASYNCHRONOUS = "-asynchronous"


def priors(paths: Iterable[Path], template: Path | None = None) -> tuple[PriorResult, ...]:
    """Read what can be read, oldest first; heights join the bone-density report of their study.

    A file that is gone, no report of this node, or about nothing measured is left out, and the log says so.
    """
    codes = load(template or shipped("sr_templates") / "bone_density.toml")
    found: dict[str, PriorResult] = {}
    heights: dict[str, dict[str, tuple[float, float, float]]] = {}
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
            study = str(dataset.StudyInstanceUID)
            heights.setdefault(study, {}).update(_heights(path, codes))
            result = _result(path, dataset, codes)
        except (OSError, InvalidDicomError, ReportInvalid, AttributeError, ValueError, KeyError) as error:
            _log.info("prior-report-left-out", why=type(error).__name__)
            continue
        if result is not None:
            found[study] = result
    joined = [replace(one, heights_mm=heights.get(study, {})) for study, one in found.items()]
    return tuple(sorted(joined, key=lambda one: one.study_date))


def _result(path: Path, dataset: Dataset, codes: Template) -> PriorResult | None:
    """The result of a bone-density report; ``None`` for a report of heights."""
    if not read_back.is_bone_density(path, codes):
        return None
    summary = read_back.summary(path, codes)
    if not summary.measured or summary.mean_vbmd_mg_cm3 is None:
        raise ReportInvalid("nothing was measured")
    material, asynchronous = _method(summary.method, codes)
    return PriorResult(
        study_date=_date(str(dataset.StudyDate)),
        study_instance_uid=str(dataset.StudyInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        material=material,
        mean_vbmd_mg_cm3=float(summary.mean_vbmd_mg_cm3),
        mean_levels=tuple(one.level for one in summary.levels if one.included_in_mean),
        vbmd_mg_cm3={one.level: float(one.vbmd_mg_cm3) for one in summary.levels if one.vbmd_mg_cm3 is not None},
        phantom=summary.phantom,
        asynchronous=asynchronous,
        kvp=_kvp(dataset),
    )


def _heights(path: Path, codes: Template) -> dict[str, tuple[float, float, float]]:
    return {
        one.level: (float(one.height_anterior_mm), float(one.height_middle_mm), float(one.height_posterior_mm))
        for one in read_back.levels(path, codes)
        if one.height_anterior_mm and one.height_middle_mm and one.height_posterior_mm
    }


def _method(meaning: str | None, codes: Template) -> tuple[Material, bool]:
    for slug, code in codes.values["method"].items():
        if code.meaning == meaning:
            name = slug.removesuffix(_ASYNCHRONOUS)
            material = next(one for one in get_args(Material) if one == name)
            return material, slug.endswith(_ASYNCHRONOUS)
    raise ReportInvalid("the report does not say in which material its density is expressed")


def _kvp(dataset: Dataset) -> float | None:
    """Out of the parameters of the algorithm."""
    for item in walk(dataset):
        found = re.fullmatch(r"kvp = ([\d.]+)", str(item.get("TextValue", "")))
        if found:
            return float(found.group(1))
    return None


def _date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
