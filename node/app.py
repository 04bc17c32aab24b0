"""Composition root: the configuration becomes a running node, or one offline measurement."""

from __future__ import annotations

import hashlib
import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from node import assurance, log, pipeline, report, routing, segmenters
from node.config import Config, Rule
from node.delivery import Deliverer
from node.dicom import geometry, scan
from node.domain.decision import Decision
from node.domain.instance import Series
from node.domain.job import MeasureJob, MeasureOutcome, Provenance
from node.domain.quality import QualityRecord
from node.errors import ConfigError, MeasurementFailed, Problem, StudyRefused
from node.intake import Assembly, Plan, Receiver, Routes
from node.ledger import Ledger
from node.standing import Standing
from node.workflow import Engine

_log = log.get(__name__)


def software_version() -> str:
    """Return the version of the installed distribution."""
    return metadata.version("vbmd-node")


def require_engines(config: Config) -> None:
    """Raise ``ConfigError`` when an engine that the configuration asks for cannot be used on this machine."""
    missing = segmenters.problems(config.measurement.segmenter)
    if missing:
        raise ConfigError(
            tuple(Problem(str(config.file), "segmenter", f"{name}: {why}") for name, why in missing.items())
        )


def routes(config: Config, record: assurance.Records = assurance.no_record) -> Routes:
    """The rules of a configuration, as the assembly applies them; ``record`` is what is known about the scanners."""
    return Routes(
        version=config.digest,
        decide=lambda series: [_measured_to_say_why(one, config) for one in decide(series, config)],
        plan=lambda series, decision, job_id: Plan(
            job_for(series, decision, config, config.state / "jobs" / job_id, record),
            _rule(config, decision.rule).destinations,
        ),
    )


def decide(series: Sequence[Series], config: Config) -> tuple[Decision, ...]:
    """One decision for each series; series are compared within their study."""
    return routing.decide(series, config.rules, _geometry(series))


def _geometry(series: Sequence[Series]) -> Mapping[str, StudyRefused | None]:
    """Why a series is no regular stack, by series; ``None`` where it is one."""
    refusals: dict[str, StudyRefused | None] = {}
    for one in series:
        try:
            geometry.check([instance.header for instance in one.instances])
            refusals[one.series_instance_uid] = None
        except StudyRefused as refused:
            refusals[one.series_instance_uid] = refused
    return refusals


def _measured_to_say_why(decision: Decision, config: Config) -> Decision:
    """A refused series whose rule wants refusals reported goes through the pipeline, which refuses it in a report."""
    if decision.action == "refuse" and _rule(config, decision.rule).report_refusals:
        return replace(decision, action="measure")
    return decision


def _rule(config: Config, name: str | None) -> Rule:
    return next(rule for rule in config.rules if rule.name == name)


def job_for(
    series: Series,
    decision: Decision,
    config: Config,
    out_dir: Path,
    record: assurance.Records = assurance.no_record,
) -> MeasureJob:
    """The measurement that a decision asks for."""
    rule = _rule(config, decision.rule)
    return MeasureJob(
        series=series,
        rule=rule.name,
        phantoms=routing.phantoms_for(series, rule, config),
        settings=config.measurement,
        template=config.templates[rule.template],
        report_refusals=rule.report_refusals,
        out_dir=out_dir,
        provenance=Provenance(software_version(), config.digest),
        quality=assurance.quality_for(series, rule, config, record),
        qa_phantoms=assurance.qa_phantoms(config),
        scanner=routing.scanner_key(series),
    )


class Node:
    """A running node. Parts start from the inside out and stop from the outside in, so that nothing is dropped."""

    def __init__(self, config: Config) -> None:
        self.config = config
        config.state.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(config.database)
        self._routes = self._routed(config)
        self.reminder = assurance.Reminder(self.ledger, config.quality)
        self.deliverer = Deliverer(self.ledger, config.destinations, config.receiver.ae_title)
        self.engine = Engine(
            config.work,
            self.ledger,
            config.state / "workflow",
            "node.pipeline:run",
            on_finished=lambda _job: self._finished(),
        )
        self.assembly = Assembly(self.ledger, config.assembly, lambda: self._routes, self.engine.start_job)
        self.receiver = Receiver(config.receiver, self.ledger)
        self.standing = Standing(config, self.ledger, self._apply)

    def start(self) -> None:
        """Resume what was interrupted, then open the door."""
        self.standing.start()
        self.engine.start()
        self.deliverer.start()
        self.assembly.start()
        self.receiver.start()
        self.reminder.start()
        _log.info("started", version=software_version(), config=str(self.config.file), digest=self.config.digest[:12])

    def stop(self) -> None:
        """Close the door, then let go of the work; what is under way is resumed at the next start."""
        self.standing.stop()
        self.reminder.stop()
        self.receiver.stop()
        self.assembly.stop()
        self.deliverer.stop()
        self.engine.stop()
        self.ledger.close()
        _log.info("stopped")

    def _apply(self, config: Config) -> None:
        """Put another configuration in force: each part exchanges one reference."""
        self.config = config
        self.deliverer.configure(config.destinations)
        self._routes = self._routed(config)
        self.assembly.configure(config.assembly)
        self.receiver.configure(config.receiver)

    def _routed(self, config: Config) -> Routes:
        return routes(config, lambda scanner: self.ledger.quality_record(scanner, patients=False))

    def _finished(self) -> None:
        """A job has been recorded: there may be something to deliver, or to warn of."""
        self.deliverer.wake()
        self.reminder.look()


def serve(config: Config, started: Callable[[Node], None] | None = None) -> None:
    """Run a node until SIGTERM or SIGINT."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    require_engines(config)
    node = Node(config)
    node.start()
    try:
        if started is not None:
            started(node)
        done.wait()
    finally:
        node.stop()


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


def measure_offline(paths: Iterable[Path], config: Config, out_dir: Path) -> Iterator[Measured | Ignored]:
    """Measure what the rules select below ``paths`` (folders, zips, files), one series after the other.

    Files go to a folder below ``out_dir`` for each series; what is not measured is yielded with its reason first.
    """
    require_engines(config)
    with tempfile.TemporaryDirectory(prefix="vbmd-node-") as scratch:
        found, skipped = scan.collect(paths, Path(scratch))
        yield from (Ignored(one.name, None, one.message) for one in skipped)
        decisions = decide(found, config)
        chosen = []
        for series, decision in zip(found, decisions, strict=True):
            if decision.action == "ignore":
                yield Ignored(series.series_instance_uid, decision, decision.message)
            else:
                chosen.append((series, decision))
        for series, decision in chosen:
            folder = out_dir / f"series-{hashlib.sha256(series.series_instance_uid.encode()).hexdigest()[:12]}"
            yield Measured(series, decision, _run(job_for(series, decision, config, folder, _kept_record(config))))


def _kept_record(config: Config) -> assurance.Records:
    """What a node that has run with this configuration knows about its scanners."""
    if not ledger_exists(config):
        return assurance.no_record

    def record(scanner: str) -> QualityRecord:
        ledger = Ledger(config.database)
        try:
            return ledger.quality_record(scanner, patients=False)
        finally:
            ledger.close()

    return record


def ledger_exists(config: Config) -> bool:
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
        provenance=Provenance(software_version(), config.digest),
        qa_phantoms=assurance.qa_phantoms(config),
        scanner=routing.scanner_key(series),
    )


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
        Provenance(software_version(), config.digest),
    )
