"""The report of vertebral heights, on the sagittal images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from node.domain.job import OutgoingObject
from node.report import write
from node.report.read_back import levels
from node.report.sr import walk
from tests.report import fixtures
from tests.report.conftest import Written
from tests.report.test_write import rounded, written_case


def heights_of(objects: tuple[OutgoingObject, ...]) -> Path:
    (path,) = [one.path for one in objects if one.kind == "heights"]
    return path


def groups_of(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [i for i in walk(dataset) if i.get("ValueType") and i.ConceptNameCodeSequence[0].CodeValue == "125007"]


def test_every_height_is_the_one_found(any_series: Written, out_dir: Path) -> None:
    found = fixtures.findings(any_series[1], any_series[0])
    stated = {one.level: one for one in levels(heights_of(written_case("measured", any_series, out_dir)))}
    for vertebra in found.vertebrae:
        if vertebra.heights is not None:
            ours = stated.pop(vertebra.level)
            assert ours.height_anterior_mm == rounded(vertebra.heights.anterior_mm, 1)
            assert ours.height_middle_mm == rounded(vertebra.heights.middle_mm, 1)
    assert not stated


def test_outlines_lie_on_the_sagittal_images(any_series: Written, out_dir: Path) -> None:
    objects = written_case("measured", any_series, out_dir)
    images = {one.sop_instance_uid: pydicom.dcmread(one.path) for one in objects if one.kind == "sagittal"}
    found = {v.level: v for v in fixtures.findings(any_series[1], any_series[0]).vertebrae}
    for group in groups_of(pydicom.dcmread(heights_of(objects))):
        (scoord,) = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        image = images[scoord.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
        points = np.array(scoord.GraphicData).reshape(-1, 2)[:-1] - 0.5
        row, column = np.array(image.ImageOrientationPatient).reshape(2, 3)
        between_rows, between_columns = image.PixelSpacing
        lps = image.ImagePositionPatient + points[:, :1] * row * between_columns + points[:, 1:] * column * between_rows
        (tracking,) = [i.TextValue for i in group.ContentSequence if "vertebral body" in str(i.get("TextValue", ""))]
        heights = found[tracking.split()[0]].heights
        assert heights is not None
        away = np.abs(np.array(heights.points_lps_mm)[[0, 2, 4, 5, 3, 1]] - lps).max(axis=0)
        assert away[1:] == pytest.approx([0, 0], abs=1e-3)
        assert away[0] <= 3.1  # half the distance of the images


def test_candidate_is_said_in_words(head_first: Written, out_dir: Path) -> None:
    dataset = pydicom.dcmread(heights_of(written_case("measured", head_first, out_dir)))
    comments = [str(item.TextValue) for item in walk(dataset) if str(item.get("TextValue", "")).startswith("L2: ")]
    assert comments == ["L2: Wedge 22 %, candidate grade 1, for review (confidence 0.80)"]


def test_refused_study_gives_no_heights_report(head_first: Written, out_dir: Path) -> None:
    assert [one.kind for one in written_case("refused, levels found", head_first, out_dir)] == ["summary", "sr"]


def test_heights_go_into_the_density_report_where_no_sagittal_images_are_sent(
    head_first: Written, out_dir: Path
) -> None:
    stored, volume = head_first
    job = fixtures.job(stored, out_dir, report=fixtures.ReportSettings(outputs=("bone-density",)))
    (only,) = write(fixtures.findings(volume, stored), volume, job)
    assert [one.height_anterior_mm for one in levels(only.path)] == ["36.0", "25.0", "26.0"]
