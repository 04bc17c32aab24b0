"""``render``: pictures of any study, with contours and names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node import log
from node.cli.console import ConfigOption, cli, err, out
from node.config import load


@cli.command()
def render(
    paths: Annotated[list[Path], typer.Argument(help="Folders, zips or files of DICOM.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")],
    config: ConfigOption = None,
) -> None:
    """Draw the spine of every CT series: from the side, the front and below, with contours and names (PNG).

    The rules do not matter here, and nothing is reported or sent. The pictures hold no patient's name. Only DICOM is
    read: NIfTI and other research formats are not.
    """
    from node import offline  # only here: help and other commands do without its libraries

    log.setup("WARNING")
    drawn = 0
    for entry in offline.render(paths, load(config), out_dir):
        if isinstance(entry, offline.Ignored):
            slug = f"{entry.decision.reason}: " if entry.decision else ""
            out.print(f"ignored  {entry.name}  {slug}{entry.message}", markup=False)
            continue
        drawn += 1
        levels = ", ".join(vertebra.level for vertebra in entry.findings.vertebrae) or "no vertebrae"
        refusal = entry.findings.refusal
        out.print(f"drawn  {entry.series.series_instance_uid}  {levels}", markup=False)
        if refusal is not None:
            out.print(f"  not measured: {refusal.reason}: {refusal.message}", markup=False)
        for path in entry.pictures:
            out.print(f"  {path}", markup=False)
    if not drawn:
        err.print("no-suitable-series: nothing here can be drawn.", style="red")
        raise typer.Exit(1)
