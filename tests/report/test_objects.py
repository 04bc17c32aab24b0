"""What no validator sees: units, procedure, values, outlines, and that everything referred to exists."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pydicom
from pydicom.dataset import Dataset

from node.domain.job import Kind
from node.report import result
from tests.report import independent
from tests.report.independent import Group, Number
from tests.report.studies import CHINESE, REPORTS, Study

UNITS = {
    "1001": "mg/cm3", "1002": "mg/cm3", "1021": "mg/cm3", "1022": "mg/cm3", "1023": "mg/cm3", "1024": "mg/cm3",
    "112031": "[hnsf'U]", "1003": "[hnsf'U]", "118565006": "mm3", "1004": "1",
    "1011": "mm", "1012": "mm", "1013": "mm", "1014": "%",
}  # fmt: skip
OF_LEVEL = {
    "1001": ("vbmd_mg_cm3",),
    "1002": ("vbmd_expanded_uncertainty_mg_cm3",),
    "1021": ("vbmd_k2hpo4_mg_cm3",),
    "1022": ("vbmd_k2hpo4_expanded_uncertainty_mg_cm3",),
    "112031": ("voi", "hu_mean"),
    "1003": ("voi", "hu_sd"),
    "118565006": ("voi", "volume_mm3"),
    "1004": ("confidence",),
    "1011": ("heights_mm", "anterior"),
    "1012": ("heights_mm", "middle"),
    "1013": ("heights_mm", "posterior"),
    "1014": ("deformity", "loss_percent"),
}
"""Where the result as JSON holds a number of a vertebra."""
OF_MEAN = {
    "1001": "mean_vbmd_mg_cm3",
    "1002": "mean_vbmd_expanded_uncertainty_mg_cm3",
    "1021": "mean_vbmd_k2hpo4_mg_cm3",
    "1022": "mean_vbmd_k2hpo4_expanded_uncertainty_mg_cm3",
    "1023": "mean_vbmd_native_estimate_mg_cm3",
    "1024": "mean_vbmd_native_estimate_expanded_uncertainty_mg_cm3",
}
DECIMALS = {"118565006": 0, "1004": 2, "1014": 0}
"""Of all others one."""


def reported(study: Study) -> list[Group]:
    return [group for path in study.paths(*REPORTS) for group in independent.groups(path)]


def test_every_number_has_its_unit(study: Study) -> None:
    for group in reported(study):
        assert {number.code[1]: number.unit for number in group.numbers}.items() <= UNITS.items()


def test_every_group_has_numbers_and_closed_outlines(study: Study) -> None:
    for group in reported(study):
        assert group.numbers
        assert group.outlines
        for outline in group.outlines:
            assert outline.kind == "POLYLINE"
            assert len(outline.points) >= 8
            assert outline.points[:2] == outline.points[-2:]


def test_the_procedure_is_reported(study: Study) -> None:
    for path in study.paths(*REPORTS):
        items = pydicom.dcmread(path).ContentSequence
        codes = [independent.code(one, "ConceptCodeSequence") for one in items if independent.code(one)[1] == "121058"]
        assert codes == [("LN", "25045-6")]


def test_every_document_is_unverified_and_as_complete_as_what_was_measured(study: Study) -> None:
    lacking = study.findings.refusal is not None or len(study.findings.mean_levels) < 2
    flags: tuple[tuple[Kind, str], ...] = (("sr", "PARTIAL" if lacking else "COMPLETE"), ("heights", "COMPLETE"))
    for kind, flag in flags:
        for path in study.paths(kind):
            dataset = pydicom.dcmread(path)
            assert (dataset.CompletionFlag, dataset.VerificationFlag) == (flag, "UNVERIFIED")


def references(dataset: Dataset) -> Iterator[str]:
    """Every instance that an object refers to, wherever it does."""
    for element in dataset:
        if element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)
        elif element.VR == "SQ":
            for item in element.value:
                yield from references(item)


def test_everything_that_is_referred_to_exists(study: Study) -> None:
    known = {str(item.header.sop_instance_uid) for item in study.stored}
    known |= {one.sop_instance_uid for one in study.objects}
    for one in study.objects:
        assert set(references(pydicom.dcmread(one.path, stop_before_pixels=True))) <= known


def test_the_evidence_is_what_the_content_refers_to(study: Study) -> None:
    for path in study.paths(*REPORTS):
        dataset = pydicom.dcmread(path)
        content = {uid for item in independent.items(dataset) for uid in references(without_children(item))}
        evidence = set(references(Dataset({0x0040A375: dataset[0x0040A375]})))
        assert content == evidence


def without_children(item: Dataset) -> Dataset:
    return Dataset({element.tag: element for element in item if element.keyword != "ContentSequence"})


def test_series_have_numbers_of_their_own(study: Study) -> None:
    numbers: dict[str, set[str]] = {}
    for one in study.objects:
        dataset = pydicom.dcmread(one.path, stop_before_pixels=True)
        assert 9001 <= int(dataset.SeriesNumber) <= 9099
        assert dataset.SeriesDescription
        numbers.setdefault(str(dataset.SeriesNumber), set()).add(str(dataset.SeriesInstanceUID))
    assert all(len(uids) == 1 for uids in numbers.values())


def test_patient_and_study_are_those_of_the_source(study: Study) -> None:
    source = pydicom.dcmread(study.stored[0].path, stop_before_pixels=True)
    for one in study.objects:
        dataset = pydicom.dcmread(one.path, stop_before_pixels=True)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDescription", "AccessionNumber"):
            assert str(dataset[keyword].value) == str(source[keyword].value)
        if study.name == CHINESE:
            assert dataset.PatientName.ideographic == "王^小东"


def stated(study: Study) -> dict[tuple[str, str], Number]:
    """Every number of both reports, by level (or "mean") and code."""
    found: dict[tuple[str, str], Number] = {}
    for group in reported(study):
        level = "mean" if group.tracking.startswith("Mean of") else group.tracking.split()[0]
        for number in group.numbers:
            assert (level, number.code[1]) not in found
            found[level, number.code[1]] = number
    return found


def expected(study: Study) -> dict[tuple[str, str], float]:
    """The same numbers in the result as JSON: those that are there, and that a report of this study states."""
    entry = result(study.findings, [])
    found = {("mean", code): entry[key] for code, key in OF_MEAN.items()}
    for level, one in entry["levels"].items():
        for code, keys in OF_LEVEL.items():
            value = one
            for key in keys:
                value = None if value is None else value[key]
            found[level, code] = value
        if one["voi"] is None:
            found[level, "1004"] = None  # the confidence stands beside what was measured
        if study.paths("heights") and (one["deformity"] or {}).get("type") == "none":
            found[level, "1014"] = None  # the report of heights states it of candidates only
    return {key: value for key, value in found.items() if value is not None}


def test_numbers_equal_the_json_to_the_last_digit(study: Study) -> None:
    wanted = expected(study) if study.name != "refused, never read" else {}
    printed = {key: number.value for key, number in stated(study).items()}
    assert printed.keys() == wanted.keys()
    for (level, code), text in printed.items():
        decimals = DECIMALS.get(code, 1)
        assert -Decimal(text).as_tuple().exponent == decimals, (level, code, text)  # type: ignore[operator]
        assert text == f"{wanted[level, code]:.{decimals}f}", (level, code)
