"""Series that no rule can want, each with its own reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.config.rules import Rule
from node.domain.instance import Series
from node.routing.facts import CT_CLASSES, Facts, is_slice
from node.routing.match import is_calculated, is_reformatted

MIN_SLICES = 10
MIN_COVERAGE_MM = 30.0
"""Less than one vertebra with its discs: bolus monitors, biopsy steps, fragments."""

_STORAGE = "1.2.840.10008.5.1.4.1.1"
_SECONDARY_CAPTURE = f"{_STORAGE}.7"
_DOSE_REPORTS = (f"{_STORAGE}.88.67", f"{_STORAGE}.88.68")
_NAMES = {
    "88": "structured report",
    "11": "presentation state",
    "104": "encapsulated document",
    "66": "segmentation or registration",
    "481": "radiotherapy object",
    "4": "MR image",
    "128": "PET image",
    "20": "nuclear medicine image",
    "1": "X-ray image",
    "6": "ultrasound image",
}
_DOSE_WORDS = ("dose", "dosis", "ctdi", "dosimetr")


def excluded(series: Series, facts: Facts, rules: Sequence[Rule]) -> tuple[str, str] | None:
    """(reason, message) when a series cannot be measured whatever the rules say, else ``None``."""
    slices = [instance.header for instance in series.instances if is_slice(instance.header)]
    if not slices:
        return _no_slices(series, facts)
    if facts.text("modality") not in (None, "CT"):
        return "not-ct", f"The modality is {facts.text('modality')}, not CT."
    if is_calculated(facts):
        return "derived-series", f"The images are calculated: {_joined(facts.image_type)}."
    if is_reformatted(facts) and not any(rule.allow_derived for rule in rules):
        return "derived-series", f"The images were made from other images: {_joined(facts.image_type)}."
    if facts.text("orientation") not in (None, "axial"):
        return "not-axial", f"The images are {facts.text('orientation')}; axial images are needed."
    count, coverage = facts.number("slices") or 0.0, facts.number("coverage_mm")
    if count < MIN_SLICES:
        return "too-few-slices", f"There are {count:g} slices; at least {MIN_SLICES} are needed."
    if coverage is not None and coverage < MIN_COVERAGE_MM:
        return "too-few-slices", f"The slices cover {coverage:g} mm; at least {MIN_COVERAGE_MM:g} mm are needed."
    return None


def _no_slices(series: Series, facts: Facts) -> tuple[str, str]:
    headers = [instance.header for instance in series.instances]
    uids = {header.sop_class_uid for header in headers}
    if uids & CT_CLASSES.keys():
        return "localizer", "The images are localizers."
    if uids & set(_DOSE_REPORTS):
        return "dose-report", "This is a radiation dose report."
    if any(uid == _SECONDARY_CAPTURE or uid.startswith(f"{_SECONDARY_CAPTURE}.") for uid in uids):
        named = " ".join(filter(None, (facts.text("series_description"), *facts.image_type))).lower()
        if any(word in named for word in _DOSE_WORDS):
            return "dose-report", "This is a picture of a dose report."
        return "secondary-capture", "The images are screen captures, not CT slices."
    if facts.text("modality") not in (None, "CT"):
        return "not-ct", f"The modality is {facts.text('modality')}, not CT."
    return "not-an-image", f"This is no CT image but {_kind(uids)}."


def _kind(uids: Iterable[str]) -> str:
    for uid in sorted(uids):
        family = uid.removeprefix(f"{_STORAGE}.").split(".")[0]
        if uid.startswith(f"{_STORAGE}.") and family in _NAMES:
            return f"a {_NAMES[family]}"
    return f"an object of class {', '.join(sorted(uids)) or 'unknown'}"


def _joined(values: Iterable[str]) -> str:
    return "\\".join(values)
