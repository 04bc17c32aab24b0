"""The lines at the top of the summary page, from a header: who, which study, how it was scanned."""

from __future__ import annotations

from datetime import date

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from node.domain.instance import InstanceHeader
from node.domain.job import Provenance
from node.report.identity import taken
from node.report.page import Heading
from node.report.words import Words

_APART = " · "


def heading(source: Dataset, header: InstanceHeader, provenance: Provenance, words: Words) -> Heading:
    """What a header says; what it lacks is left out."""
    identifier = _text(source, "PatientID")
    born, age = _day(source, "PatientBirthDate"), _text(source, "PatientAge").lstrip("0").lower()
    counted = age[:-1].isdecimal() and age[-1] in "ymwd"
    sex = _text(source, "PatientSex")
    patient = (
        f"{words.say('id')} {identifier}" if identifier else "",
        f"{words.say('born')} {born}" if born else "",
        words.say(sex) if sex in ("M", "F", "O") else sex,
        words.say("age", count=age[:-1], unit=words.say(age[-1])) if counted else "",
    )
    accession = _text(source, "AccessionNumber")
    study = (
        str(_day(source, "StudyDate") or ""),
        _text(source, "StudyDescription"),
        f"{words.say('accession')} {accession}" if accession else "",
    )
    return Heading(
        patient=name(_text(source, "PatientName")),
        patient_line=_joined(patient),
        study_line=_joined(study),
        scan_line=_joined(_scan(header)),
        study_date=_day(source, "StudyDate"),
        made_by=words.say("made", version=provenance.software_version, digest=provenance.config_digest[:8]),
    )


def name(value: str) -> str:
    """A person's name as people write it (PS3.5 6.2.1.2): the ideographic form, where there is one, comes first."""
    groups = PersonName(value)
    latin, ideographic = str(groups.alphabetic), str(groups.ideographic)
    family, *given = [part.strip() for part in latin.split("^")]
    written = ", ".join(part for part in (family, " ".join(part for part in given if part)) if part)
    own = "".join(part.strip() for part in ideographic.split("^"))
    return f"{own}  {written}".strip() if own else written


def _scan(header: InstanceHeader) -> tuple[str, ...]:
    thickness = header.slice_thickness_mm
    return (
        " ".join(part for part in (header.manufacturer, header.manufacturer_model_name, header.station_name) if part),
        f"{header.kvp:g} kVp" if header.kvp is not None else "",
        header.convolution_kernel or "",
        f"{thickness:g} mm" if thickness is not None else "",
        header.contrast_bolus_agent or "",
        header.series_description or "",
    )


def _joined(parts: tuple[str, ...]) -> str:
    return _APART.join(part for part in parts if part)


def _text(source: Dataset, keyword: str) -> str:
    element = taken(source, keyword)
    value = "" if element is None or element.value is None else element.value
    said = value[0] if isinstance(value, list) and value else value
    return " ".join(str(said).split()) if not isinstance(said, list) else ""


def _day(source: Dataset, keyword: str) -> date | None:
    value = _text(source, keyword).replace(".", "")
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        return None
