"""When an operator is told: judgements on figures of the ledger and of this machine (docs/operations.md)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.config import Config
from node.domain.settings import AlarmSettings
from node.ledger import Ledger
from node.ledger.controls import Control, Switch
from node.ledger.figures import DAY_S, Figures

HOUR_S = 3600.0
_WEEK_S = 7 * DAY_S
_LEAST_DAYS = 14.0
"""Of arrivals, before a scanner counts as having a rhythm."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that wants an operator. ``kind`` and ``subject`` identify it while it lasts."""

    kind: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine's side."""

    disks: Mapping[str, tuple[float, float]]
    """Folder → (free part, free bytes)."""
    clock_offset_s: float
    """This machine's clock less the database server's."""
    clock_jump_s: float = 0.0
    """By how much the clock has left a steady course since the last look."""


def look(ledger: Ledger, settings: AlarmSettings, machine: Machine, figures: Figures | None = None) -> list[Alarm]:
    """Return every alarm of this moment."""
    seen = figures or ledger.figures.now()
    off = ledger.controls.all()
    return [
        *quiet_scanners(ledger.figures.arrivals(), seen.at, settings, _names(off, Switch.SENDER)),
        *overdue(seen, settings),
        *on_disks(machine.disks, settings),
        *refusals(seen, settings),
        *clocks(machine, settings),
        *dead(ledger),
    ]


def _names(off: Sequence[Control], kind: Switch) -> frozenset[str]:
    return frozenset(one.name for one in off if one.kind is kind)


def quiet_scanners(
    arrivals: Mapping[str, Sequence[float]], now: float, settings: AlarmSettings, off: frozenset[str]
) -> Iterator[Alarm]:
    """A scanner that sends nothing at hours of the week at which it usually does.

    If series come independently at the rate of these hours, n of them fail to come by chance with probability exp(-n).
    """
    for sender, times in sorted(arrivals.items()):
        pause = now - times[-1]
        if sender in off or not settings.quiet_series or pause < settings.quiet_least_h * HOUR_S:
            continue
        expected = usual(times, times[-1], now)
        if expected >= settings.quiet_series:
            message = (
                f"{sender} has sent nothing for {_duration(pause)}; usually {expected:.0f} series come in that time."
            )
            yield Alarm("scanner-quiet", sender, message)


def usual(times: Sequence[float], begin: float, end: float) -> float:
    """How many series come between two moments of the week on average; 0 for a scanner without a rhythm yet."""
    known_s = times[-1] - times[0]
    if known_s < _LEAST_DAYS * DAY_S:
        return 0.0
    weeks = known_s / _WEEK_S
    whole_weeks, rest = divmod(end - begin, _WEEK_S)
    inside = sum(((at - begin) % _WEEK_S) < rest for at in times[:-1])
    return (inside + whole_weeks * len(times)) / weeks


def overdue(figures: Figures, settings: AlarmSettings) -> Iterator[Alarm]:
    """Objects that a destination has not taken, or that wait for one that is gone; series that are not measured."""
    for name, lane in sorted(figures.lanes.items()):
        if settings.overdue_h and lane.oldest_s > settings.overdue_h * HOUR_S:
            message = f"{lane.waiting} objects wait for {name}, the oldest for {_duration(lane.oldest_s)}."
            yield Alarm("delivery-overdue", name, message)
        if lane.stranded:
            message = f"{lane.stranded} objects wait for {name}, which is not configured: reroute or drop them."
            yield Alarm("destination-removed", name, message)
    if settings.waiting_h and figures.oldest_job_s > settings.waiting_h * HOUR_S:
        message = f"{figures.jobs_waiting} series wait to be measured, one for {_duration(figures.oldest_job_s)}."
        yield Alarm("measuring-overdue", "", message)


def on_disks(disks: Mapping[str, tuple[float, float]], settings: AlarmSettings) -> Iterator[Alarm]:
    """A disk that fills."""
    for folder, (free_part, free_bytes) in disks.items():
        if free_part < settings.disk_free_part:
            yield Alarm("disk", folder, f"{folder} has {free_part:.0%} free ({free_bytes / 1e9:.1f} GB).")


def refusals(figures: Figures, settings: AlarmSettings) -> Iterator[Alarm]:
    """Most of what should be measured cannot be: a phantom was moved, a protocol changed."""
    ended = figures.measured_day + figures.refused_day
    if settings.refused_part and ended >= settings.refused_least:
        part = figures.refused_day / ended
        if part >= settings.refused_part:
            message = f"{figures.refused_day} of {ended} series of the last day could not be measured."
            yield Alarm("refusal-rate", "", message)


def clocks(machine: Machine, settings: AlarmSettings) -> Iterator[Alarm]:
    """Clocks that disagree, or jump: quiet periods and retries go by them."""
    if not settings.clock_skew_s:
        return
    if abs(machine.clock_offset_s) > settings.clock_skew_s:
        message = f"This machine's clock is {machine.clock_offset_s:+.1f} s from the database server's."
        yield Alarm("clock-skew", "database", message)
    if abs(machine.clock_jump_s) > settings.clock_skew_s:
        yield Alarm("clock-skew", "jump", f"This machine's clock jumped by {machine.clock_jump_s:+.1f} s.")


def dead(ledger: Ledger) -> Iterator[Alarm]:
    """Processes that give no sign of life and have not been taken over from."""
    for one in ledger.executors.all():
        if not one.alive:
            yield Alarm(
                "process-silent", one.executor_id, f"{one.executor_id} has been silent for {_duration(one.silent_s)}."
            )


def disks(folders: Iterable[Path]) -> dict[str, tuple[float, float]]:
    """Free part and free bytes of the disks of some folders; one that cannot be asked has none."""
    found = {}
    for folder in folders:
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            found[str(folder)] = (0.0, 0.0)
        else:
            found[str(folder)] = (usage.free / max(1, usage.total), float(usage.free))
    return found


def machine(ledger: Ledger, config: Config, jump_s: float = 0.0) -> Machine:
    """Disks and clock of this machine."""
    offset = time.time() - ledger.executors.clock()
    folders = dict.fromkeys([config.receiver.spool, config.state])
    return Machine(disks(folders), offset, jump_s)


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR_S:.0f} h" if seconds < 3 * DAY_S else f"{seconds / DAY_S:.0f} days"
