"""The lines on top of a page come from the header, as people write them."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.domain.job import Provenance
from node.report.heading import heading, name
from node.report.words import Words
from tests.report import fixtures

PROVENANCE = Provenance("0.1.0", "ab" * 32)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Müller^Grete", "Müller, Grete"),
        ("Doe^Jane^Q^Dr^PhD", "Doe, Jane Q Dr PhD"),
        ("Wang^XiaoDong=王^小东", "王小东  Wang, XiaoDong"),
        ("=王^小东", "王小东"),
        ("Anonymous", "Anonymous"),
        ("", ""),
    ],
)
def test_names(value: str, written: str) -> None:
    assert name(value) == written


@pytest.mark.parametrize(
    ("charset", "patient"),
    [("GB18030", "Wang^XiaoDong=王^小东"), ("ISO_IR 144", "Иванов^Иван"), ("ISO_IR 192", "Müller^Grete")],
)
def test_names_survive_their_character_set(tmp_path: Path, charset: str, patient: str) -> None:
    stored, _ = fixtures.single_frames(tmp_path, patient=fixtures.Patient(charset, patient, "CT"))
    source = pydicom.dcmread(stored[0].path, stop_before_pixels=True)
    assert heading(source, stored[0].header, PROVENANCE, Words()).patient == name(patient)


def test_study_and_scan(tmp_path: Path) -> None:
    stored, _ = fixtures.single_frames(tmp_path)
    found = heading(pydicom.dcmread(stored[0].path), stored[0].header, PROVENANCE, Words())
    assert found.patient_line == "ID TEST-1 · born 1950-01-02 · F · age 74 y"
    assert found.study_line == "2024-03-05 · CT Thorax/Abdomen für Prüfung · Accession A77"
    assert found.scan_line == "Maker Scanner 9 · 120 kVp · STANDARD · 3 mm"
    assert str(found.study_date) == "2024-03-05"


def test_an_empty_header_gives_empty_lines(tmp_path: Path) -> None:
    stored, _ = fixtures.single_frames(tmp_path)
    found = heading(Dataset(), stored[0].header, PROVENANCE, Words())
    assert (found.patient, found.patient_line, found.study_line, found.study_date) == ("", "", "", None)


def test_the_age_is_written_with_its_unit(tmp_path: Path) -> None:
    stored, _ = fixtures.single_frames(tmp_path)
    source = Dataset()
    source.PatientAge = "006M"
    assert heading(source, stored[0].header, PROVENANCE, Words()).patient_line == "age 6 m"
