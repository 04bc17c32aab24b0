"""Composition root: the configuration becomes a running node. It imports no measuring libraries."""

from __future__ import annotations

import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from node import assurance, log, routing
from node.config import Config, Rule
from node.dicom import geometry
from node.domain.decision import Decision
from node.domain.instance import Series
from node.domain.job import MeasureJob, Provenance
from node.domain.settings import SegmenterSettings
from node.errors import ConfigError, Problem, StudyRefused
from node.intake import Assembly, Plan, Receiver, Routes
from node.ledger import Ledger
from node.roles import ROLES, Role
from node.standing import Standing
from node.workflow.presence import Presence, exclusive

if TYPE_CHECKING:
    from node.admin.audit import Auditor, Here
    from node.admin.watch import Watch
    from node.delivery import Deliverer, Lookup
    from node.workflow.engine import Engine

_log = log.get(__name__)


def software_version() -> str:
    """Return the version of the installed distribution."""
    return metadata.version("vbmd-node")


def require_engines(config: Config) -> None:
    """Raise ``ConfigError`` when an engine that the configuration asks for cannot be used on this machine."""
    if config.measurement.segmenter == SegmenterSettings():
        return
    from node import segmenters  # only here: the node itself does without their libraries

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
            _rule(config, decision.rule).priority,
            config.delivery.shadow or _rule(config, decision.rule).shadow,
        ),
    )


def decide(series: Sequence[Series], config: Config) -> tuple[Decision, ...]:
    """One decision for each series; series are compared within their study."""
    return routing.decide(series, config.rules, geometry_of(series))


def geometry_of(series: Sequence[Series]) -> Mapping[str, StudyRefused | None]:
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
        report=replace(config.report, outputs=rule.outputs),
        page=config.page,
        quality=assurance.quality_for(series, rule, config, record),
        qa_phantoms=assurance.qa_phantoms(config),
        scanner=routing.scanner_key(series),
    )


class Part(Protocol):
    """Something that runs from ``start`` to ``stop``."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class Node:
    """A running node, or the part of one that its roles name.

    Parts start from the inside out and stop from the outside in, so that nothing is dropped.
    """

    def __init__(self, config: Config, roles: Sequence[Role] = ROLES, function: str = "node.pipeline:run") -> None:
        self.config = config
        self.roles = tuple(role for role in ROLES if role in roles)
        config.state.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(config.database)
        self._routes = self._routed(config)
        self._identify()
        self.standing = Standing(config, self.ledger, self._apply, templates="work" in self.roles)
        alone = self.roles == ("receive",)
        self.receiver = Receiver(config.receiver, self.ledger, alone=alone) if "receive" in self.roles else None
        self.watch = self._watch() if "admin" in self.roles else None
        self.auditor = self._auditor() if "admin" in self.roles else None
        self.deliverer = self._deliverer() if "deliver" in self.roles else None
        self.lookup = self._lookup() if "work" in self.roles else None
        self.engine = self._engine(function) if "work" in self.roles else None
        self.assembly, self.reminder = self._assembly(), assurance.Reminder(self.ledger, config.quality)
        adopt = self.engine.adopt if self.engine and self.shared else None
        self.presence = Presence(self.ledger, self.executor_id, self.host, self.roles, adopt)

    def _watch(self) -> Watch:
        from node.admin.watch import Watch

        return Watch(self.ledger, self.config, self._door)

    def _auditor(self) -> Auditor:
        from node.admin.audit import Auditor

        return Auditor(self.ledger, self.config.audit, self._here, self.executor_id, self.config.receiver.tls)

    def _deliverer(self) -> Deliverer:
        from node.delivery import Deliverer

        receiver = self.config.receiver
        return Deliverer(
            self.ledger, self.config.destinations, receiver.ae_title, tls=receiver.tls, owner=self.executor_id
        )

    def _lookup(self) -> Lookup:
        from node.delivery import Lookup

        receiver = self.config.receiver
        return Lookup(self.config.prior_archive, receiver.ae_title, self.ledger.objects_at, receiver.tls)

    def _engine(self, function: str) -> Engine:
        from node.workflow.engine import Engine  # only here: it is large, and the other roles do without it

        return Engine(
            self.config.work,
            self.ledger,
            self.config.state / "workflow",
            function,
            on_finished=lambda _job: self._finished(),
            executor_id=self.executor_id,
            database=self.config.database if self.shared else None,
            look_up=self.lookup,
        )

    def _assembly(self) -> Assembly | None:
        if self.engine is None:
            return None
        return Assembly(self.ledger, self.config.assembly, lambda: self._routes, self.engine.start_job)

    def _identify(self) -> None:
        """On one host a name that stays; where many share a database one that nobody else ever has."""
        self.shared = not self.config.database.startswith("sqlite")
        self.host = socket.gethostname()[:48]
        self.executor_id = f"{self.host}-{os.getpid()}-{uuid.uuid4().hex[:8]}" if self.shared else "node-1"
        self._locks: list[int] = []

    def _parts(self) -> list[Part]:
        """In the order of their start."""
        work = (self.engine, self.assembly, self.reminder) if self.engine else ()
        inside = (self.standing, self.presence, *work, self.deliverer)
        parts = (*inside, self.receiver, self.watch, self.auditor)
        return [part for part in parts if part is not None]

    def start(self) -> None:
        """Resume what was interrupted, then open the door."""
        if not self.shared:
            self._locks = [exclusive(self.config.state / f"{role}.lock") for role in self.roles]
        for part in self._parts():
            part.start()
        _log.info(
            "started",
            version=software_version(),
            config=str(self.config.file),
            digest=self.config.digest[:12],
            roles=list(self.roles),
            executor=self.executor_id,
        )

    def stop(self) -> None:
        """Close the door, then let go of the work; what is under way is resumed at the next start."""
        for part in reversed(self._parts()):
            part.stop()
        self.ledger.close()
        for lock in self._locks:
            os.close(lock)
        _log.info("stopped")

    def _apply(self, config: Config) -> None:
        """Put another configuration in force: each part exchanges one reference."""
        self.config = config
        self._routes = self._routed(config)
        self.reminder.configure(config.quality)
        if self.deliverer:
            self.deliverer.configure(config.destinations)
        if self.lookup:
            self.lookup.configure(config.prior_archive, config.receiver.ae_title, config.receiver.tls)
        if self.assembly:
            self.assembly.configure(config.assembly)
        if self.receiver:
            self.receiver.configure(config.receiver)
        if self.watch:
            self.watch.configure(config)

    def _routed(self, config: Config) -> Routes:
        return routes(config, lambda scanner: self.ledger.quality_record(scanner, patients=False))

    def _door(self) -> Mapping[str, int]:
        return self.receiver.totals if self.receiver else {}

    def _here(self) -> Here:
        from node.admin.audit import Here

        by_name = {one.name: one for one in self.config.destinations}
        return Here(self.config.receiver.ae_title, self.host, by_name)

    def _finished(self) -> None:
        """A job has been recorded: there may be something to deliver, or to warn of."""
        if self.deliverer:
            self.deliverer.wake()
        self.reminder.look()


def serve(
    config: Config,
    started: Callable[[Node], None] | None = None,
    roles: Sequence[Role] = ROLES,
    function: str = "node.pipeline:run",
) -> None:
    """Run a node, or some roles of one, until SIGTERM or SIGINT; other users of the machine read none of its files."""
    os.umask(os.umask(0) | 0o027)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    require_engines(config)
    node = Node(config, roles, function)
    node.start()
    try:
        if started is not None:
            started(node)
        done.wait()
    finally:
        node.stop()
