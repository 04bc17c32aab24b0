"""The commands. The only module that prints."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from node import app, log, report, show
from node.config import Config, load
from node.demo import walk
from node.errors import ConfigError, NodeError
from node.ledger import Ledger
from node.ledger.states import State

HELP = """Measure calibrated bone density in the CT studies that scanners send.

Exit status: 0 done; 1 nothing was measured, or the demo's report did not come back; 2 wrong usage or configuration.
"""
cli = typer.Typer(no_args_is_help=True, add_completion=False, help=HELP, pretty_exceptions_enable=False)
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, soft_wrap=True, highlight=False)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file; otherwise $VBMD_NODE_CONFIG, /etc, default.")
]


def main() -> None:
    """Run ``vbmd-node``."""
    try:
        cli()
    except ConfigError as error:
        for problem in error.problems:
            err.print(f"{problem}", style="red", markup=False)
        sys.exit(2)
    except NodeError as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(1)


@cli.command()
def serve(
    config: ConfigOption = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    json_logs: Annotated[bool, typer.Option(help="One JSON object a line.")] = False,
) -> None:
    """Receive, measure and deliver until SIGTERM."""
    log.setup(log_level, as_json=json_logs)
    app.serve(load(config))


@cli.command()
def measure(
    paths: Annotated[list[Path], typer.Argument(help="Folders, zips or files of DICOM.")],
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder for reports and pictures.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here (docs/result.md).")] = None,
    config: ConfigOption = None,
) -> None:
    """Measure without a network: one result for each series that the rules select, a reason for each other."""
    log.setup("WARNING")
    settings = load(config)
    scratch = None if out_dir else Path(tempfile.mkdtemp(prefix="vbmd-node-"))
    target = out_dir or scratch or Path()
    entries = []
    try:
        for entry in app.measure_offline(paths, settings, target):
            entries.append(entry)
            _print_entry(entry, kept=out_dir is not None)
        document = app.result_document(entries, settings)
        if json_file is not None:
            json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    if not document["results"]:
        err.print("no-suitable-series: nothing here is measured by the rules.", style="red")
    if not any(result["status"] == "measured" for result in document["results"]):
        raise typer.Exit(1)


def _print_entry(entry: app.Measured | app.Ignored, *, kept: bool) -> None:
    if isinstance(entry, app.Ignored):
        slug = f"{entry.decision.reason}: " if entry.decision else ""
        out.print(f"ignored  {entry.name}  {slug}{entry.message}", markup=False)
        return
    result = json.loads(entry.outcome.result_json.read_text(encoding="utf-8"))
    out.print(f"{result['status']}  {entry.series.series_instance_uid}  rule {entry.decision.rule}", markup=False)
    out.print(show.result_table(result))
    if kept:
        for path in (*(one.path for one in entry.outcome.objects if one.kind == "sr"), *entry.outcome.previews):
            out.print(f"  {path}", markup=False)


@cli.command()
def check(path: Annotated[Path | None, typer.Argument(help="Configuration file or its folder.")] = None) -> None:
    """Validate a configuration: every problem with file, key and remedy."""
    checked = load(path)
    for rule in checked.rules:
        report.load(checked.templates[rule.template])
    out.print(f"{checked.file}: good.", markup=False)
    out.print(
        f"  listens as {checked.receiver.ae_title} on {checked.receiver.bind}:{checked.receiver.port}", markup=False
    )
    out.print(f"  senders: {_names(checked.receiver.senders) or 'none: every association is rejected'}", markup=False)
    out.print(f"  rules: {_names(checked.rules) or 'none: nothing is measured'}", markup=False)
    out.print(f"  destinations: {_names(checked.destinations) or 'none: results stay here'}", markup=False)
    out.print(f"  digest {checked.digest}", markup=False)


def _names(things: Any) -> str:
    return ", ".join(thing.name for thing in things)


@cli.command()
def status(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="At most so many series, the latest first.")] = 100,
    state: Annotated[list[State] | None, typer.Option(help="Only series in this state (may be repeated).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every series that arrived and what became of it."""
    settings = load(config)
    ledger = _ledger(settings)
    rows, counts = ledger.status(limit, tuple(state or ())), ledger.counts()
    ledger.close()
    if as_json:
        out.print_json(data=[show.status_row(row) for row in rows])
        return
    table = Table("arrived", "sender", "series", "images", "state", "what became of it", box=None, pad_edge=False)
    for row in rows:
        arrived = datetime.fromtimestamp(row.last_received_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        what = f"{row.reason}: {row.message}" + "".join(f"\n{line}" for line in show.deliveries(row))
        name = f"{row.series_instance_uid}\n{row.modality or '?'} {row.description or ''}"
        table.add_row(arrived, row.sender or "", name, str(row.instances), row.state.value, what)
    out.print(table)
    out.print(
        "  ".join(f"{name.value} {number}" for name, number in counts.items() if number) or "Nothing has arrived yet."
    )


def _ledger(settings: Config) -> Ledger:
    if settings.database.startswith("sqlite:///") and not Path(settings.database.removeprefix("sqlite:///")).exists():
        raise NodeError(f"There is no ledger at {settings.database}: has this node ever run with this configuration?")
    return Ledger(settings.database)


@cli.command()
def demo(
    study: Annotated[Path | None, typer.Option(help="Folder or zip of DICOM instead of the synthetic study.")] = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for everything the demo makes.")] = Path("demo-out"),
) -> None:
    """Send a CT study through a node into a PACS and show the report that arrives there."""
    log.setup("WARNING")
    if not walk.run(study, out_dir, out):
        raise typer.Exit(1)
