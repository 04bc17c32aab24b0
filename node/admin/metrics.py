"""The node's figures in Prometheus' text format, taken from the ledger when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from node.admin.alarms import Alarm, Machine
from node.ledger.controls import Control
from node.ledger.figures import Figures

_QUANTILES = (0.5, 0.95)


class NodeCollector(Collector):
    """One scrape: figures, the machine, alarms, and what came through this process's door."""

    def __init__(
        self,
        figures: Figures,
        machine: Machine,
        alarms: Sequence[Alarm],
        door: Mapping[str, int],
        off: Sequence[Control],
    ) -> None:
        self._figures, self._machine, self._alarms, self._door, self._off = figures, machine, alarms, door, off

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily]:
        """Yield every family."""
        yield from self._series()
        yield from self._queues()
        yield from self._stages()
        yield from self._rest()

    def _series(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield _family("vbmd_series", "Series by state.", "state", self._figures.series)
        yield _family("vbmd_series_refused", "Series refused, by reason.", "reason", self._figures.refused)
        yield GaugeMetricFamily("vbmd_instances", "Objects received and recorded.", value=self._figures.instances)
        objects = CounterMetricFamily(
            "vbmd_door_objects", "What came to this process since it started.", labels=["end"]
        )
        for end in ("stored", "repeated", "failed"):
            objects.add_metric([end], self._door.get(end, 0))
        yield objects
        rejected = self._door.get("rejected", 0)
        yield CounterMetricFamily("vbmd_door_associations_rejected", "Associations turned away.", value=rejected)

    def _queues(self) -> Iterator[GaugeMetricFamily]:
        figures, lanes = self._figures, self._figures.lanes
        yield GaugeMetricFamily("vbmd_jobs_waiting", "Measurements planned or under way.", value=figures.jobs_waiting)
        yield GaugeMetricFamily("vbmd_jobs_oldest_seconds", "Age of the oldest of them.", value=figures.oldest_job_s)
        for name, what, values in (
            ("waiting", "Objects to be sent or asked about.", {key: lane.waiting for key, lane in lanes.items()}),
            ("oldest_seconds", "Delivery lag: age of the oldest.", {key: lane.oldest_s for key, lane in lanes.items()}),
            ("stranded", "Objects whose destination is gone.", {key: lane.stranded for key, lane in lanes.items()}),
            ("held", "Objects kept back.", {key: lane.held for key, lane in lanes.items()}),
        ):
            yield _family(f"vbmd_deliveries_{name}", what, "destination", values)

    def _stages(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "vbmd_stage_seconds", "Durations of the last 24 hours.", labels=["stage", "quantile"]
        )
        for stage, durations in self._figures.stage_s.items():
            for quantile in _QUANTILES if durations else ():
                index = min(len(durations) - 1, int(quantile * len(durations)))
                family.add_metric([stage, str(quantile)], durations[index])
        yield family

    def _rest(self) -> Iterator[GaugeMetricFamily]:
        free = {folder: free_bytes for folder, (_, free_bytes) in self._machine.disks.items()}
        yield _family("vbmd_disk_free_bytes", "Free bytes.", "folder", free)
        skew = self._machine.clock_offset_s
        yield GaugeMetricFamily("vbmd_clock_offset_seconds", "Clock less the database server's.", value=skew)
        alarms = GaugeMetricFamily("vbmd_alarm", "1 while an alarm lasts.", labels=["kind", "subject"])
        for alarm in self._alarms:
            alarms.add_metric([alarm.kind, alarm.subject], 1)
        yield alarms
        off = GaugeMetricFamily(
            "vbmd_switched_off", "1 while an operator has it switched off.", labels=["kind", "name"]
        )
        for control in self._off:
            off.add_metric([control.kind.value, control.name], 1)
        yield off


def _family(name: str, text: str, label: str, values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def render(collect: Callable[[], Collector]) -> bytes:
    """Return one scrape as text."""
    registry = CollectorRegistry()
    registry.register(collect())
    return generate_latest(registry)
