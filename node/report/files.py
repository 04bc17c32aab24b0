"""All objects of one measurement as files: written, synced, read back, compared with the findings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.domain.findings import Findings
from node.domain.job import Kind, MeasureJob, OutgoingObject
from node.domain.settings import Output
from node.domain.volume import Volume
from node.errors import ReportInvalid
from node.report import captures, heading, key_images, page, sagittal, segmentation, sr, template, uids, verify
from node.report.bone_density import Report
from node.report.source import Source
from node.report.words import Words

ORDER: Mapping[Kind, int] = {
    "sagittal": 0,
    "curved": 1,
    "key-image": 1,
    "summary": 2,
    "summary-pdf": 2,
    "segmentation": 5,
    "heights": 9,
    "sr": 10,
}
"""Images go before the reports that cite them, and the bone-density report goes last."""


_OUTPUT: Mapping[Kind, Output] = {"sr": "bone-density", "key-image": "key-images"}
"""Outputs that are called otherwise than their objects."""


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
    report = prepare(findings, volume, job)
    job.out_dir.mkdir(parents=True, exist_ok=True)
    written = [one for name in _WRITERS if name in report.written for one in _WRITERS[name](report, job, created)]
    _sync_folder(job.out_dir)
    return tuple(written)


def prepare(findings: Findings, volume: Volume | None, job: MeasureJob) -> Report:
    """What the outputs of a job are made from. Raises ``ConfigError`` for the template."""
    checked = template.load(job.template)
    source, names = Source(job.series.instances, volume), uids.of_job(job, checked.digest)
    planned = None
    if "segmentation" in job.report.outputs:
        planned = segmentation.plan(findings, source, checked, names)
    return Report(
        findings=findings,
        source=source,
        template=checked,
        uids=names,
        provenance=job.provenance,
        category=job.settings.category,
        settings=job.report,
        predecessors=job.predecessors,
        segmentation=planned,
        vertebrae_wanted=len(job.settings.levels.targets),
    )


def _sagittal(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    for reformat in report.findings.reformats:
        stack = sagittal.images(reformat, report.source, report.template, report.uids, report.provenance, created)
        for index, image in enumerate(stack):
            path = job.out_dir / f"{reformat.name}-{index + 1:03d}.dcm"
            save(image, path)
            verify.reformat_image(path, reformat, index, report)
            yield _outgoing(image, path, "sagittal", report)


def _segmentation(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    if report.segmentation is None:
        return
    path = job.out_dir / "segmentation.dcm"
    dataset = segmentation.segmentation(
        report.segmentation, report.source, report.template, report.uids, report.provenance, created
    )
    save(dataset, path)
    verify.segmentation(path, report)
    yield _outgoing(dataset, path, "segmentation", report)


def _curved(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    for reformat in report.findings.curved:
        for image in captures.curved(reformat, report, created):
            path = job.out_dir / f"{reformat.name}-{image.InstanceNumber:03d}.dcm"
            yield _captured(image, path, "curved", report)


def _key_images(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    volume = report.source.volume
    if volume is None:
        return
    labelled = key_images.key_images(report.findings, volume, Words(page.language_of(job.page)))
    for image in captures.colour(labelled, "key-images", report, created):
        yield _captured(image, job.out_dir / f"key-image-{image.InstanceNumber:03d}.dcm", "key-image", report)


def _summary(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    for image in captures.colour([_page(report, job)], "summary", report, created):
        yield _captured(image, job.out_dir / "summary.dcm", "summary", report)


def _summary_pdf(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    document = captures.pdf(_page(report, job), report, created)
    yield _captured(document, job.out_dir / "summary-pdf.dcm", "summary-pdf", report)


def _page(report: Report, job: MeasureJob) -> NDArray[np.uint8]:
    language = page.language_of(job.page)
    top = heading.heading(report.source.representative, report.findings.header, report.provenance, Words(language))
    style = page.Style(language, job.page.font, report.category)
    return page.page(report.findings, report.source.volume, job.priors, language, top, style)


def _captured(image: Dataset, path: Path, kind: Kind, report: Report) -> OutgoingObject:
    save(image, path)
    verify.capture(path, report)
    return _outgoing(image, path, kind, report)


def _heights(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    path = job.out_dir / "vertebral-heights.dcm"
    dataset = _made(sr.heights, report, created)
    save(dataset, path)
    verify.heights(path, report)
    yield _outgoing(dataset, path, "heights", report)


def _bone_density(report: Report, job: MeasureJob, created: datetime | None) -> Iterator[OutgoingObject]:
    path = job.out_dir / "bone-density.dcm"
    dataset = _made(sr.bone_density, report, created)
    save(dataset, path)
    verify.bone_density(path, report)
    yield _outgoing(dataset, path, "sr", report)


def _made(make: Callable[[Report, datetime | None], Dataset], report: Report, created: datetime | None) -> Dataset:
    try:
        return make(report, created)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ReportInvalid(f"the report cannot be made: {error}") from error


_Writer = Callable[[Report, MeasureJob, datetime | None], Iterator[OutgoingObject]]
_WRITERS: Mapping[Output, _Writer] = {
    "sagittal": _sagittal,
    "curved": _curved,
    "key-images": _key_images,
    "summary": _summary,
    "summary-pdf": _summary_pdf,
    "segmentation": _segmentation,
    "heights": _heights,
    "bone-density": _bone_density,
}


def _outgoing(dataset: Dataset, path: Path, kind: Kind, report: Report) -> OutgoingObject:
    output = _OUTPUT.get(kind, kind)
    return OutgoingObject(
        path=path,
        series_instance_uid=str(dataset.SeriesInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        kind=kind,
        order=ORDER[kind],
        not_for=tuple(name for name, wanted in report.settings.only.items() if output not in wanted),
    )


def save(dataset: Dataset, path: Path) -> None:
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
