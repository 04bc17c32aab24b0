"""The report template: codes, units, labels and sentences from a file of ``sr_templates/``; data, no logic."""

from __future__ import annotations

import hashlib
import re
import string
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from node.domain.findings import Category
from node.domain.phantom import Material
from node.domain.settings import CategoryLimits
from node.errors import ConfigError, Problem, StudyRefused

UNITS: Mapping[str, str] = {
    "mg/cm3": "mg/cm3",
    "[hnsf'U]": "Hounsfield unit",
    "mm": "millimeter",
    "mm3": "cubic millimeter",
    "cm3": "cubic centimeter",
    "%": "percent",
    "1": "no units",
}
"""Units a template may use: UCUM code → meaning (PS3.16 CID 82, 301, 7181)."""

_NUMBERS = [
    "vbmd",
    "vbmd_uncertainty",
    "vbmd_k2hpo4",
    "vbmd_k2hpo4_uncertainty",
    "vbmd_native_estimate",
    "vbmd_native_estimate_uncertainty",
    "hu_mean",
    "hu_sd",
    "voi_volume",
    "level_confidence",
    "height_anterior",
    "height_middle",
    "height_posterior",
    "height_loss",
]
_CONCEPTS = [
    "status",
    "refusal_reason",
    "refusal_message",
    "evidence",
    "warning",
    "category",
    "category_limits",
    "included",
    "exclusion",
    "level_assignment",
    "phantom",
    "rod",
    "calibration",
    "local_calibration",
    "cross_calibration",
    "acquisition",
    "deformity",
    "genant_grade",
    "change",
    "change_significant",
    "notice",
    "comment",
    "qualitative_evaluations",
]
_PICTURES = ("curved-sagittal", "curved-coronal", "key-images", "summary", "summary-pdf")
_FINDINGS = ("trabecular", "body")
_TEXTS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "notice": "",
        "tracking_voi": "level",
        "tracking_body": "level",
        "tracking_mean": "levels",
        "comment_voi": "level vbmd uncertainty material",
        "comment_voi_no_density": "level",
        "comment_mean": "levels vbmd uncertainty material",
        "comment_body": "level",
        "comment_heights": "level finding",
        "deformity_candidate": "type loss grade confidence",
        "deformity_unknown": "",
        "warning": "message code",
        "change": "date change percent rate least differences",
        "change_rate": "rate",
        "change_differences": "differences",
        "change_not_comparable": "date reasons",
        "exclusion": "message code",
        "evidence": "name value",
        "category_limits": "normal osteoporosis material kvp source",
        "level_assignment": "agreement pairs confidence",
        "levels_agree": "",
        "levels_single": "",
        "levels_conflict": "",
        "levels_none": "",
        "anchor": "name level evidence",
        "phantom": "model serial id evidence",
        "rod": "name density hu sd residual",
        "calibration": "sigma beta r_squared rms material",
        "calibration_asynchronous": "sigma beta material source",
        "cross_calibration": "slope intercept material measured expires source",
        "not_stated": "",
        "acquisition": "kvp kernel thickness contrast manufacturer scanner",
    }.items()
}

_NEEDED: Mapping[str, frozenset[str]] = {
    "tracking_voi": frozenset({"level"}),
    "tracking_body": frozenset({"level"}),
    "warning": frozenset({"message", "code"}),
    "exclusion": frozenset({"message"}),
    "evidence": frozenset({"name", "value"}),
}
"""What a reader of the report could not do without."""


def _refusal_reasons() -> tuple[str, ...]:
    return tuple(kind.reason for kind in StudyRefused.__subclasses__())


def _value_sets() -> Mapping[str, tuple[str, ...]]:
    return {
        "status": ("measured", "refused"),
        "included": ("yes", "no"),
        "category": get_args(Category),
        "method": (*get_args(Material), *(f"{material}-asynchronous" for material in get_args(Material))),
        "deformity": ("none", "wedge", "biconcave", "crush"),
        "genant_grade": ("0", "1", "2", "3"),
        "refusal": (*_refusal_reasons(), "other"),
    }


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded concept (PS3.3 8.8): at most 16, 16 and 64 characters."""

    value: str
    scheme: str
    meaning: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it this concept: scheme and value."""
        return self.scheme, self.value


@dataclass(frozen=True, slots=True)
class NumberSpec:
    """How one number is reported."""

    code: Coded
    unit: Coded
    decimals: int
    derivation: Coded | None


@dataclass(frozen=True, slots=True)
class Scheme:
    """The private coding scheme (PS3.3 C.12.1.1.7)."""

    designator: str
    uid: str
    name: str
    organization: str


@dataclass(frozen=True, slots=True)
class DocumentSpec:
    """The report as a whole."""

    title: Coded
    title_refused: Coded
    procedure: Coded
    series_description: str
    series_description_refused: str
    series_number: int
    manufacturer: str
    model: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class SagittalSpec:
    """The sagittal image series."""

    series_description: str
    series_number: int
    window_center_hu: int
    window_width_hu: int
    soft_window_center_hu: int
    soft_window_width_hu: int
    derivation: Coded
    source_purpose: Coded


@dataclass(frozen=True, slots=True)
class HeightsSpec:
    """The report of vertebral heights, on the sagittal images."""

    title: Coded
    series_description: str
    series_number: int


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """A series of its own."""

    series_description: str
    series_number: int


@dataclass(frozen=True, slots=True)
class LimitsSpec:
    """Where the limits of the category come from, and those of this template's own population, if any."""

    source: str
    normal_above_mg_cm3: float | None = None
    osteoporosis_below_mg_cm3: float | None = None
    material: Material | None = None
    kvp: float | None = None

    def over(self, limits: CategoryLimits) -> CategoryLimits:
        """The limits of the configuration with those that the template states."""
        stated = {key: value for key, value in asdict(self).items() if key != "source" and value is not None}
        return replace(limits, **stated)


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template; every key that the report asks for is there."""

    id: str
    language: Coded
    scheme: Scheme
    document: DocumentSpec
    sagittal: SagittalSpec
    segmentation: SeriesSpec
    heights: HeightsSpec
    pictures: Mapping[str, SeriesSpec]
    sites: Mapping[str, Coded]
    numbers: Mapping[str, NumberSpec]
    concepts: Mapping[str, Coded]
    findings: Mapping[str, Coded]
    values: Mapping[str, Mapping[str, Coded]]
    texts: Mapping[str, str]
    category: LimitsSpec
    messages: Mapping[str, str]
    """Sentences in the template's language for warnings, refusals and reasons, by their code; others stay English."""
    digest: str
    """SHA-256 of the file."""

    def site(self, level: str) -> Coded:
        """Finding site of a vertebra, or of ``mean``."""
        return self.sites.get(level, self.sites["other"])

    def site_of_mean(self, levels: Collection[str]) -> Coded:
        """Finding site of a mean: a wider region where a thoracic vertebra stands in."""
        wider = any(not level.startswith("L") for level in levels)
        return self.site("mean-thoracolumbar" if wider else "mean")

    def message(self, code: str, english: str) -> str:
        """What is said under a code."""
        return self.messages.get(code, "{message}").replace("{message}", english)

    def refusal(self, reason: str) -> Coded:
        """Code of a reason of refusal."""
        return self.values["refusal"].get(reason, self.values["refusal"]["other"])


@dataclass(slots=True)
class _Reader:
    """Takes values out of the parsed file and collects what is wrong with them."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def say(self, key: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(self.file, key, message, remedy))

    def table(self, parent: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
        value = parent.get(key)
        if isinstance(value, dict):
            return value
        self.say(f"{where}{key}", "is missing" if value is None else "must be a table", f"Add [{where}{key}].")
        return {}

    def text(self, parent: Mapping[str, Any], key: str, where: str, longest: int = 64) -> str:
        value = parent.get(key)
        if not isinstance(value, str) or not value.strip():
            self.say(f"{where}{key}", "must be a text that is not empty")
            return ""
        if len(value) > longest:
            self.say(f"{where}{key}", f"has {len(value)} characters", f"At most {longest} are allowed.")
        if "\\" in value:
            self.say(f"{where}{key}", "holds a backslash", "DICOM uses it to part values; leave it out.")
        return value

    def number(self, parent: Mapping[str, Any], key: str, where: str, low: int, high: int) -> int:
        value = parent.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.say(f"{where}{key}", f"must be a whole number from {low} to {high}, not {value!r}")
            return low
        return value

    def amount(self, parent: Mapping[str, Any], key: str, where: str) -> float | None:
        """A positive number, or nothing."""
        value = parent.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10_000:
            self.say(f"{where}{key}", f"must be a positive number, not {value!r}")
            return None
        return float(value)

    def code(self, parent: Mapping[str, Any], key: str, where: str) -> Coded:
        inner = f"{where}{key}."
        table = self.table(parent, key, where)
        if not table:
            return Coded("", "", "")
        return Coded(
            self.text(table, "value", inner, 16),
            self.text(table, "scheme", inner, 16),
            self.text(table, "meaning", inner, 64),
        )

    def strangers(self, table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
        for key in sorted(set(table) - known):
            self.say(f"{where}{key}", "is not a key of a report template", "Remove it or correct its spelling.")

    def codes(self, parent: Mapping[str, Any], key: str, wanted: tuple[str, ...], where: str = "") -> dict[str, Coded]:
        table = self.table(parent, key, where)
        self.strangers(table, frozenset(wanted), f"{where}{key}.")
        return {name: self.code(table, name, f"{where}{key}.") for name in wanted}


def load(path: Path) -> Template:
    """Read and check a template.

    Raises ``ConfigError`` with every problem found: missing, unknown and misspelt keys, unknown units,
    over-long or repeated codes, sentences with names they do not have.
    """
    try:
        raw = path.read_bytes()
        parsed = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ConfigError((Problem(str(path), "", f"cannot be read: {error.strerror}"),)) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError((Problem(str(path), "", f"is not TOML: {error}"),)) from error
    reader = _Reader(str(path))
    template = _template(parsed, reader, hashlib.sha256(raw).hexdigest())
    _check_private(template, reader)
    if reader.problems:
        raise ConfigError(tuple(reader.problems))
    return template


def _template(parsed: Mapping[str, Any], reader: _Reader, digest: str) -> Template:
    known = frozenset(f.name for f in fields(Template)) - {"digest"}
    reader.strangers(parsed, known, "")
    values = reader.table(parsed, "values")
    sets = _value_sets()
    reader.strangers(values, frozenset(sets), "values.")
    return Template(
        id=reader.text(parsed, "id", ""),
        language=reader.code(parsed, "language", ""),
        scheme=_scheme(parsed, reader),
        document=_document(parsed, reader),
        sagittal=_sagittal(parsed, reader),
        segmentation=_series(parsed, "segmentation", reader),
        heights=_heights(parsed, reader),
        pictures=_pictures(parsed, reader),
        sites=_sites(parsed, reader),
        numbers=_numbers(parsed, reader),
        concepts=reader.codes(parsed, "concepts", tuple(_CONCEPTS)),
        findings=reader.codes(parsed, "findings", _FINDINGS),
        values={name: reader.codes(values, name, wanted, "values.") for name, wanted in sets.items()},
        texts=_texts(parsed, reader),
        category=_category(parsed, reader),
        messages=_messages(parsed, reader),
        digest=digest,
    )


def _scheme(parsed: Mapping[str, Any], reader: _Reader) -> Scheme:
    table = reader.table(parsed, "scheme")
    reader.strangers(table, frozenset(f.name for f in fields(Scheme)), "scheme.")
    scheme = Scheme(
        reader.text(table, "designator", "scheme.", 16),
        reader.text(table, "uid", "scheme.", 64),
        reader.text(table, "name", "scheme.", 1024),
        reader.text(table, "organization", "scheme.", 1024),
    )
    if not scheme.designator.startswith("99"):
        reader.say("scheme.designator", f"is {scheme.designator!r}", "Private schemes begin with 99 (PS3.16 8).")
    if not all(part.isdecimal() for part in scheme.uid.split(".")):
        reader.say("scheme.uid", f"{scheme.uid!r} is not a UID")
    return scheme


def _document(parsed: Mapping[str, Any], reader: _Reader) -> DocumentSpec:
    table, where = reader.table(parsed, "document"), "document."
    reader.strangers(table, frozenset(f.name for f in fields(DocumentSpec)), where)
    return DocumentSpec(
        title=reader.code(table, "title", where),
        title_refused=reader.code(table, "title_refused", where),
        procedure=reader.code(table, "procedure", where),
        series_description=reader.text(table, "series_description", where),
        series_description_refused=reader.text(table, "series_description_refused", where),
        series_number=reader.number(table, "series_number", where, 1, 2**31 - 1),
        manufacturer=reader.text(table, "manufacturer", where),
        model=reader.text(table, "model", where),
        algorithm=reader.text(table, "algorithm", where),
    )


def _sagittal(parsed: Mapping[str, Any], reader: _Reader) -> SagittalSpec:
    table, where = reader.table(parsed, "sagittal"), "sagittal."
    reader.strangers(table, frozenset(f.name for f in fields(SagittalSpec)), where)
    return SagittalSpec(
        series_description=reader.text(table, "series_description", where),
        series_number=reader.number(table, "series_number", where, 1, 2**31 - 1),
        window_center_hu=reader.number(table, "window_center_hu", where, -2000, 4000),
        window_width_hu=reader.number(table, "window_width_hu", where, 1, 8000),
        soft_window_center_hu=reader.number(table, "soft_window_center_hu", where, -2000, 4000),
        soft_window_width_hu=reader.number(table, "soft_window_width_hu", where, 1, 8000),
        derivation=reader.code(table, "derivation", where),
        source_purpose=reader.code(table, "source_purpose", where),
    )


def _series(parent: Mapping[str, Any], name: str, reader: _Reader, under: str = "") -> SeriesSpec:
    table, where = reader.table(parent, name, under), f"{under}{name}."
    reader.strangers(table, frozenset(f.name for f in fields(SeriesSpec)), where)
    return SeriesSpec(
        series_description=reader.text(table, "series_description", where),
        series_number=reader.number(table, "series_number", where, 1, 2**31 - 1),
    )


def _heights(parsed: Mapping[str, Any], reader: _Reader) -> HeightsSpec:
    table, where = reader.table(parsed, "heights"), "heights."
    reader.strangers(table, frozenset(f.name for f in fields(HeightsSpec)), where)
    return HeightsSpec(
        title=reader.code(table, "title", where),
        series_description=reader.text(table, "series_description", where),
        series_number=reader.number(table, "series_number", where, 1, 2**31 - 1),
    )


def _pictures(parsed: Mapping[str, Any], reader: _Reader) -> dict[str, SeriesSpec]:
    tables = reader.table(parsed, "pictures")
    reader.strangers(tables, frozenset(_PICTURES), "pictures.")
    return {name: _series(tables, name, reader, "pictures.") for name in _PICTURES}


def _sites(parsed: Mapping[str, Any], reader: _Reader) -> dict[str, Coded]:
    table = reader.table(parsed, "sites")
    for key in ("other", "mean", "mean-thoracolumbar"):
        if key not in table:
            reader.say(f"sites.{key}", "is missing")
    return {level: reader.code(table, level, "sites.") for level in table}


def _numbers(parsed: Mapping[str, Any], reader: _Reader) -> dict[str, NumberSpec]:
    table = reader.table(parsed, "numbers")
    reader.strangers(table, frozenset(_NUMBERS), "numbers.")
    found = {}
    for name in _NUMBERS:
        where = f"numbers.{name}."
        entry = reader.table(table, name, "numbers.")
        if not entry:
            continue
        reader.strangers(entry, frozenset({"value", "scheme", "meaning", "unit", "decimals", "derivation"}), where)
        unit = reader.text(entry, "unit", where)
        if unit and unit not in UNITS:
            reader.say(f"{where}unit", f"{unit!r} is not known", f"Take one of {', '.join(UNITS)}.")
        found[name] = NumberSpec(
            code=reader.code(table, name, "numbers."),
            unit=Coded(unit, "UCUM", UNITS.get(unit, unit)),
            decimals=reader.number(entry, "decimals", where, 0, 6),
            derivation=reader.code(entry, "derivation", where) if "derivation" in entry else None,
        )
    return found


def _texts(parsed: Mapping[str, Any], reader: _Reader) -> dict[str, str]:
    table = reader.table(parsed, "texts")
    reader.strangers(table, frozenset(_TEXTS), "texts.")
    found = {}
    for name, allowed in _TEXTS.items():
        found[name] = reader.text(table, name, "texts.", 1024)
        try:
            parts = [part for _, part, _, _ in string.Formatter().parse(found[name]) if part is not None]
        except ValueError as error:
            reader.say(f"texts.{name}", f"has braces that do not match: {error}")
            continue
        used = set(parts)
        for word in sorted(used - allowed):
            reader.say(f"texts.{name}", f"uses {{{word}}}", f"It may use {', '.join(sorted(allowed)) or 'no names'}.")
        for word in sorted(_NEEDED.get(name, frozenset()) - used):
            reader.say(f"texts.{name}", f"lacks {{{word}}}")
        if len(parts) != len(used) and name.startswith("tracking_"):
            reader.say(f"texts.{name}", "uses a name twice")
    return found


def _category(parsed: Mapping[str, Any], reader: _Reader) -> LimitsSpec:
    table, where = reader.table(parsed, "category"), "category."
    reader.strangers(table, frozenset(f.name for f in fields(LimitsSpec)), where)
    material = table.get("material")
    if material is not None and material not in get_args(Material):
        reader.say(f"{where}material", f"{material!r} is not known", f"Take one of {', '.join(get_args(Material))}.")
    limits = {key: reader.amount(table, key, where) for key in ("normal_above_mg_cm3", "osteoporosis_below_mg_cm3")}
    low, high = limits["osteoporosis_below_mg_cm3"], limits["normal_above_mg_cm3"]
    if low is not None and high is not None and low >= high:
        reader.say(f"{where}osteoporosis_below_mg_cm3", "must be below normal_above_mg_cm3")
    return LimitsSpec(
        source=reader.text(table, "source", where, 512),
        material=material,
        kvp=reader.amount(table, "kvp", where),
        **limits,
    )


def _messages(parsed: Mapping[str, Any], reader: _Reader) -> dict[str, str]:
    """Optional sentences by code of a warning, exclusion or refusal; {message} is the English one."""
    table = reader.table(parsed, "messages") if "messages" in parsed else {}
    found = {}
    for code in table:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code):
            reader.say(
                f"messages.{code}", "is no code of a warning, exclusion or refusal", "They look like no-phantom."
            )
        found[code] = reader.text(table, code, "messages.", 1024)
        if set(re.findall(r"{[^}]*}?|}", found[code])) - {"{message}"}:
            reader.say(f"messages.{code}", "uses braces", "It may use {message} alone.")
    return found


def _check_private(template: Template, reader: _Reader) -> None:
    """A private code has one meaning; names of one kind of item are not repeated."""
    named: dict[tuple[str, str], str] = {}
    groups: dict[str, Mapping[str, Coded]] = {
        "numbers": {name: spec.code for name, spec in template.numbers.items()},
        "concepts": template.concepts,
        "findings": template.findings,
        "sites": template.sites,
        **{f"values.{name}": codes for name, codes in template.values.items()},
    }
    for group, codes in groups.items():
        for name, code in codes.items():
            where = f"{group}.{name}"
            if not code.value:
                continue
            if code.key in named:
                reader.say(where, f"repeats the code {code.value} of {named[code.key]}", "Give each its own code.")
            named.setdefault(code.key, where)
            if code.scheme.startswith("99") and code.scheme != template.scheme.designator:
                reader.say(f"{where}.scheme", f"{code.scheme} is not described", "Use the designator in [scheme].")
