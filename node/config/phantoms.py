"""``phantoms/<id>.toml`` → ``PhantomModel``: one physical phantom for each file, named by its id."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from node.config.schema import PHANTOM
from node.config.tables import problems
from node.domain.phantom import PhantomModel, RodModel
from node.errors import Problem

_DIMENSIONS = ("rod_diameter_mm", "rod_pitch_mm", "slab_width_mm", "slab_thickness_mm", "slab_length_mm")


def phantom_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Phantom files by id; an earlier folder wins."""
    files: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.glob("*.toml")):
            files.setdefault(file.stem, file)
    return files


def load_phantoms(files: Iterable[Path], found: list[Problem]) -> dict[str, PhantomModel]:
    """Phantoms by id. What is wrong with a file is added to ``found``."""
    phantoms = (_phantom(file, found) for file in files)
    return {phantom.id: phantom for phantom in phantoms if phantom is not None}


def _phantom(file: Path, found: list[Problem]) -> PhantomModel | None:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
        table = PHANTOM.model_validate(raw)
    except ValidationError as error:
        found += problems(str(file), "", PHANTOM, error)
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found.append(Problem(str(file), "", f"cannot be read: {error}."))
        return None
    wrong = list(_wrong(str(file), file.stem, table))
    found += wrong
    return None if wrong else _model(file.stem, table)


def _model(phantom_id: str, table: BaseModel) -> PhantomModel:
    values: dict[str, Any] = table.model_dump(exclude={"id", "rods", "geometry", "source", "note"})
    rods = tuple(RodModel(**rod) for rod in table.model_dump(include={"rods"})["rods"])
    return PhantomModel(id=phantom_id, rods=rods, **values)


def _wrong(file: str, stem: str, table: Any) -> Iterable[Problem]:
    if table.id not in (None, stem):
        yield Problem(file, "id", f'"{table.id}" is not the name of the file.', f"Rename the file to {table.id}.toml.")
    names = [rod.name for rod in table.rods]
    if len(set(names)) < len(names):
        yield Problem(file, "rods", "two rods have the same name.")
    if len(table.rods) < (1 if table.kind == "qa" else 2):
        yield Problem(file, "rods", "at least two rods are needed (one insert where kind is qa).")
    elif table.kind == "patient" and len({rod.density_mg_cm3 for rod in table.rods}) < 2:
        yield Problem(file, "rods", "all rods have the same density: no line can be fitted.")
    with_water = [rod.water_density_mg_cm3 is not None for rod in table.rods]
    if any(with_water) and not all(with_water):
        yield Problem(
            file, "rods", "some rods have water_density_mg_cm3 and some have not.", "Give it for all or none."
        )
    if any(with_water) and table.material != "K2HPO4":
        yield Problem(file, "rods", f"water_density_mg_cm3 has no meaning for {table.material} rods.", "Remove it.")
    dimensions = [key for key in _DIMENSIONS if getattr(table, key) is not None]
    if table.geometry == "not published" and dimensions:
        yield Problem(
            file, "geometry", f"is not published, yet {dimensions[0]} is given.", 'Say "measured", or leave it out.'
        )
    pitch, diameter = table.rod_pitch_mm, table.rod_diameter_mm
    if pitch is not None and diameter is not None and pitch < diameter:
        yield Problem(file, "rod_pitch_mm", f"rods of {diameter:g} mm do not fit at a pitch of {pitch:g} mm.")
