"""From rows of rods to one phantom, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.domain.phantom import PhantomFit, PhantomModel, RodReading
from node.domain.settings import CalibrationLimits
from node.domain.volume import Volume
from node.errors import PhantomAmbiguous, PhantomNotFound, PhantomOutOfField, PhantomUnknown
from node.imaging.phantom import certainty, rivals
from node.imaging.phantom.course import follow
from node.imaging.phantom.identify import Candidate, base_standard, candidates
from node.imaging.phantom.reading import EDGE_MARGIN_MM, Standard, read_rods, reading_radius
from node.imaging.phantom.room import is_phantom
from node.imaging.phantom.rows import RodRow

if TYPE_CHECKING:
    from node.imaging.body import Scene


def find(
    volume: Volume,
    scene: Scene,
    phantoms: tuple[PhantomModel, ...],
    limits: CalibrationLimits | None = None,
    kvp: float | None = None,
) -> PhantomFit:
    """Return the one phantom of ``phantoms`` that lies in the scan, with its rods read.

    ``limits`` are those of the calibration; with ``kvp`` a phantom whose slope no tube of that voltage gives is not
    taken for it.
    Raises ``PhantomNotFound``, ``PhantomOutOfField``, ``PhantomUnknown`` or ``PhantomAmbiguous``, each with the
    rods that were seen.
    """
    rows = scene.rod_rows
    ways = [way for row in rows for way in candidates(row, phantoms, limits or CalibrationLimits(), kvp)]
    believed = rivals.believable(ways)
    best = rivals.leading(believed)
    if len(best) > 1 and all(way.complete for way in best):
        raise _ambiguous(best, _seen(volume, rows))
    if not all(way.complete for way in best) or not best:
        raise _refusal(volume, rows, ways, phantoms)
    chosen = best[0]
    readings = _readings(volume, chosen)
    if readings is None:
        raise PhantomOutOfField(
            f"Phantom {chosen.model.id} was found, but not all of its rods can be read.", _seen(volume, rows)
        )
    others = [way for way in believed if way is not chosen]
    said = certainty.story(chosen, others) + certainty.beside(
        [r for r in rows if r is not chosen.row and is_phantom(r)]
    )
    return PhantomFit(chosen.model, readings, certainty.confidence(chosen, others), said)


def _ambiguous(ways: list[Candidate], seen: dict[str, object]) -> PhantomAmbiguous:
    names = sorted({way.model.id for way in ways})
    several = len({id(way.row) for way in ways})
    message = (
        f"{several} phantoms lie in the scan: {', '.join(names)}."
        if several > 1
        else f"The rods fit several configured phantoms equally well: {', '.join(names)}. Configure the one in use."
    )
    return PhantomAmbiguous(message, {**seen, "candidates": names})


def _refusal(
    volume: Volume, rows: tuple[RodRow, ...], ways: list[Candidate], phantoms: tuple[PhantomModel, ...]
) -> PhantomNotFound | PhantomOutOfField | PhantomUnknown:
    cut = [way for way in ways if not way.complete and not way.problems]
    if cut:
        best = min(cut, key=lambda way: way.line.rms_residual_hu)
        lost = [rod.name for rod, there in zip(best.model.rods, best.inside, strict=True) if not there]
        return PhantomOutOfField(
            f"The scan field cuts phantom {best.model.id}: rods {', '.join(lost)} lie outside it.",
            {**_seen(volume, rows), "phantom": best.model.id, "rods_outside": lost},
        )
    real = [row for row in rows if is_phantom(row)]
    if any(row.slab.out_of_field for row in real):
        return PhantomOutOfField("The scan field cuts a phantom's slab; not all rods are seen.", _seen(volume, real))
    real = [row for row in real if not row.lone]
    if real:
        return PhantomUnknown(
            f"A phantom with {len(real[0].rods)} rods was seen, but none of those configured fits it.",
            {**_seen(volume, real), "configured": [model.id for model in phantoms]},
        )
    return PhantomNotFound("No calibration phantom was found in the scan.", _seen(volume, rows))


def _readings(volume: Volume, way: Candidate) -> tuple[RodReading, ...] | None:
    row = way.row
    seen = {rod.s_mm: rod for rod in row.rods}
    standards = []
    for rod, s in zip(way.model.rods, way.s_mm, strict=True):
        t, contrast = (seen[s].t_mm, seen[s].hu - row.base_hu) if s in seen else (0.0, 0.0)
        standards.append(Standard(rod, ((s, t),), reading_radius(row.radius_mm, contrast)))
    plate = _base_plate(way)
    if plate is not None:
        standards.append(plate)
    readings = read_rods(volume, follow(volume, row), standards, row.z_range_mm)
    if any(reading is None for reading in readings[: len(way.model.rods)]):
        return None
    return tuple(reading for reading in readings if reading is not None)


def _base_plate(way: Candidate) -> Standard | None:
    """Where it is a standard: midway between neighbouring rods."""
    plate = base_standard(way.model)
    if plate is None:
        return None
    s = np.sort(way.s_mm)
    room = float(np.diff(s).min()) / 2 - way.row.radius_mm
    depth = min(-way.row.slab.t_mm[0], way.row.slab.t_mm[1])
    radius = min(room, depth) - EDGE_MARGIN_MM
    if radius < 1.5:
        return None
    return Standard(plate, tuple((float(middle), 0.0) for middle in (s[:-1] + s[1:]) / 2), radius)


def _seen(volume: Volume, rows: tuple[RodRow, ...] | list[RodRow]) -> dict[str, object]:
    """Facts of every row of rods that was seen."""
    return {"rows": [_facts(volume, row) for row in rows]}


def _facts(volume: Volume, row: RodRow) -> dict[str, object]:
    z = sum(row.z_range_mm) / 2
    rods = []
    for rod in row.rods:
        y, x = row.axes.at(rod.s_mm, rod.t_mm, z)
        point = volume.lps_mm(np.array([z, y, x]) / volume.spacing_mm)
        rods.append({"hu": round(rod.hu, 1), "centre_lps_mm": [round(float(v), 1) for v in point]})
    return {"rods": rods, "radius_mm": round(row.radius_mm, 1), "base_hu": round(row.base_hu, 1)}
