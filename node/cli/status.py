"""``status``: what arrived and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from node import attention, show
from node.admin import alarms
from node.cli.console import ConfigOption, cli, ledger, out
from node.config import load
from node.ledger.states import State


@cli.command()
def status(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="At most so many series, the latest first.")] = 100,
    state: Annotated[list[State] | None, typer.Option(help="Only series in this state (may be repeated).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every series that arrived and what became of it."""
    settings = load(config)
    with ledger(settings) as opened:
        rows, counts = opened.status(limit, tuple(state or ())), opened.counts()
        quality = attention.attention(opened, settings.quality)
        told = [one.message for one in alarms.look(opened, settings.alarms, alarms.machine(opened, settings))]
        told += [str(one) for one in opened.controls.all()]
    if as_json:
        out.print_json(data=[show.status_row(row) for row in rows])
        return
    table = Table("arrived", "sender", "series", "images", "state", "what became of it", box=None, pad_edge=False)
    for row in rows:
        arrived = datetime.fromtimestamp(row.last_received_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        what = f"{row.reason}: {row.message}" + "".join(f"\n{line}" for line in show.deliveries(row))
        if row.variants:
            what += f"\n{row.variants} objects came with other bytes under known UIDs: kept beside, not measured"
        if row.replaces:
            what += f"\nreplaces the report of {row.replaces}"
        name = f"{row.series_instance_uid}\n{row.series_key}  {row.modality or '?'} {row.description or ''}"
        table.add_row(arrived, row.sender or "", name, str(row.instances), row.state.value, what)
    out.print(table)
    out.print(
        "  ".join(f"{name.value} {number}" for name, number in counts.items() if number) or "Nothing has arrived yet."
    )
    for sentence in [*quality, *told]:
        out.print(sentence, style="red", markup=False)
