"""``measure``: without a network."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node import log, show
from node.cli.console import ConfigOption, cli, err, out
from node.config import load

if TYPE_CHECKING:
    from node import offline


@cli.command()
def measure(
    paths: Annotated[list[Path], typer.Argument(help="Folders, zips or files of DICOM.")],
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder for reports and pictures.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here (docs/result.md).")] = None,
    config: ConfigOption = None,
) -> None:
    """Measure without a network: one result for each series that the rules select, a reason for each other."""
    from node import offline  # only here: help and other commands do without its libraries

    log.setup("WARNING")
    settings = load(config)
    scratch = None if out_dir else Path(tempfile.mkdtemp(prefix="vbmd-node-"))
    target = out_dir or scratch or Path()
    entries = []
    try:
        for entry in offline.measure(paths, settings, target):
            entries.append(entry)
            _print_entry(entry, kept=out_dir is not None)
        document = offline.result_document(entries, settings)
        if json_file is not None:
            json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    if not document["results"]:
        err.print("no-suitable-series: nothing here is measured by the rules.", style="red")
    if not any(result["status"] == "measured" for result in document["results"]):
        raise typer.Exit(1)


def _print_entry(entry: offline.Measured | offline.Ignored, *, kept: bool) -> None:
    from node import offline

    if isinstance(entry, offline.Ignored):
        slug = f"{entry.decision.reason}: " if entry.decision else ""
        out.print(f"ignored  {entry.name}  {slug}{entry.message}", markup=False)
        return
    result = json.loads(entry.outcome.result_json.read_text(encoding="utf-8"))
    out.print(f"{result['status']}  {entry.series.series_instance_uid}  rule {entry.decision.rule}", markup=False)
    out.print(show.result_table(result))
    if kept:
        for path in (*(one.path for one in entry.outcome.objects if one.kind == "sr"), *entry.outcome.previews):
            out.print(f"  {path}", markup=False)
