"""What an operator does: hold, release, retry and withdraw a series; pause; switch a sender or a destination off."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from node.cli.console import ConfigOption, cli, ledger, out
from node.config import Config, load
from node.ledger import Ledger
from node.ledger.controls import ALL, Switch
from node.ledger.operator import NotPossible
from node.ledger.records import Event


def _user() -> str:
    """Who sits at the terminal; behind sudo, who called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


Series = Annotated[
    str, typer.Argument(metavar="SERIES", help="Series Instance UID, or the key that logs and status show.")
]
Why = Annotated[str, typer.Option("--why", help="Kept in the history.")]
By = Annotated[str, typer.Option("--by", help="Who does it; kept in the history.", default_factory=_user)]
Destination = Annotated[
    str, typer.Argument(metavar="DESTINATION", help="Its name in the configuration, or that it had.")
]


@cli.command()
def hold(series: Series, by: By, why: Why = "not stated", config: ConfigOption = None) -> None:
    """Keep a series' results back, now and when they come, until `release`. It is measured all the same."""
    with ledger(load(config)) as opened:
        there = opened.operator.hold(opened.operator.find(series), by, why)
    if there:
        out.print(
            f"Held: nothing more of it is sent until `vbmd-node release`. {there} of its objects were stored before: "
        )
        out.print("`vbmd-node withdraw` takes them back.")
    else:
        out.print("Held: nothing of it is sent until `vbmd-node release`.")


@cli.command()
def release(
    by: By,
    series: Annotated[str | None, typer.Argument(metavar="[SERIES]", help="Series Instance UID or key.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever shadow mode or an operator keeps back.")] = False,
    why: Why = "not stated",
    config: ConfigOption = None,
) -> None:
    """Send what was held, or kept in shadow mode."""
    if (series is None) == (not everything):
        raise typer.BadParameter("Name one series, or give --all.")
    with ledger(load(config)) as opened:
        keys = [opened.operator.find(series)] if series else _held(opened)
        sent = sum(opened.operator.release(key, by, why) for key in keys)
    out.print(f"Released: {len(keys)} series, {sent} objects are being sent.")


def _held(opened: Ledger) -> list[str]:
    return [row.series_key for row in opened.status() if row.held or row.reason in ("held", "shadow")]


@cli.command()
def retry(series: Series, by: By, why: Why = "not stated", config: ConfigOption = None) -> None:
    """Do again what failed: send what was given up or waits; decide and measure again what was refused or ignored."""
    with ledger(load(config)) as opened:
        out.print(opened.operator.retry(opened.operator.find(series), by, why), markup=False)


@cli.command()
def withdraw(
    series: Series,
    by: By,
    why: Annotated[
        str, typer.Option("--why", help="What is wrong with it: kept, and stated in the note that is sent.")
    ],
    reason: Annotated[
        Literal["quality", "safety"], typer.Option(help="Rejected for quality, or for patient safety reasons.")
    ] = "quality",
    config: ConfigOption = None,
) -> None:
    """Take a report back: nothing more of it is sent, and archives that have it get a rejection note (IHE IOCM)."""
    from node import withdrawal  # only here: help and other commands do without its libraries

    with ledger(load(config)) as opened:
        told = withdrawal.withdraw(opened, opened.operator.find(series), by, why, reason)
    out.print("Withdrawn. " + (f"A rejection note goes to {', '.join(told)}." if told else "It had been sent nowhere."))


@cli.command()
def pause(by: By, why: Why = "not stated", config: ConfigOption = None) -> None:
    """Begin no further measurement; what is under way ends, and everything is still received and sent."""
    with ledger(load(config)) as opened:
        opened.controls.off(Switch.MEASURING, ALL, by, why)
    out.print("Measuring is paused until `vbmd-node resume`.")


@cli.command()
def resume(by: By, why: Why = "not stated", config: ConfigOption = None) -> None:
    """Measure again after `pause`."""
    with ledger(load(config)) as opened:
        was_off = opened.controls.on(Switch.MEASURING, ALL, by, why)
    out.print("Measuring goes on." if was_off else "It was not paused.")


@cli.command()
def switch(
    by: By,
    to: Annotated[Literal["on", "off"] | None, typer.Argument(help="Without any: list what is off.")] = None,
    kind: Annotated[Literal["sender", "destination"] | None, typer.Argument()] = None,
    name: Annotated[
        str | None, typer.Argument(help="Name in the configuration; for a sender also its AE title.")
    ] = None,
    why: Why = "not stated",
    config: ConfigOption = None,
) -> None:
    """Switch a sender off (its series are received and kept, not measured or sent on) or a destination, or on again."""
    settings = load(config)
    with ledger(settings) as opened:
        if to is not None:
            if kind is None or name is None:
                raise typer.BadParameter("Say what: sender or destination, and its name.")
            _switch(opened, settings, to, Switch(kind), name, by, why)
        for control in opened.controls.all():
            out.print(f"{_time(control.since)}  {control}", markup=False)
        if not opened.controls.all():
            out.print("Nothing is switched off.")


def _switch(opened: Ledger, settings: Config, to: str, kind: Switch, name: str, by: str, why: str) -> None:
    if kind is Switch.SENDER:
        name = _ae_title(opened, settings, name)
    elif to == "off" and name not in [destination.name for destination in settings.destinations]:
        raise NotPossible(f"There is no destination {name} in {settings.file}.")
    (opened.controls.off if to == "off" else opened.controls.on)(kind, name, by, why)


def _ae_title(opened: Ledger, settings: Config, name: str) -> str:
    """By which series are told apart: of a sender in the configuration, or of one that has sent."""
    senders = {sender.name: sender.ae_title for sender in settings.receiver.senders}
    known = {*filter(None, senders.values()), *opened.figures.arrivals(), *(one.name for one in opened.controls.all())}
    found = senders.get(name) or name
    if found not in known:
        hint = "it has no ae_title: name the one it calls with" if name in senders else "nobody of that name has sent"
        raise NotPossible(f"Sender {name} cannot be switched: {hint}.")
    return found


@cli.command()
def reroute(
    destination: Destination,
    instead: Annotated[str, typer.Argument(help="The destination that gets it.")],
    by: By,
    why: Why = "not stated",
    config: ConfigOption = None,
) -> None:
    """Send what waits for one destination, or was given up there, to another one: for one that is gone."""
    settings = load(config)
    if instead not in [one.name for one in settings.destinations]:
        raise NotPossible(f"There is no destination {instead} in {settings.file}.")
    with ledger(settings) as opened:
        number = opened.operator.reroute(destination, instead, by, why)
    out.print(f"{number} objects go to {instead} instead of {destination}.")


@cli.command()
def drop(destination: Destination, by: By, why: Why = "not stated", config: ConfigOption = None) -> None:
    """Send what waits for a destination nowhere. The results are kept."""
    with ledger(load(config)) as opened:
        number = opened.operator.drop(destination, by, why)
    out.print(f"{number} objects are no longer to be sent to {destination}.")


@cli.command()
def history(
    series: Series,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show everything that ever happened to a series, oldest first."""
    with ledger(load(config)) as opened:
        events = opened.events(opened.operator.find(series))
    if as_json:
        out.print_json(data=[{"at": one.at, "kind": one.kind, **one.detail} for one in events])
        return
    for one in events:
        out.print(f"{_time(one.at)}  {_line(one)}", markup=False)


def _line(event: Event) -> str:
    if event.kind == "state":
        detail = event.detail
        return f"{detail['origin']} → {detail['target']}  {detail['reason']}: {detail['message']}"
    facts = ", ".join(f"{key} {value}" for key, value in event.detail.items() if value is not None)
    return f"{event.kind}  {facts}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
