"""A small node for tests: every part that moves a study, joined as the composition root joins them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.delivery import Deliverer
from node.domain.decision import Decision
from node.domain.instance import Series
from node.domain.job import MeasureJob, Provenance
from node.domain.settings import (
    AssemblySettings,
    Destination,
    MeasurementSettings,
    ReceiverSettings,
    RetryPolicy,
    WorkSettings,
)
from node.intake import Assembly, Plan, Receiver, Routes
from node.ledger import Ledger, sqlite_url
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from node.workflow.engine import Engine, LookUp

FAST_RETRY = RetryPolicy(first_delay_s=0.1, max_delay_s=0.4)


def decide(series: Sequence[Series]) -> list[Decision]:
    """Measure CT, ignore the rest."""
    return [
        Decision(one.series_instance_uid, "measure", "ct", "selected", "It is a CT.", ())
        if one.instances[0].header.modality == "CT"
        else Decision(one.series_instance_uid, "ignore", None, "no-rule-matched", "It is no CT.", ())
        for one in series
    ]


@dataclass
class House:
    """The parts, started and stopped together."""

    ledger: Ledger
    receiver: Receiver
    assembly: Assembly
    engine: Engine
    deliverer: Deliverer

    def start(self) -> None:
        self.engine.start()
        self.deliverer.start()
        self.assembly.start()
        self.receiver.start()

    def stop(self) -> None:
        self.receiver.stop()
        self.assembly.stop()
        self.engine.stop()
        self.deliverer.stop()
        self.ledger.close()

    def wait_for(self, state: State, limit_s: float = 30.0) -> SeriesStatus:
        """Wait until the only series is in a state."""
        wait_until(lambda: [row.state for row in self.ledger.status()] == [state], limit_s, self.ledger.status)
        return self.ledger.status()[0]


def wait_until(condition: Callable[[], bool], limit_s: float = 30.0, describe: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {describe()}"
        time.sleep(0.05)


def build(
    folder: Path,
    destinations: Sequence[Destination] = (),
    function: str = "tests.workflow.measurements:succeed",
    *,
    port: int = 0,
    report_refusals: bool = True,
    work: WorkSettings | None = None,
    look_up: LookUp | None = None,
) -> House:
    """Join the parts on a folder; nothing is started."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    settings = ReceiverSettings("NODE", port, folder / "spool", "127.0.0.1", open_to_all=True, disk_reserve_mb=10)
    deliverer = Deliverer(ledger, destinations, "NODE", jitter=lambda: 0.0)
    engine = Engine(
        work or WorkSettings(),
        ledger,
        folder / "work",
        function,
        on_finished=lambda _job: deliverer.wake(),
        look_up=look_up,
    )

    def plan(series: Series, decision: Decision, job_id: str) -> Plan:
        job = MeasureJob(
            series=series,
            rule=decision.rule or "",
            phantoms=(),
            settings=MeasurementSettings(),
            template=folder / "template.toml",
            report_refusals=report_refusals,
            out_dir=folder / "outbox" / job_id,
            provenance=Provenance("test", "v1"),
        )
        return Plan(job, tuple(destination.name for destination in destinations))

    assembly = Assembly(
        ledger,
        AssemblySettings(quiet_period_s=0.5, sweep_interval_s=0.2),
        lambda: Routes("v1", decide, plan),
        engine.start_job,
    )
    return House(ledger, Receiver(settings, ledger), assembly, engine, deliverer)


def destination(port: int, name: str = "pacs", ae_title: str = "PACS", timeout_s: float = 5.0) -> Destination:
    return Destination(name, ae_title, "127.0.0.1", port, timeout_s=timeout_s, retry=FAST_RETRY)
