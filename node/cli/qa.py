"""``qa``: the scanners' record, its charts and its page; QA scans measured offline; alarms resolved."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from node import attention, log, show_qa
from node.cli.console import ConfigOption, cli, ledger, out
from node.config import load
from node.domain.quality import QualityRecord, RecordedScan
from node.errors import NodeError
from node.ledger import Ledger
from node.ledger.quality import NewResolution
from node.quality.borrowing import cross_calibrate
from node.quality.charts import named
from node.quality.standing import Standing, due, standings

commands = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    help="Quality assurance of the scanners: trend, limits, due dates and alarms. Without a command: the table.",
)
cli.add_typer(commands, name="qa")

ScannerOption = Annotated[str | None, typer.Option("--scanner", help="Device serial number, or station name.")]


@commands.callback()
def table(
    context: typer.Context,
    config: ConfigOption = None,
    scanner: ScannerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Quality assurance of the scanners: trend, limits, due dates and alarms. Without a command: the table."""
    if context.invoked_subcommand is not None:
        return
    settings = load(config)
    with ledger(settings) as opened:
        record = opened.quality_record(scanner)
        dues = due(record, settings.quality, attention.today(opened))
    found = standings(record, settings.quality)
    if as_json:
        out.print_json(data=show_qa.as_json(found, dues, record, settings.quality))
        return
    for one in found:
        out.print(show_qa.standing_table(one, settings.quality))
        out.print()
    for line in show_qa.due_lines(dues):
        out.print(line)
    if not record.scans:
        out.print("Nothing has been recorded yet: send a scan of a QA phantom, or measure one with `qa add`.")


@commands.command("list")
def list_scans(config: ConfigOption = None, scanner: ScannerOption = None) -> None:
    """Every QA scan in the record, with its id."""
    with ledger(load(config)) as opened:
        out.print(show_qa.scans_table(opened.quality_record(scanner, patients=False).scans))


@commands.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Folders, zips or files of DICOM.")],
    config: ConfigOption = None,
) -> None:
    """Measure QA scans offline and add them to the record; every series of a study counts."""
    from node import assurance, offline  # only here: help and other commands do without its libraries

    log.setup("WARNING")
    settings = load(config)
    recorded = 0
    settings.state.mkdir(parents=True, exist_ok=True)
    opened = Ledger(settings.database)
    try:
        for entry in assurance.add(paths, settings, opened, lambda series: offline.qa_job(series, settings)):
            recorded += entry.record is not None
            label = f"recorded as scan {entry.scan}" if entry.record else "not recorded"
            out.print(f"{label}  {entry.name}  {entry.message}", markup=False)
        for sentence in attention.alarms(opened, settings.quality):
            out.print(f"ALARM  {sentence}", style="red", markup=False)
    finally:
        opened.close()
    if not recorded:
        raise typer.Exit(1)


@commands.command()
def chart(
    config: ConfigOption = None,
    scanner: ScannerOption = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path(),
) -> None:
    """Draw control charts as SVG and PNG, one of each for every scanner, kVp and kernel class."""
    from node.quality import drawing  # matplotlib takes half a second, which no other command should wait for

    settings = load(config)
    with ledger(settings) as opened:
        found = _some(standings(opened.quality_record(scanner), settings.quality))
    out_dir.mkdir(parents=True, exist_ok=True)
    for one in found:
        stem = out_dir / _file_name(one)
        stem.with_suffix(".svg").write_text(drawing.svg(one, settings.quality), encoding="utf-8")
        stem.with_suffix(".png").write_bytes(drawing.png(one, settings.quality))
        out.print(f"{stem}.svg\n{stem}.png", markup=False)


@commands.command()
def report(
    config: ConfigOption = None,
    scanner: ScannerOption = None,
    file: Annotated[Path, typer.Option("--out", help="HTML file; prints on A4.")] = Path("qa-report.html"),
) -> None:
    """Write the page that a physicist signs: accuracy, precision, limits, history and calibrations in force."""
    from node import app  # only here: help and other commands do without its libraries
    from node.quality.page import Edition, page

    settings = load(config)
    with ledger(settings) as opened:
        record = opened.quality_record(scanner)
        found = _some(standings(record, settings.quality))
        by = Edition(attention.today(opened), app.software_version(), settings.digest)
    phantoms = [name for name, one in settings.phantoms.items() if one.kind != "qa"]
    file.write_text(page(found, record, settings.quality, phantoms, by), encoding="utf-8")
    out.print(str(file), markup=False)


@commands.command()
def resolve(
    note: Annotated[str, typer.Option(help="What was found and done.")],
    config: ConfigOption = None,
    scanner: ScannerOption = None,
    by: Annotated[str | None, typer.Option(help="Who says so. Default: the user of this machine.")] = None,
    new_baseline: Annotated[
        bool, typer.Option(help="Set limits anew from the scans that follow (tube, software or phantom replaced).")
    ] = False,
) -> None:
    """Resolve every alarm of a scanner: its cause was found and dealt with."""
    from node import assurance  # only here: help and other commands do without its libraries

    settings = load(config)
    with ledger(settings) as opened:
        known = assurance.only_scanner(opened.quality_record(patients=False), scanner)
        today = attention.today(opened)
        opened.resolve_alarms(NewResolution(known, today, new_baseline, (by or getpass.getuser())[:64], note))
        left = attention.alarms(opened, settings.quality)
    out.print(f"Alarms of scanner {known} up to today are resolved.", markup=False)
    for sentence in left:
        out.print(f"ALARM  {sentence}", style="red", markup=False)


@commands.command()
def exclude(
    scan: Annotated[int, typer.Argument(help="Id of the scan, as `qa list` shows it.")],
    why: Annotated[str, typer.Option(help="Why it does not count.")],
    config: ConfigOption = None,
) -> None:
    """Leave a scan out of limits, charts and stored calibrations (phantom misplaced, wrong protocol); it is kept."""
    with ledger(load(config)) as opened:
        opened.exclude_scan(scan, why)
    out.print(f"Scan {scan} does not count any more: {why}", markup=False)


@commands.command()
def include(
    scan: Annotated[int, typer.Argument(help="Id of the scan, as `qa list` shows it.")], config: ConfigOption = None
) -> None:
    """Let an excluded scan count again."""
    with ledger(load(config)) as opened:
        opened.exclude_scan(scan, None)
    out.print(f"Scan {scan} counts again.", markup=False)


@commands.command("cross-calibrate")
def cross_calibration(
    config: ConfigOption = None,
    scan: Annotated[int | None, typer.Option(help="QA scan on the phantom to be converted. Default: the last.")] = None,
    reference: Annotated[
        int | None, typer.Option(help="Scan of the same QA phantom on a K2HPO4 phantom. Default: the last that fits.")
    ] = None,
    value: Annotated[
        list[str] | None, typer.Option(help="Instead: K2HPO4-equivalent density of an insert, as L1=51.2.")
    ] = None,
    scanner: ScannerOption = None,
) -> None:
    """Find K2HPO4 equivalents of another material from one insert phantom under both calibrations; it expires."""
    settings = load(config)
    with ledger(settings) as opened:
        record = opened.quality_record(scanner, patients=False)
        native = _native(record, scan)
        values, source = _given(value) if value else _reference(record, native, reference)
        one = native.record
        if one.material is None:
            raise NodeError(f"Scan {native.id} has no calibration phantom.")
        found = cross_calibrate(
            one.key,
            one.inserts,
            one.material,
            values,
            one.scan_date,
            settings.quality,
            f"{one.qa_phantom} on {one.calibration_phantom} and {source}",
        )
        opened.keep_cross_calibration(found)
    out.print(
        f"{named(found.key)}: K2HPO4 = {found.slope:.4f} · {found.from_material} {found.intercept_mg_cm3:+.2f} mg/cm³, "
        f"standard error {found.standard_error_mg_cm3:.1f}; valid from {found.measured_on} to {found.expires_on}.",
        markup=False,
    )


def _native(record: QualityRecord, wanted: int | None) -> RecordedScan:
    """The QA scan whose material is to be converted."""
    fitting = [scan for scan in _counting(record) if scan.record.material not in (None, "K2HPO4")]
    if wanted is not None:
        return _with_id(record, wanted)
    if not fitting:
        raise NodeError("There is no QA scan on a phantom of hydroxyapatite or CaCO3 in the record: add one first.")
    return fitting[-1]


def _reference(record: QualityRecord, native: RecordedScan, wanted: int | None) -> tuple[dict[str, float], str]:
    """Densities of the same inserts under a K2HPO4 phantom, and where they come from."""
    one = native.record
    if wanted is not None:
        chosen = _with_id(record, wanted)
    else:
        fitting = [
            scan
            for scan in _counting(record)
            if scan.record.material == "K2HPO4"
            and (scan.record.key, scan.record.qa_phantom) == (one.key, one.qa_phantom)
        ]
        if not fitting:
            raise NodeError(
                f"There is no scan of {one.qa_phantom} on a K2HPO4 phantom at {named(one.key)}: add one, "
                "or give the densities with --value."
            )
        chosen = min(fitting, key=lambda scan: abs(scan.record.scan_date - one.scan_date))
    if chosen.record.material != "K2HPO4" or chosen.record.qa_phantom != one.qa_phantom:
        raise NodeError(f"Scan {chosen.id} is not of {one.qa_phantom} on a K2HPO4 phantom.")
    if chosen.record.key != one.key:
        raise NodeError(f"Scan {chosen.id} is of {named(chosen.record.key)}, scan {native.id} of {named(one.key)}.")
    values = {one.name: one.measured_mg_cm3 for one in chosen.record.inserts if one.measured_mg_cm3 is not None}
    return values, str(chosen.record.calibration_phantom)


def _given(values: list[str]) -> tuple[dict[str, float], str]:
    found = {}
    for text in values:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            raise NodeError(f'--value "{text}" is not of the form L1=51.2.') from error
    return found, "given values"


def _counting(record: QualityRecord) -> list[RecordedScan]:
    return [scan for scan in record.scans if scan.excluded is None and scan.record.inserts]


def _with_id(record: QualityRecord, wanted: int) -> RecordedScan:
    found = next((scan for scan in record.scans if scan.id == wanted), None)
    if found is None:
        raise NodeError(f"There is no QA scan {wanted} in the record; `qa list` shows all.")
    return found


def _some(found: tuple[Standing, ...]) -> tuple[Standing, ...]:
    if not found:
        raise NodeError("There is no QA scan in the record: send one, or measure one with `qa add`.")
    return found


def _file_name(one: Standing) -> str:
    key = one.setup.key
    text = f"qa-{key.scanner}-{key.kvp:g}kV-{key.kernel_class}-{one.setup.qa_phantom}-{one.setup.calibration_phantom}"
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in text)
