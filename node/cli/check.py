"""``check``: is this configuration good?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.console import cli, out


@cli.command()
def check(path: Annotated[Path | None, typer.Argument(help="Configuration file or its folder.")] = None) -> None:
    """Validate a configuration: every problem with file, key and remedy."""
    from node import app, report, standing  # only here: help and other commands do without its libraries

    checked = standing.read(path)
    app.require_engines(checked)
    out.print(f"{checked.file}: good.", markup=False)
    out.print(
        f"  listens as {checked.receiver.ae_title} on {checked.receiver.bind}:{checked.receiver.port}", markup=False
    )
    secure = checked.receiver.tls
    if secure is not None and secure.port is not None:
        out.print(f"  and with TLS on {checked.receiver.bind}:{secure.port}", markup=False)
    out.print(f"  senders: {_names(checked.receiver.senders) or 'none: every association is rejected'}", markup=False)
    out.print(f"  rules: {_names(checked.rules) or 'none: nothing is measured'}", markup=False)
    out.print(f"  destinations: {_names(checked.destinations) or 'none: results stay here'}", markup=False)
    missing = report.font_problem(checked.page.language, checked.page.font)
    if missing is not None:
        out.print(f"  note: page.language is {checked.page.language}, but {missing}; until then pages are in English")
    unwritten = report.scripts_without_font(checked.page.font)
    if unwritten:
        out.print(
            f"  note: names in {', '.join(unwritten)} letters cannot be drawn on pages and key images: "
            "install fonts-noto-cjk and fonts-dejavu-core, or name a font file in page.font",
            markup=False,
        )
    out.print(f"  digest {checked.digest}", markup=False)


def _names(things: Any) -> str:
    return ", ".join(thing.name for thing in things)
