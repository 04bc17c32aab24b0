"""``phantom``: the catalogue, and new files from certificates."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from node.cli.console import ConfigOption, cli, err, out
from node.config import catalogue, certificate
from node.config.certificate import Certificate
from node.domain.phantom import PhantomModel, RodModel
from node.errors import ConfigError, NodeError, Problem
from node.resources import shipped

commands = typer.Typer(no_args_is_help=True, help="Calibration and QA phantoms: list them, add one from a certificate.")
cli.add_typer(commands, name="phantom")

MATERIALS = ("K2HPO4", "CaHA", "CaCO3")


@commands.command("list")
def list_phantoms(config: ConfigOption = None) -> None:
    """Every phantom there is a file of."""
    _, known = catalogue(config)
    table = Table("id", "model", "serial", "kind", "material", "rods mg/cm³", box=None, pad_edge=False)
    for one in known:
        rods = ", ".join(f"{rod.density_mg_cm3:g}" for rod in one.rods)
        table.add_row(one.id, one.model, one.serial or "", one.kind, one.material, rods)
    out.print(table)


@commands.command()
def add(
    config: ConfigOption = None,
    phantom_id: Annotated[str | None, typer.Option("--id", help="Name of the file: model and serial number.")] = None,
    model: Annotated[str | None, typer.Option(help="As printed on it.")] = None,
    serial: Annotated[str | None, typer.Option(help="Serial number: densities belong to it.")] = None,
    material: Annotated[str | None, typer.Option(help="K2HPO4, CaHA (hydroxyapatite) or CaCO3.")] = None,
    rod: Annotated[
        list[str] | None,
        typer.Option(help="In order across the slab: NAME=DENSITY, or NAME=DENSITY/WATER (mg/cm³); once for each rod."),
    ] = None,
    certificate_date: Annotated[str | None, typer.Option(help="As 2025-03-14.")] = None,
    kind: Annotated[str, typer.Option(help="patient: lies under patients; qa: is measured without one.")] = "patient",
    base: Annotated[
        float | None, typer.Option(help="Density of the base plate, where it is itself a standard.")
    ] = None,
    rod_diameter: Annotated[float | None, typer.Option(help="mm")] = None,
    rod_pitch: Annotated[float | None, typer.Option(help="mm, centre to centre")] = None,
    slab_width: Annotated[float | None, typer.Option(help="mm")] = None,
    slab_thickness: Annotated[float | None, typer.Option(help="mm")] = None,
    slab_length: Annotated[float | None, typer.Option(help="mm")] = None,
    shape: Annotated[str | None, typer.Option(help="Of the plate: flat, curved or torso.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="mm that the stated dimensions may be off")] = None,
    geometry: Annotated[
        str | None, typer.Option(help="Of the dimensions: published, partly published, measured or not published.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where the values come from, for the reader.")] = None,
    note: Annotated[str | None, typer.Option(help="For the reader.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Default: phantoms/ beside the configuration.")] = None,
    force: Annotated[bool, typer.Option(help="Replace a file of that name.")] = False,
) -> None:
    """Make a phantom file from a certificate; what is not given is asked for."""
    configuration, known = catalogue(config)
    target = folder or _folder(configuration)
    values: dict[str, Any] = {"model": model, "serial": serial, "material": material}
    rods = tuple(_rod(text) for text in rod or ())
    if at_a_terminal():
        phantom_id, values, rods = _asked(phantom_id, values, rods)
    missing = [name for name, given in (("--id", phantom_id), ("--rod", rods)) if not given]
    missing += [f"--{name}" for name in ("model", "material") if not values[name]]
    if missing or phantom_id is None:
        raise NodeError(f"Not given, and there is no terminal to ask at: {', '.join(missing)}.")
    values |= {
        "kind": kind if kind != "patient" else None,
        "certificate_date": certificate_date,
        "base_density_mg_cm3": base,
        "rod_diameter_mm": rod_diameter,
        "rod_pitch_mm": rod_pitch,
        "slab_width_mm": slab_width,
        "slab_thickness_mm": slab_thickness,
        "slab_length_mm": slab_length,
        "shape": shape,
        "tolerance_mm": tolerance,
        "geometry": geometry,
        "source": source,
        "note": note,
    }
    file = target / f"{phantom_id}.toml"
    _write(Certificate(phantom_id, values, rods), file, known, force=force)


def at_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _write(made: Certificate, file: Path, known: list[PhantomModel], *, force: bool) -> None:
    """Check, explain, and only then write."""
    if "/" in made.id or "\\" in made.id:
        raise ConfigError((Problem(str(file), "id", "must be a name, not a path."),))
    read = certificate.checked(made, file)
    if file.exists() and not force:
        raise NodeError(f"{file} exists already; --force replaces it.")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(certificate.text(made), encoding="utf-8")
    _explain(read, file, known)


def _explain(read: PhantomModel, file: Path, known: list[PhantomModel]) -> None:
    out.print(f"{file}: good.", markup=False)
    table = Table("rod", f"mg/cm³ {read.material}", "mg/cm³ water", "about, at 120 kV", box=None, pad_edge=False)
    for rod in read.rods:
        water = "" if rod.water_density_mg_cm3 is None else f"{rod.water_density_mg_cm3:g}"
        hu = certificate.expected_hu(rod, read.material)
        table.add_row(rod.name, f"{rod.density_mg_cm3:g}", water, f"{hu:.0f} HU")
    out.print(table)
    if any(rod.water_density_mg_cm3 is not None for rod in read.rods):
        out.print("Fitted by the Mindways equation: HU = rho_water + sigma · rho_K2HPO4 + beta.")
    else:
        out.print(f"Fitted by a straight line of HU on density; results are in mg {read.material}/cm³.")
    if read.base_density_mg_cm3 is not None:
        out.print(f"The base plate counts as one more standard of {read.base_density_mg_cm3:g} mg/cm³.")
    if read.rod_diameter_mm is None or read.rod_pitch_mm is None:
        out.print("Diameter or pitch of the rods is not stated: the detector does not insist on it.")
    for sentence in certificate.oddities(read, known):
        err.print(f"Look again: {sentence}", style="yellow", markup=False)
    where = "[qa] phantoms" if read.kind == "qa" else "phantoms of the [[scanners]] it lies in"
    out.print(f'Next: name "{read.id}" in {where}, then run `vbmd-node check`.', markup=False)


def _folder(configuration: Path) -> Path:
    """``phantoms/`` beside the configuration; never among the files shipped with the program."""
    if configuration.parent == shipped("config"):
        raise NodeError("This is the shipped configuration: give your own with --config, or a folder with --out.")
    return configuration.parent / "phantoms"


def _rod(text: str) -> RodModel:
    name, _, numbers = text.partition("=")
    density, _, water = numbers.partition("/")
    try:
        return RodModel(name.strip(), float(density), float(water) if water.strip() else None)
    except ValueError as error:
        raise NodeError(
            f'"{text}" is not of the form NAME=DENSITY or NAME=DENSITY/WATER, as A=-51.83/1012.25.'
        ) from error


def _asked(
    phantom_id: str | None, values: dict[str, Any], rods: tuple[RodModel, ...]
) -> tuple[str, dict[str, Any], tuple[RodModel, ...]]:
    """Ask for what has not been given."""
    model = values["model"] or typer.prompt("Model, as printed on it")
    serial = values["serial"] or typer.prompt("Serial number (empty: none)", default="", show_default=False)
    material = values["material"] or typer.prompt(f"Material ({', '.join(MATERIALS)})", default=MATERIALS[0])
    suggestion = "".join(c if c.isalnum() else "-" for c in f"{model}-{serial}".lower()).strip("-")
    name = phantom_id or typer.prompt("Name of the file", default=suggestion)
    if not rods:
        out.print("Rods in order across the slab, as NAME=DENSITY, for Mindways as NAME=DENSITY/WATER; empty to end.")
        found: list[RodModel] = []
        while entered := typer.prompt(f"Rod {len(found) + 1}", default="", show_default=False):
            try:
                found.append(_rod(entered))
            except NodeError as error:
                err.print(str(error), style="red", markup=False)
        rods = tuple(found)
    return str(name), values | {"model": model, "serial": serial, "material": material}, rods
