"""``senders``: who was turned away, and letting one in."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from node.cli.console import ConfigOption, cli, ledger, out
from node.config import Config, load
from node.config.versions import MAIN, bundle, validate, with_sender, write
from node.errors import NodeError
from node.ledger.senders import Stranger
from node.resources import shipped

senders = typer.Typer(invoke_without_command=True, help="Senders that were turned away: list, approve, forget.")
cli.add_typer(senders, name="senders")

_NOT_OVER_TLS = "not-over-tls"
"""Why a known sender was turned away (node.intake.admission)."""
Id = Annotated[int, typer.Argument(metavar="ID", help="The number that `senders` shows.")]


@senders.callback()
def listing(
    context: typer.Context,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List who was turned away: AE title, address, how often, since when, and what they wanted to store."""
    if context.invoked_subcommand is not None:
        return
    with ledger(load(config)) as opened:
        waiting = opened.senders.waiting()
    if as_json:
        out.print_json(data=[asdict(one) for one in waiting])
        return
    if not waiting:
        out.print("Nobody has been turned away.")
        return
    table = Table("id", "AE title", "called", "host", "tried", "first", "last", "why", "wanted to store", box=None)
    for one in waiting:
        table.add_row(
            *(str(one.id), one.calling_ae_title, one.called_ae_title, f"{one.host}{' (TLS)' if one.tls else ''}"),
            *(str(one.attempts), _time(one.first_at), _time(one.last_at), one.reason, _wanted(one)),
        )
    out.print(table)
    out.print("To let one in: vbmd-node senders approve ID")


@senders.command()
def approve(
    id: Id,
    name: Annotated[str | None, typer.Option(help="For logs and messages; otherwise made from the AE title.")] = None,
    any_host: Annotated[bool, typer.Option(help="Admit the AE title from any address.")] = False,
    config: ConfigOption = None,
) -> None:
    """Let one in: a sender is added to the end of the configuration file, which a running node reads again."""
    settings = load(config)
    with ledger(settings) as opened:
        stranger = _find(opened.senders.find(id), id)
        if stranger.reason == _NOT_OVER_TLS:
            raise NodeError(
                f"{stranger.calling_ae_title} is let in already, over TLS alone (tls_only): let it call the TLS port, "
                f"or change that in {settings.file}."
            )
        chosen = name or _free_name(settings, stranger.calling_ae_title)
        _add(settings, chosen, stranger, any_host=any_host)
        opened.senders.close(id, "sender-approved", name=chosen, ae_title=stranger.calling_ae_title, host=stranger.host)
    out.print(f"{settings.file}: sender {chosen} added. A running node admits it within seconds.", markup=False)


@senders.command()
def forget(id: Id, config: ConfigOption = None) -> None:
    """Take one off the list; it comes back when it tries again."""
    with ledger(load(config)) as opened:
        stranger = _find(opened.senders.find(id), id)
        opened.senders.close(id, "sender-forgotten", ae_title=stranger.calling_ae_title, host=stranger.host)
    out.print(f"{stranger.calling_ae_title} at {stranger.host}: forgotten.", markup=False)


def _find(found: Stranger | None, id: int) -> Stranger:
    if found is None:
        raise NodeError(f"Nobody with the number {id} was turned away; `vbmd-node senders` lists them.")
    return found


def _add(settings: Config, name: str, stranger: Stranger, *, any_host: bool) -> None:
    """Write the sender into the configuration file, once the whole has been found good."""
    if settings.file.is_relative_to(shipped("config")):
        raise NodeError(
            f"{settings.file} is shipped with the program: copy it, and give --config or $VBMD_NODE_CONFIG."
        )
    texts = bundle(settings.file)
    called = stranger.called_ae_title
    sender = {
        "name": name,
        "ae_title": stranger.calling_ae_title,
        "host": None if any_host else stranger.host,
        "called_ae_title": None if called == settings.receiver.ae_title else called,
    }
    changed = with_sender(texts[MAIN], sender)
    validate({**texts, MAIN: changed})
    write(settings.file, changed)


def _free_name(settings: Config, ae_title: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", ae_title).strip("-._").lower() or "sender"
    taken = {sender.name for sender in settings.receiver.senders}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def _wanted(stranger: Stranger) -> str:
    from pydicom.uid import UID  # only here: help and other commands do without its libraries

    names = [UID(uid).name for uid in stranger.sop_classes]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
