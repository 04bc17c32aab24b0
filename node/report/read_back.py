"""A bone-density report as plain values, read from the file alone by its codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node.domain.spine import LEVELS
from node.errors import ReportInvalid
from node.report.template import Coded, Template, load
from node.resources import shipped

_GROUP = ("DCM", "125007")
_TRACKING = ("DCM", "112039")
_SITE = ("SCT", "363698007")
_METHOD = ("SCT", "370129005")
_SPELT = re.compile(r"(?<![A-Z])[CTLS][0-9]{1,2}(?![0-9])")
"""A level in the text of any language."""


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """One vertebra as the report states it; numbers are the printed text, ``None`` where not reported."""

    level: str
    vbmd_mg_cm3: str | None = None
    expanded_uncertainty_mg_cm3: str | None = None
    method: str | None = None
    hu_mean: str | None = None
    hu_sd: str | None = None
    voi_volume_mm3: str | None = None
    confidence: str | None = None
    included_in_mean: bool | None = None
    exclusion: str | None = None
    height_anterior_mm: str | None = None
    height_middle_mm: str | None = None
    height_posterior_mm: str | None = None
    height_loss_percent: str | None = None
    deformity: str | None = None
    genant_grade: int | None = None
    k2hpo4_mg_cm3: str | None = None
    """By the site's cross-calibration."""


@dataclass(frozen=True, slots=True)
class SrSummary:
    """What a bone-density report says."""

    title: str
    measured: bool
    levels: tuple[LevelSummary, ...]
    """Head to foot; those that the report has numbers for."""
    mean_vbmd_mg_cm3: str | None
    mean_expanded_uncertainty_mg_cm3: str | None
    mean_of: str | None
    category: str | None
    """Slug of the category."""
    category_limits: str | None
    method: str | None
    phantom: str | None
    calibration: str | None
    rods: tuple[str, ...]
    warnings: tuple[str, ...]
    level_assignment: tuple[str, ...]
    refusal: str | None
    """Explanation, with the reason's slug in brackets."""
    refusal_reason: str | None
    """Slug of the reason."""
    evidence: tuple[str, ...]
    notice: str | None
    mean_k2hpo4_mg_cm3: str | None = None
    """By the site's cross-calibration."""
    mean_native_estimate_mg_cm3: str | None = None
    """What the mean would be without contrast medium, as estimated."""
    local_calibrations: tuple[str, ...] = ()
    """One sentence for each level."""
    cross_calibration: str | None = None
    method_slug: str | None = None
    """Of the mean density: key of the template's method."""


@dataclass(slots=True)
class _Group:
    """One measurement group taken apart."""

    tracking: str = ""
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)
    methods: dict[tuple[str, str], str] = field(default_factory=dict)
    method_codes: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    codes: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    texts: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def summary(path: Path, template: Template | None = None) -> SrSummary:
    """Read a report that this node wrote; ``template`` tells its codes (the shipped one by default).

    Raises ``ReportInvalid`` when the file is not such a report.
    """
    return summarised(_read(path), template or load(shipped("sr_templates") / "bone_density.toml"))


def summarised(dataset: Dataset, template: Template) -> SrSummary:
    """The same of a report that has been read."""
    study = _study(dataset, template)
    groups = [_group(item) for item in _walk(dataset) if _key(item, "ConceptNameCodeSequence") == _GROUP]
    return _summary(dataset, study, groups, template)


def is_bone_density(path: Path, template: Template | None = None) -> bool:
    """Whether a report is that of bone density, measured or not; that of heights is not."""
    return says_status(_read(path), template or load(shipped("sr_templates") / "bone_density.toml"))


def says_status(dataset: Dataset, template: Template) -> bool:
    """Whether a report says that bone density was measured, or was not."""
    wanted = template.concepts["status"].key
    return any(_key(item, "ConceptNameCodeSequence") == wanted for item in _walk(dataset))


def levels(path: Path, template: Template | None = None) -> tuple[LevelSummary, ...]:
    """The vertebrae of any report of this node, that of heights too. Raises ``ReportInvalid`` when it is no report."""
    return levels_of(_read(path), template or load(shipped("sr_templates") / "bone_density.toml"))


def levels_of(dataset: Dataset, template: Template) -> tuple[LevelSummary, ...]:
    """The same of a report that has been read."""
    groups = [_group(item) for item in _walk(dataset) if _key(item, "ConceptNameCodeSequence") == _GROUP]
    return _levels(groups, template)


def _read(path: Path) -> Dataset:
    try:
        dataset = pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise ReportInvalid(f"{path.name} cannot be read: {error}") from error
    if dataset.get("Modality") != "SR" or "ContentSequence" not in dataset:
        raise ReportInvalid(f"{path.name} is not a structured report")
    return dataset


def _summary(dataset: Dataset, study: _Group, groups: list[_Group], template: Template) -> SrSummary:
    concepts, numbers = template.concepts, template.numbers
    status = study.codes.get(concepts["status"].key)
    if status is None:
        raise ReportInvalid("the report does not say whether bone density was measured")
    mean = next((group for group in groups if _is_mean(group, template)), _Group())
    return SrSummary(
        title=str(dataset.ConceptNameCodeSequence[0].CodeMeaning),
        measured=status == template.values["status"]["measured"].key,
        levels=_levels(groups, template),
        mean_vbmd_mg_cm3=mean.numbers.get(numbers["vbmd"].code.key),
        mean_expanded_uncertainty_mg_cm3=mean.numbers.get(numbers["vbmd_uncertainty"].code.key),
        mean_of=mean.tracking or None,
        category=_slug(template, "category", mean.codes.get(concepts["category"].key)),
        category_limits=_first(mean, concepts["category_limits"]),
        method=mean.methods.get(numbers["vbmd"].code.key),
        phantom=_first(study, concepts["phantom"]),
        calibration=_first(study, concepts["calibration"]),
        rods=tuple(study.texts.get(concepts["rod"].key, ())),
        warnings=tuple(study.texts.get(concepts["warning"].key, ())),
        level_assignment=tuple(study.texts.get(concepts["level_assignment"].key, ())),
        refusal=_first(study, concepts["refusal_message"]),
        refusal_reason=_slug(template, "refusal", study.codes.get(concepts["refusal_reason"].key)),
        evidence=tuple(study.texts.get(concepts["evidence"].key, ())),
        notice=_first(study, concepts["notice"]),
        mean_k2hpo4_mg_cm3=mean.numbers.get(numbers["vbmd_k2hpo4"].code.key),
        mean_native_estimate_mg_cm3=mean.numbers.get(numbers["vbmd_native_estimate"].code.key),
        local_calibrations=tuple(study.texts.get(concepts["local_calibration"].key, ())),
        cross_calibration=_first(study, concepts["cross_calibration"]),
        method_slug=_slug(template, "method", mean.method_codes.get(numbers["vbmd"].code.key)),
    )


def _levels(groups: list[_Group], template: Template) -> tuple[LevelSummary, ...]:
    """The groups of one vertebra (density, body) put together."""
    levels: dict[str, list[_Group]] = {}
    for group in groups:
        level = None if _is_mean(group, template) else _level_of(group, template)
        if level is not None:
            levels.setdefault(level, []).append(group)
    order = {level: place for place, level in enumerate(LEVELS)}
    named = sorted(levels, key=lambda level: order.get(level, len(order)))
    return tuple(_level(level, levels[level], template) for level in named)


def _level_of(group: _Group, template: Template) -> str | None:
    """By the code of the site, in whatever language; one without a code of its own by its tracking identifier."""
    site = group.codes.get(_SITE)
    coded = (level for level, code in template.sites.items() if level not in ("mean", "other") and code.key == site)
    spelt = _SPELT.search(group.tracking)
    return next(coded, spelt[0] if spelt and site == template.sites["other"].key else None)


def _is_mean(group: _Group, template: Template) -> bool:
    return group.codes.get(_SITE) in (template.sites["mean"].key, template.sites["mean-thoracolumbar"].key)


def _level(level: str, groups: list[_Group], template: Template) -> LevelSummary:
    numbers = {key: value for group in groups for key, value in group.numbers.items()}
    codes = {key: value for group in groups for key, value in group.codes.items()}
    methods = {key: value for group in groups for key, value in group.methods.items()}
    exclusion = next((text for group in groups if (text := _first(group, template.concepts["exclusion"]))), None)

    def number(name: str) -> str | None:
        return numbers.get(template.numbers[name].code.key)

    def answer(name: str) -> str | None:
        return _slug(template, name, codes.get(template.concepts[name].key))

    included, grade = answer("included"), answer("genant_grade")
    return LevelSummary(
        level=level,
        vbmd_mg_cm3=number("vbmd"),
        expanded_uncertainty_mg_cm3=number("vbmd_uncertainty"),
        method=methods.get(template.numbers["vbmd"].code.key),
        hu_mean=number("hu_mean"),
        hu_sd=number("hu_sd"),
        voi_volume_mm3=number("voi_volume"),
        confidence=number("level_confidence"),
        included_in_mean=None if included is None else included == "yes",
        exclusion=exclusion,
        height_anterior_mm=number("height_anterior"),
        height_middle_mm=number("height_middle"),
        height_posterior_mm=number("height_posterior"),
        height_loss_percent=number("height_loss"),
        deformity=answer("deformity"),
        genant_grade=None if grade is None else int(grade),
        k2hpo4_mg_cm3=number("vbmd_k2hpo4"),
    )


def _slug(template: Template, value_set: str, key: tuple[str, str] | None) -> str | None:
    return next((slug for slug, code in template.values[value_set].items() if code.key == key), None)


def _first(group: _Group, concept: Coded) -> str | None:
    texts = group.texts.get(concept.key)
    return texts[0] if texts else None


def _study(dataset: Dataset, template: Template) -> _Group:
    """The statements about the study as a whole."""
    wanted = template.concepts["qualitative_evaluations"].key
    for item in dataset.ContentSequence:
        if _key(item, "ConceptNameCodeSequence") == wanted:
            return _group(item, _group(dataset))
    raise ReportInvalid("the report has no statements about the study")


def _group(container: Dataset, group: _Group | None = None) -> _Group:
    """The items directly under a container, added to those of ``group``."""
    group = group or _Group()
    for item in container.get("ContentSequence", ()):
        name = _key(item, "ConceptNameCodeSequence")
        kind = item.get("ValueType")
        if kind == "NUM":
            _take_number(item, name, group)
        elif kind == "TEXT" and name == _TRACKING:
            group.tracking = str(item.TextValue)
        elif kind == "TEXT":
            group.texts.setdefault(name, []).append(str(item.TextValue))
        elif kind == "CODE":
            group.codes[name] = _key(item, "ConceptCodeSequence")
    return group


def _take_number(item: Dataset, name: tuple[str, str], group: _Group) -> None:
    value = item.MeasuredValueSequence[0]
    group.numbers[name] = str(value["NumericValue"].value)
    for modifier in item.get("ContentSequence", ()):
        if _key(modifier, "ConceptNameCodeSequence") == _METHOD:
            group.methods[name] = str(modifier.ConceptCodeSequence[0].CodeMeaning)
            group.method_codes[name] = _key(modifier, "ConceptCodeSequence")


def _key(item: Dataset, keyword: str) -> tuple[str, str]:
    sequence = item.get(keyword)
    if not sequence:
        return "", ""
    return str(sequence[0].CodingSchemeDesignator), str(sequence[0].CodeValue)


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", ()):
        yield from _walk(child)
