"""``config``: what was in force when, what changed, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from node.cli.console import ConfigOption, cli, ledger_at, out
from node.config.load import whereabouts
from node.config.versions import bundle, differences, put_back, validate
from node.errors import ConfigError, NodeError
from node.ledger.configs import ConfigVersion

config_commands = typer.Typer(no_args_is_help=True, help="Versions of the configuration: history, diff, rollback.")
cli.add_typer(config_commands, name="config")

Number = Annotated[int | None, typer.Argument(help="A number that `config history` shows.")]


@config_commands.command()
def history(
    config: ConfigOption = None, as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False
) -> None:
    """List every configuration that came into force; the last is in force now."""
    from node import standing  # only here: help and other commands do without its libraries

    file, database = whereabouts(config)
    with ledger_at(database) as opened:
        versions = opened.configs.all()
    if as_json:
        keys = ("number", "digest", "at", "origin")
        out.print_json(data=[{key: getattr(one, key) for key in keys} for one in versions])
        return
    table = Table("version", "in force since", "digest", "came from", "", box=None, pad_edge=False)
    for one in versions:
        since = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        current = "in force" if one is versions[-1] else ""
        table.add_row(str(one.number), since, one.digest[:12], one.origin, current)
    out.print(table)
    try:
        if versions and standing.read(config).digest != versions[-1].digest:
            out.print(f"{file} on disk is another one: no running node has taken it over yet.", markup=False)
    except ConfigError as error:
        out.print(f"{file} on disk is refused, and what is in force stays:", markup=False)
        for problem in error.problems:
            out.print(f"  {problem}", markup=False)


@config_commands.command()
def diff(old: Number = None, new: Number = None, config: ConfigOption = None) -> None:
    """Show what changed: from OLD to NEW; without NEW to the file on disk; without OLD from what is in force."""
    file, database = whereabouts(config)
    with ledger_at(database) as opened:
        versions = opened.configs.all()
    before = _version(versions, old)
    after = (_version(versions, new).files, f"version-{new}") if new is not None else (bundle(file), "on-disk")
    lines = list(differences(before.files, after[0], (f"version-{before.number}", after[1])))
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        out.print(line, style=style, markup=False)
    if not lines:
        out.print("No difference.")


@config_commands.command()
def rollback(
    number: Annotated[int, typer.Argument(help="The version to return to.")], config: ConfigOption = None
) -> None:
    """Put the files of a version back in place of those on disk; a running node reads them again within seconds."""
    file, database = whereabouts(config)
    with ledger_at(database) as opened:
        version = _version(opened.configs.all(), number)
    validate(version.files)
    for line in put_back(file, version.files):
        out.print(line, markup=False)
    out.print(f"Version {number} is on disk again. A running node takes it over within seconds.")


def _version(versions: list[ConfigVersion], number: int | None) -> ConfigVersion:
    if not versions:
        raise NodeError("No configuration has been in force yet: the node has not run.")
    found = versions[-1] if number is None else next((one for one in versions if one.number == number), None)
    if found is None:
        raise NodeError(f"There is no version {number}: `vbmd-node config history` lists them.")
    return found
