"""Earlier results of a patient, read out of their reports by codes, as written by this or an earlier release.

A report counts when it is of the same patient and of another study, was not taken back or replaced, and says what was
measured. Files come from this node or from an archive: none is believed, and each that is left out has its reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import get_args

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node.domain.phantom import Material
from node.domain.prior import PriorResult
from node.errors import ReportInvalid
from node.report import identity, read_back
from node.report.sr import walk
from node.report.template import Template, load
from node.resources import shipped

_ASYNCHRONOUS = "-asynchronous"
_LARGEST_BYTES = 32_000_000
_NOT_STATED = "not stated"
_REJECTIONS = ("113001", "113037", "113038", "113039")
"""Titles of notes that take objects back (PS3.16 CID 7011)."""
_MALFORMED = (InvalidDicomError, ReportInvalid, AttributeError, ValueError, LookupError, TypeError, RecursionError)
"""What reading a file that is not what it should be may raise."""
_DENSITY_MG_CM3 = (-500.0, 2000.0)
_HEIGHT_MM = (1.0, 100.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """Results, oldest first, and a slug for each file that gave none."""

    results: tuple[PriorResult, ...]
    left_out: tuple[str, ...]


class _LeftOut(Exception):
    """Carries the reason."""


def priors(paths: Iterable[Path], template: Path | None = None, image: Path | None = None) -> tuple[PriorResult, ...]:
    """The results of ``judge``."""
    return judge(paths, template, image).results


def judge(paths: Iterable[Path], template: Path | None = None, image: Path | None = None) -> Judged:
    """Read earlier reports of the patient of ``image``; heights join the bone-density report of their study.

    ``template`` and the shipped one tell the codes. Without ``image`` the patient is not compared.
    """
    templates = [load(one) for one in dict.fromkeys(filter(None, (template, shipped("sr_templates") / _SHIPPED)))]
    own = identity.read_header(image) if image is not None else None
    left_out: list[str] = []
    reports: dict[str, Dataset] = {}
    for path in paths:
        try:
            dataset = _read(path, own)
            reports[str(dataset.SOPInstanceUID)] = dataset
        except _LeftOut as why:
            left_out.append(str(why))
        except OSError:
            left_out.append("gone")
        except _MALFORMED:
            left_out.append("unreadable")
    gone = _taken_back(reports.values()) | _replaced(reports.values())
    return _joined(reports, gone, templates, left_out)


_SHIPPED = "bone_density.toml"


def _joined(
    reports: Mapping[str, Dataset], gone: set[str], templates: Sequence[Template], left_out: list[str]
) -> Judged:
    """One result for each study: that of the latest report, with the heights of the latest report of heights."""
    found: dict[str, PriorResult] = {}
    heights: dict[str, dict[str, tuple[float, float, float]]] = {}
    for uid, dataset in sorted(reports.items(), key=_written):
        try:
            if dataset.Modality == "KO":
                continue
            if uid in gone:
                raise _LeftOut("withdrawn-or-replaced")
            codes = _language_of(dataset, templates)
            study = str(dataset.StudyInstanceUID)
            measured = _heights(dataset, codes)
            heights.setdefault(study, {}).update(measured)
            result = _result(dataset, codes)
            if result is not None:
                found[study] = result
            elif not measured:
                raise _LeftOut("not-of-this-node")
        except _LeftOut as why:
            left_out.append(str(why))
        except _MALFORMED:
            left_out.append("invalid")
    joined = [replace(one, heights_mm=heights.get(study, {})) for study, one in found.items()]
    return Judged(tuple(sorted(joined, key=lambda one: (one.study_date, one.study_instance_uid))), tuple(left_out))


def _read(path: Path, own: Dataset | None) -> Dataset:
    if path.stat().st_size > _LARGEST_BYTES:
        raise _LeftOut("too-large")
    if not path.is_file():
        raise _LeftOut("unreadable")
    dataset = pydicom.dcmread(path)
    if dataset.get("Modality") not in ("SR", "KO") or "ContentSequence" not in dataset:
        raise _LeftOut("no-report")
    if own is not None and not _same_patient(own, dataset):
        raise _LeftOut("other-patient")
    if own is not None and dataset.StudyInstanceUID == own.get("StudyInstanceUID"):
        raise _LeftOut("own-study")
    return dataset


def _same_patient(own: Dataset, other: Dataset) -> bool:
    """Patient ID and birth date are the same and stated; issuer and sex are where both state them."""
    stated = all(_text(own, one) and _text(own, one) == _text(other, one) for one in ("PatientID", "PatientBirthDate"))
    pairs = [(_text(own, one), _text(other, one)) for one in ("IssuerOfPatientID", "PatientSex")]
    return stated and all(a == b or not a or not b for a, b in pairs)


def _text(dataset: Dataset, keyword: str) -> str:
    element = identity.taken(dataset, keyword)
    return "" if element is None or element.value is None else str(element.value).strip()


def _taken_back(reports: Iterable[Dataset]) -> set[str]:
    """Instances that a note rejects."""
    notes = [one for one in reports if one.Modality == "KO" and _title(one) in _REJECTIONS]
    return {
        str(reference.ReferencedSOPInstanceUID)
        for note in notes
        for item in walk(note)
        for reference in item.get("ReferencedSOPSequence", ())
    }


def _title(note: Dataset) -> str:
    names = note.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _replaced(reports: Iterable[Dataset]) -> set[str]:
    """Instances that a later report of the same study names as predecessors."""
    return {
        str(reference.get("ReferencedSOPInstanceUID", ""))
        for report in reports
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.get("ReferencedSeriesSequence", ())
        for reference in series.get("ReferencedSOPSequence", ())
    }


def _written(entry: tuple[str, Dataset]) -> tuple[str, str, str]:
    uid, dataset = entry
    return str(dataset.get("ContentDate", "")), str(dataset.get("ContentTime", "")), uid


def _language_of(dataset: Dataset, templates: Sequence[Template]) -> Template:
    """The template whose status or heights the report has, else the first."""
    concepts = {
        (str(one[0].get("CodingSchemeDesignator", "")), str(one[0].get("CodeValue", "")))
        for item in walk(dataset)
        if (one := item.get("ConceptNameCodeSequence"))
    }
    for template in templates:
        if {template.concepts["status"].key, template.numbers["height_anterior"].code.key} & concepts:
            return template
    return templates[0]


def _result(dataset: Dataset, codes: Template) -> PriorResult | None:
    """The result of a bone-density report; ``None`` for another report."""
    if not read_back.says_status(dataset, codes):
        return None
    summary = read_back.summarised(dataset, codes)
    if not summary.measured or summary.mean_vbmd_mg_cm3 is None:
        raise _LeftOut("nothing-measured")
    material, asynchronous = _method(summary.method_slug)
    parameters = _parameters(dataset)
    warned = any(text.endswith("[contrast]") for text in summary.warnings)
    contrast = parameters.get("contrast")
    kvp = parameters.get("kvp", "")
    return PriorResult(
        study_date=_date(str(dataset.StudyDate)),
        study_instance_uid=str(dataset.StudyInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        material=material,
        mean_vbmd_mg_cm3=_within(summary.mean_vbmd_mg_cm3, _DENSITY_MG_CM3),
        mean_levels=tuple(one.level for one in summary.levels if one.included_in_mean),
        vbmd_mg_cm3={
            one.level: _within(one.vbmd_mg_cm3, _DENSITY_MG_CM3)
            for one in summary.levels
            if one.vbmd_mg_cm3 is not None
        },
        phantom=parameters.get("phantom"),
        asynchronous=asynchronous,
        kvp=float(kvp) if re.fullmatch(r"\d+(\.\d+)?", kvp) else None,
        kernel=_stated(parameters.get("kernel")),
        contrast=None if contrast is None else warned or contrast != _NOT_STATED,
        scanner=_scanner(dataset),
    )


def _heights(dataset: Dataset, codes: Template) -> dict[str, tuple[float, float, float]]:
    return {
        one.level: (
            _within(one.height_anterior_mm, _HEIGHT_MM),
            _within(one.height_middle_mm, _HEIGHT_MM),
            _within(one.height_posterior_mm, _HEIGHT_MM),
        )
        for one in read_back.levels_of(dataset, codes)
        if one.height_anterior_mm and one.height_middle_mm and one.height_posterior_mm
    }


def _within(text: str, limits: tuple[float, float]) -> float:
    value = float(text)
    if not math.isfinite(value) or not limits[0] <= value <= limits[1]:
        raise ReportInvalid("a number of the report is out of all bounds")
    return value


def _method(slug: str | None) -> tuple[Material, bool]:
    material = next((one for one in get_args(Material) if one == (slug or "").removesuffix(_ASYNCHRONOUS)), None)
    if material is None:
        raise ReportInvalid("the report does not say in which material its density is expressed")
    return material, str(slug).endswith(_ASYNCHRONOUS)


def _parameters(dataset: Dataset) -> dict[str, str]:
    """Parameters of the algorithm, by name; they are the same in every language."""
    found: dict[str, str] = {}
    for item in walk(dataset):
        name, parted, value = str(item.get("TextValue", "")).partition(" = ")
        if parted and re.fullmatch(r"[a-z_]+", name):
            found.setdefault(name, value)
    return found


def _stated(text: str | None) -> str | None:
    return None if text in (None, "", _NOT_STATED) else text


def _scanner(dataset: Dataset) -> str | None:
    for item in dataset.get("ContributingEquipmentSequence", ()):
        return str(item.get("DeviceSerialNumber") or item.get("StationName") or "").strip() or None
    return None


def _date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
