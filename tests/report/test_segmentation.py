"""The segmentation of bodies and VOIs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from node.domain.job import OutgoingObject
from node.domain.volume import Mask, Volume
from node.report import files, write
from node.report.sr import walk
from tests.report import fixtures
from tests.report.conftest import Written
from tests.report.test_write import sr_of, written_case


def segmentation_of(objects: tuple[OutgoingObject, ...]) -> Path:
    (path,) = [one.path for one in objects if one.kind == "segmentation"]
    return path


def test_segments_are_bodies_vois_and_their_union(head_first: Written, out_dir: Path) -> None:
    read = hd.seg.segread(segmentation_of(written_case("measured", head_first, out_dir)))
    labels = [read.get_segment_description(number).segment_label for number in read.segment_numbers]
    assert labels == [
        "L1 vertebral body",
        "L1 trabecular VOI",
        "L2 vertebral body",
        "L2 trabecular VOI",
        "Mean of L1, L2",
    ]


def centroid_lps_mm(path: Path, segment: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    volume = hd.seg.segread(path).get_volume(
        segment_numbers=[segment], combine_segments=False, rescale_fractional=False
    )
    inside = np.argwhere(volume.array[..., 0] if volume.array.ndim == 4 else volume.array)
    return np.asarray(volume.map_indices_to_reference(inside.astype(float)).mean(axis=0), dtype=np.float64)


def of_mask(volume: Volume, mask: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return volume.lps_mm(np.argwhere(mask.voxels) + mask.origin_kji).mean(axis=0)


def test_segments_lie_where_the_masks_lie(any_series: Written, out_dir: Path) -> None:
    stored, volume = any_series
    found = fixtures.findings(volume, stored)
    path = segmentation_of(written_case("measured", any_series, out_dir))
    bodies = {v.level: v.body for v in found.vertebrae}
    assert centroid_lps_mm(path, 1) == pytest.approx(of_mask(volume, bodies["L1"]), abs=0.01)
    assert centroid_lps_mm(path, 4) == pytest.approx(of_mask(volume, found.vois["L2"].mask), abs=0.01)


def test_report_tracks_the_same_regions(head_first: Written, out_dir: Path) -> None:
    objects = written_case("measured", head_first, out_dir)
    read = hd.seg.segread(segmentation_of(objects))
    tracked = {str(read.get_segment_description(n).tracking_uid) for n in read.segment_numbers}
    named = {str(i.UID) for i in walk(pydicom.dcmread(sr_of(objects))) if i.get("ValueType") == "UIDREF" and "UID" in i}
    assert len(tracked & named) == 3  # both VOIs and the mean


def test_report_refers_to_the_segments(head_first: Written, out_dir: Path) -> None:
    objects = written_case("measured", head_first, out_dir)
    groups = hd.sr.srread(sr_of(objects)).content.get_volumetric_roi_measurement_groups()
    segments = [group.referenced_segment for group in groups]
    assert [segment.referenced_segment_numbers[0] for segment in segments] == [5, 2, 4]


def test_site_without_segmentations_gets_outlines(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    outputs = ("bone-density", "sagittal", "heights")
    job = fixtures.job(stored, out_dir, report=fixtures.ReportSettings(outputs=outputs))
    objects = write(fixtures.findings(volume, stored), volume, job)
    groups = hd.sr.srread(sr_of(objects)).content.get_volumetric_roi_measurement_groups()
    assert all(group.roi is not None and group.referenced_segment is None for group in groups)


def test_images_without_a_frame_of_reference_are_not_segmented(head_first: Written, out_dir: Path) -> None:
    stored, volume = head_first
    found = fixtures.findings(volume, stored, header=replace(stored[0].header, frame_of_reference_uid=None))
    planned = files.prepare(found, volume, fixtures.job(stored, out_dir)).segmentation
    assert planned is None


def test_one_source_header_is_enough(tmp_path: Path, out_dir: Path) -> None:
    """Hundreds of others need not be read again: what is asked of them was kept when they came."""
    stored, volume = fixtures.single_frames(tmp_path / "source")
    middle = stored[len(stored) // 2].path
    for one in stored:
        if one.path != middle:
            one.path.unlink()
    job = fixtures.job(stored, out_dir, report=fixtures.ReportSettings(outputs=("segmentation",)))
    assert [one.kind for one in write(fixtures.findings(volume, stored), volume, job)] == ["segmentation"]
