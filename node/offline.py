"""Measuring and drawing without a network: what the commands ``measure`` and ``render`` do."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import app, assurance, log, pipeline, report, routing
from node.config import Config, Rule
from node.dicom import scan
from node.domain.decision import Decision
from node.domain.findings import Findings
from node.domain.instance import Series
from node.domain.job import MeasureJob, MeasureOutcome, Provenance
from node.domain.quality import QualityRecord
from node.errors import MeasurementFailed
from node.ledger import Ledger

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """One series measured offline."""

    series: Series
    decision: Decision
    outcome: MeasureOutcome


@dataclass(frozen=True, slots=True)
class Ignored:
    """One series, or one file, that is not measured."""

    name: str
    decision: Decision | None
    message: str


def measure(paths: Iterable[Path], config: Config, out_dir: Path) -> Iterator[Measured | Ignored]:
    """Measure what the rules select below ``paths`` (folders, zips, files), one series after the other.

    Files go to a folder below ``out_dir`` for each series; what is not measured is yielded with its reason first.
    """
    app.require_engines(config)
    with tempfile.TemporaryDirectory(prefix="vbmd-node-") as scratch:
        found, skipped = scan.collect(paths, Path(scratch))
        yield from (Ignored(one.name, None, one.message) for one in skipped)
        decisions = app.decide(found, config)
        chosen = []
        for series, decision in zip(found, decisions, strict=True):
            if decision.action == "ignore":
                yield Ignored(series.series_instance_uid, decision, decision.message)
            else:
                chosen.append((series, decision))
        for series, decision in chosen:
            folder = out_dir / _folder_name(series)
            yield Measured(series, decision, _run(app.job_for(series, decision, config, folder, _kept_record(config))))


def _kept_record(config: Config) -> assurance.Records:
    """What a node that has run with this configuration knows about its scanners."""
    if not _ledger_exists(config):
        return assurance.no_record

    def record(scanner: str) -> QualityRecord:
        ledger = Ledger(config.database)
        try:
            return ledger.quality_record(scanner, patients=False)
        finally:
            ledger.close()

    return record


def _ledger_exists(config: Config) -> bool:
    """Whether a node has run with this configuration before, as far as that can be told without a connection."""
    url = config.database
    return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists()


def qa_job(series: Series, config: Config) -> MeasureJob:
    """The measurement of a QA scan that no rule has decided about."""
    rule = config.rules[0] if config.rules else Rule(name="qa")
    return MeasureJob(
        series=series,
        rule=rule.name,
        phantoms=routing.phantoms_for(series, rule, config),
        settings=config.measurement,
        template=next(iter(config.templates.values())),
        report_refusals=False,
        out_dir=Path(),
        provenance=Provenance(app.software_version(), config.digest),
        qa_phantoms=assurance.qa_phantoms(config),
        scanner=routing.scanner_key(series),
    )


@dataclass(frozen=True, slots=True)
class Rendered:
    """The pictures of one series."""

    series: Series
    findings: Findings
    pictures: tuple[Path, ...]


def render(paths: Iterable[Path], config: Config, out_dir: Path) -> Iterator[Rendered | Ignored]:
    """Draw every stack of axial CT images below ``paths``, whether the rules want it or not.

    Files go to a folder below ``out_dir`` for each series. Series that are no such stack are yielded with the reason.
    """
    app.require_engines(config)
    phantoms = tuple(one for one in config.phantoms.values() if one.kind != "qa")
    with tempfile.TemporaryDirectory(prefix="vbmd-node-") as scratch:
        found, skipped = scan.collect(paths, Path(scratch))
        yield from (Ignored(one.name, None, one.message) for one in skipped)
        for series, decision in zip(found, routing.decide(found, (), app.geometry_of(found)), strict=True):
            if decision.reason not in ("no-rule-matched", "derived-series"):
                yield Ignored(series.series_instance_uid, decision, decision.message)
                continue
            volume, findings = pipeline.examine(series, phantoms, config.measurement)
            if volume is None:
                yield Ignored(series.series_instance_uid, None, findings.refusal.message if findings.refusal else "")
                continue
            folder = out_dir / _folder_name(series)
            yield Rendered(series, findings, report.render(volume, findings, folder, config.page))


def _folder_name(series: Series) -> str:
    return f"series-{hashlib.sha256(series.series_instance_uid.encode()).hexdigest()[:12]}"


def _run(job: MeasureJob) -> MeasureOutcome:
    try:
        return pipeline.run(job)
    except Exception as error:  # noqa: BLE001 - the outermost loop: one series must not stop the others
        _log.error("measurement-failed", rule=job.rule, exc_info=True)
        return pipeline.refuse(
            job, MeasurementFailed(f"The measurement failed with an error of the node itself ({type(error).__name__}).")
        )


def result_document(entries: Iterable[Measured | Ignored], config: Config) -> dict[str, Any]:
    """The documented JSON of an offline measurement (docs/result.md)."""
    entries = list(entries)
    return report.document(
        [
            json.loads(one.outcome.result_json.read_text(encoding="utf-8"))
            for one in entries
            if isinstance(one, Measured)
        ],
        [one.decision for one in entries if isinstance(one, Ignored) and one.decision is not None],
        Provenance(app.software_version(), config.digest),
    )
