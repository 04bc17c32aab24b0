"""All objects of one measurement as files: written, synced, read back, compared with the findings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from node.domain.findings import Findings
from node.domain.job import MeasureJob, OutgoingObject
from node.domain.volume import Volume
from node.errors import ReportInvalid
from node.report import sagittal, sr, template, uids, verify
from node.report.bone_density import Report
from node.report.source import Source

SAGITTAL_ORDER = 0
SR_ORDER = 10
"""Images go before the reports that cite them; room between for segmentations."""


def write(
    findings: Findings, volume: Volume | None, job: MeasureJob, created: datetime | None = None
) -> tuple[OutgoingObject, ...]:
    """Write what is to be sent for one series into ``job.out_dir``.

    ``volume`` gives the geometry of the masks in ``findings``; ``None`` where the series was refused before it was
    read. ``created`` dates the outputs; without it they take the date of the acquisition. The same arguments give the
    same bytes. A refusal that is not to be reported gives nothing.

    Raises ``ReportInvalid`` when an object does not read back as the findings say, ``ConfigError`` for the template.
    """
    if findings.refusal is not None and not job.report_refusals:
        return ()
    checked = template.load(job.template)
    report = Report(
        findings=findings,
        source=Source(job.series.instances, volume),
        template=checked,
        uids=uids.of_job(job, checked.digest),
        provenance=job.provenance,
        category=job.settings.category,
    )
    job.out_dir.mkdir(parents=True, exist_ok=True)
    written = [*_sagittal(report, job.out_dir, created), _report(report, job.out_dir, created)]
    _sync_folder(job.out_dir)
    return tuple(written)


def _sagittal(report: Report, folder: Path, created: datetime | None) -> Iterator[OutgoingObject]:
    if report.refused:
        return
    for reformat in report.findings.reformats:
        stack = sagittal.images(reformat, report.source, report.template, report.uids, report.provenance, created)
        for index, image in enumerate(stack):
            path = folder / f"{reformat.name}-{index + 1:03d}.dcm"
            _save(image, path)
            verify.reformat_image(path, reformat, index, report)
            yield _outgoing(image, path, "sagittal", SAGITTAL_ORDER)


def _report(report: Report, folder: Path, created: datetime | None) -> OutgoingObject:
    path = folder / "bone-density.dcm"
    try:
        dataset = sr.bone_density(report, created)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ReportInvalid(f"the report cannot be made: {error}") from error
    _save(dataset, path)
    verify.bone_density(path, report)
    return _outgoing(dataset, path, "sr", SR_ORDER)


def _outgoing(dataset: Dataset, path: Path, kind: str, order: int) -> OutgoingObject:
    return OutgoingObject(
        path=path,
        series_instance_uid=str(dataset.SeriesInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        kind="sr" if kind == "sr" else "sagittal",
        order=order,
    )


def _save(dataset: Dataset, path: Path) -> None:
    """Write a Part 10 file and sync it; it appears under its name only when it is whole.

    A character that cannot be written raises ``ReportInvalid`` instead of becoming a question mark.
    """
    partial = path.with_suffix(".part")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Ff]ailed to encode.*")
        try:
            with partial.open("wb") as file:
                dataset.save_as(file, enforce_file_format=True)
                file.flush()
                os.fsync(file.fileno())
        except (ValueError, UserWarning) as error:
            partial.unlink(missing_ok=True)
            raise ReportInvalid(f"{path.name} cannot be written: {error}") from error
    partial.rename(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
