"""A certificate → ``phantoms/<id>.toml``: the file's text, its problems as ``check`` finds them, and what looks odd."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node.config.phantoms import load_phantoms
from node.domain.phantom import PhantomModel, RodModel
from node.errors import ConfigError, Problem

_USUAL_SIGMA = {"K2HPO4": 1.42, "CaHA": 1.39, "CaCO3": 1.32}
"""HU per mg/cm³ at 120 kV, about 70 keV effective: to compare a certificate with what the scanner shows."""
_SIGMA_REF, _WATER = 1.64, 999.6


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is on it, by the keys of a phantom file; ``None`` and empty values are left out of the file."""

    id: str
    values: Mapping[str, Any]
    rods: tuple[RodModel, ...]


def text(certificate: Certificate) -> str:
    """The file, as a person would write it."""
    lines = [
        f"# {certificate.values.get('model') or certificate.id}: from its certificate.",
        f'id = "{certificate.id}"',
    ]
    lines += [f"{key} = {_toml(value)}" for key, value in certificate.values.items() if value not in (None, "")]
    lines += ["", "rods = ["]
    for rod in certificate.rods:
        entry = f"name = {_toml(rod.name)}, density_mg_cm3 = {_toml(rod.density_mg_cm3)}"
        if rod.water_density_mg_cm3 is not None:
            entry += f", water_density_mg_cm3 = {_toml(rod.water_density_mg_cm3)}"
        lines.append(f"    {{ {entry} }},")
    return "\n".join([*lines, "]", ""])


def checked(certificate: Certificate, target: Path) -> PhantomModel:
    """The phantom that the file stands for. Raises ``ConfigError`` with every problem, as ``check`` would."""
    found: list[Problem] = []
    with tempfile.TemporaryDirectory(prefix="vbmd-node-") as scratch:
        file = Path(scratch) / target.name
        file.write_text(text(certificate), encoding="utf-8")
        read = load_phantoms([file], found)
    if found:
        raise ConfigError(tuple(replace(problem, file=str(target)) for problem in found))
    return read[certificate.id]


def expected_hu(rod: RodModel, material: str) -> float:
    """About what a rod reads at 120 kV."""
    if rod.water_density_mg_cm3 is not None:
        return rod.water_density_mg_cm3 + _SIGMA_REF * rod.density_mg_cm3 - _WATER
    return _USUAL_SIGMA[material] * rod.density_mg_cm3


def oddities(model: PhantomModel, known: Iterable[PhantomModel]) -> list[str]:
    """What is allowed but deserves a second look at the certificate."""
    found = []
    densities = [rod.density_mg_cm3 for rod in model.rods]
    if all(abs(density) < 5 for density in densities):
        found.append("All densities are below 5 mg/cm³: does the certificate state g/cm³?")
    waters = [rod.water_density_mg_cm3 for rod in model.rods if rod.water_density_mg_cm3 is not None]
    if waters and all(water < 5 for water in waters):
        found.append("Water-equivalent densities are below 5 mg/cm³: does the certificate state g/cm³?")
    if model.material == "K2HPO4" and not waters:
        found.append(
            "No water-equivalent densities: the rods are taken for aqueous solutions, and a plain line is fitted. "
            "Mindways certificates state them; without them a true 100 mg/cm³ reads near 60."
        )
    if any(abs(density) > 1500 for density in densities):
        found.append("A density above 1500 mg/cm³ is denser than cortical bone.")
    if not model.serial:
        found.append("No serial number: densities belong to a serial number.")
    return found + [sentence for other in known if (sentence := _likeness(model, other))]


def _likeness(model: PhantomModel, other: PhantomModel) -> str | None:
    """Another phantom that the rods of a scan may fit as well."""
    if other.id == model.id or other.kind != model.kind or len(other.rods) != len(model.rods):
        return None
    mine, theirs = _hu(model), _hu(other)
    if min(_apart(mine, theirs), _apart(mine, theirs[::-1])) > 30.0:
        return None
    return f"{other.id} has nearly the same rods: name only the one that lies in the scanner, or scans are ambiguous."


def _hu(model: PhantomModel) -> list[float]:
    return [expected_hu(rod, model.material) for rod in model.rods]


def _apart(mine: Sequence[float], theirs: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(mine, theirs, strict=True))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(float(value))
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in escaped) + '"'
