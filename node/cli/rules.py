"""``rules``: what changed rules would have done, and why a series went the way it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from node.cli.console import ConfigOption, cli, ledger, out
from node.config import load, load_with
from node.domain.decision import Decision
from node.ledger.decisions import PastDecision

if TYPE_CHECKING:
    from node import routing
    from node.rehearsal import Rehearsed

rules = typer.Typer(no_args_is_help=True, help="Routing rules: try changed ones on past series, explain a decision.")
cli.add_typer(rules, name="rules")

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@rules.command("try")
def try_(
    file: Annotated[Path, typer.Argument(metavar="RULES", help="A TOML file with rules, or a whole configuration.")],
    since: Annotated[str, typer.Option(help="12h, 30d, 6w, or a date as 2026-01-31.")] = "30d",
    show_all: Annotated[bool, typer.Option("--all", help="Also series that would go the same way.")] = False,
    config: ConfigOption = None,
    as_json: AsJson = False,
) -> None:
    """Show what RULES would have done to past series, and the difference. Nothing is changed.

    Tables that RULES does not have are taken from the configuration.
    """
    from node import rehearsal  # only here: help and other commands do without its libraries

    settings, candidate = load(config), load_with(file, config)
    with ledger(settings) as opened:
        found = list(rehearsal.rehearse(opened, candidate, rehearsal.moment(since, opened.now())))
    if as_json:
        out.print_json(data=[_rehearsed(one) for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("series", "was", "would be", "because"):
        table.add_column(heading, overflow="fold")
    for one in found:
        if one.changed or show_all:
            mark = "→" if one.changed else ""
            what = f"{one.series_key}\n{one.description or ''}"
            table.add_row(what, _short(one.before), f"{mark} {_short(one.after)}".strip(), one.after.message)
    if table.row_count:
        out.print(table)
    out.print(f"{len(found)} series since {since}, {sum(one.changed for one in found)} would go another way.")
    ways = Counter((_way(one.before), _way(one.after)) for one in found if one.changed)
    for (was, would_be), count in ways.most_common():
        out.print(f"  {count} {was} → {would_be}", markup=False)


@rules.command()
def explain(
    series: Annotated[str, typer.Argument(metavar="SERIES", help="Series Instance UID, or the key that status shows.")],
    config: ConfigOption = None,
    as_json: AsJson = False,
) -> None:
    """Show, rule by rule, why a series matches or not, under the configuration on disk; and what was decided before."""
    from node import app, routing  # only here: help and other commands do without its libraries

    settings = load(config)
    with ledger(settings) as opened:
        place = opened.decisions.place(series)
        study = opened.study(place.study_key)
        past = opened.decisions.of(place.series_key)
    filled = [record.series for record in study.series if record.series.instances]
    chosen = next((one for one in filled if one.series_instance_uid == place.series_instance_uid), None)
    decided = {one.series_instance_uid: one for one in app.routes(settings).decide(filled)}
    now = decided.get(place.series_instance_uid)
    why = routing.explain(chosen, settings.rules) if chosen is not None else None
    if as_json:
        out.print_json(
            data={
                "series": asdict(place),
                "explanation": asdict(why) if why else None,
                "decision": asdict(now) if now else None,
                "past": [asdict(one) for one in past],
            }
        )
        return
    out.print(f"series {place.series_key}  {place.series_instance_uid}", markup=False)
    if why is None:
        out.print("None of its objects may be measured: other objects came first under their UIDs.")
    else:
        _print(why)
    if now is not None:
        out.print(f"\nunder the configuration on disk: {_short(now)}\n  {now.message}", markup=False)
    for one in past:
        out.print(f"decided under {one.config_version[:12]}: {_short(one)}\n  {one.message}", markup=False)


def _print(why: routing.Explanation) -> None:
    known = Table("attribute", "value", box=None, pad_edge=False)
    for name, value in why.facts.items():
        if value is not None:
            known.add_row(name, "\\".join(value) if isinstance(value, tuple) else f"{value}")
    out.print(known)
    if why.excluded is not None:
        out.print(f"\nleft out whatever the rules say: {why.excluded[0]}: {why.excluded[1]}", markup=False)
    for verdict in why.verdicts:
        answer = "matches" if verdict.matched else "does not match"
        out.print(f'\nrule "{verdict.rule}" {answer}:\n  {verdict.why}', markup=False)
    if not why.verdicts:
        out.print("\nThere are no rules.")


def _short(decision: Decision | PastDecision | None) -> str:
    if decision is None:
        return "not decided yet"
    return f"{decision.action} ({decision.reason})" + (f" by {decision.rule}" if decision.rule else "")


def _way(decision: Decision | PastDecision | None) -> str:
    return "" if decision is None else f"{decision.action} ({decision.reason})"


def _rehearsed(one: Rehearsed) -> dict[str, object]:
    return {
        "series_key": one.series_key,
        "series_instance_uid": one.series_instance_uid,
        "changed": one.changed,
        "before": asdict(one.before) if one.before else None,
        "after": {key: getattr(one.after, key) for key in ("action", "rule", "reason", "message")},
    }
