"""Which of the configured phantoms a row of rods is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from node.domain.phantom import PhantomModel, RodModel
from node.domain.settings import CalibrationLimits
from node.imaging.line import Line, fit_line, judge, physical_sigma_ct
from node.imaging.phantom.discs import Floats
from node.imaging.phantom.grouping import MIN_PITCH_MM
from node.imaging.phantom.rows import RodRow

LOOSE = CalibrationLimits(
    min_r_squared=0.98, max_abs_beta_ct_hu=40.0, max_rms_residual_hu=20.0, min_sigma_ct=0.8, max_sigma_ct=2.8
)
"""Good enough to say which phantom it is; whether its calibration is believed is decided elsewhere."""
_LOOSE_SLOPE = 0.15
"""Part by which a slope may leave its physical range before the phantom is called another."""
_TYPICAL_SLOPE = -0.1
"""Well inside that range: asked of a phantom that may be a part of a larger one."""
_ANY_SLOPE = (0.92, 2.3)
"""HU per mg/cm³ where the voltage is not known."""
_GUESSED_NOISE_HU = 1.0
_PITCH_TOLERANCE = 0.06
_PUBLISHED_TOLERANCE = 0.15
_MEASURED_MM = 1.0
"""How well the diameter or the pitch of rods is measured in a coarse scan."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One way to take a row for a phantom."""

    model: PhantomModel
    row: RodRow
    s_mm: tuple[float, ...]
    """Of each rod, in the model's order."""
    seen: tuple[bool, ...]
    """False: predicted from the pitch of the others."""
    measured: tuple[bool, ...]
    """False: wholly outside the scan field."""
    inside: tuple[bool, ...]
    """False: cut by the scan field, or outside it."""
    mirrored: bool
    line: Line
    problems: tuple[str, ...]
    """Of the calibration, by the limits that it will be judged by."""
    typical: bool
    """Whether the slope is one that such phantoms have, not merely one that is possible."""

    @property
    def complete(self) -> bool:
        """Whether every rod lies in the scan field."""
        return all(self.inside)

    @property
    def believed(self) -> bool:
        """Whether its calibration holds, and it is not likelier a part of a larger phantom that the field cuts."""
        return not self.problems and (self.typical or not (self.complete and self.row.may_have_more_rods))


def base_standard(model: PhantomModel) -> RodModel | None:
    """Return the base plate as a rod where it is a standard (never among rods with a water-equivalent density)."""
    if model.base_density_mg_cm3 is None or any(rod.water_density_mg_cm3 is not None for rod in model.rods):
        return None
    return RodModel("base", model.base_density_mg_cm3)


def candidates(
    row: RodRow, models: tuple[PhantomModel, ...], limits: CalibrationLimits, kvp: float | None = None
) -> list[Candidate]:
    """Return for each model the best way to take ``row`` for it, where there is one at all.

    ``limits`` are those by which the calibration will be judged, ``kvp`` bounds its slope.
    """
    found = []
    for model in models:
        ways = [
            way
            for way in _ways(row, model, limits, kvp)
            if _slope_fits(model, way.line.sigma_ct, kvp, _LOOSE_SLOPE) and not judge(way.line, *_fitted(way), LOOSE)
        ]
        if ways:
            found.append(min(ways, key=lambda way: (not way.believed, not way.complete, way.line.rms_residual_hu)))
    return found


def _slope_fits(model: PhantomModel, sigma_ct: float, kvp: float | None, slack: float) -> bool:
    """Whether a tube of that voltage gives the slope, with its physical range widened by a part (or narrowed)."""
    low, high = physical_sigma_ct(model.material, kvp) if kvp is not None else _ANY_SLOPE
    return low * (1 - slack) <= sigma_ct <= high * (1 + slack)


def _fitted(way: Candidate) -> tuple[list[RodModel], Floats]:
    """Rods (those of which any is seen, then the base plate) and HU that went into a candidate's line."""
    return _standards(way.row, way.model, way.s_mm, way.measured)


def _ways(row: RodRow, model: PhantomModel, limits: CalibrationLimits, kvp: float | None) -> Iterator[Candidate]:
    count, seen = len(model.rods), len(row.rods)
    if seen > count or seen < 2 or not _radius_fits(row, model) or (row.lone and count != 2):
        return
    s_seen = np.array([rod.s_mm for rod in row.rods])
    for mirrored in (False, True):
        for chosen in combinations(range(count), seen):
            places = np.array([count - 1 - i for i in chosen]) if mirrored else np.array(chosen)
            s = _positions(places, s_seen, count, model)
            if s is not None:
                way = _candidate(row, model, s, set(places.tolist()), mirrored, limits, kvp)
                if way is not None:
                    yield way


def _radius_fits(row: RodRow, model: PhantomModel) -> bool:
    if model.rod_diameter_mm is None:
        return True
    usual = max(2.0, _PUBLISHED_TOLERANCE * model.rod_diameter_mm)
    return abs(2 * row.radius_mm - model.rod_diameter_mm) <= _tolerance_mm(model, usual)


def _tolerance_mm(model: PhantomModel, usual_mm: float) -> float:
    """How far a dimension may be off: as its file says, and what measuring it in a scan adds."""
    return usual_mm if model.tolerance_mm is None else model.tolerance_mm + _MEASURED_MM


def _positions(places: Floats, s_seen: Floats, count: int, model: PhantomModel) -> Floats | None:
    """Place of every rod along the row, when rod ``places[i]`` of the model is seen at ``s_seen[i]``.

    With all rods seen their distances need not be equal; the places of others follow from an equal pitch.
    """
    step, origin = np.polyfit(places, s_seen, 1) if len(places) > 1 else (0.0, 0.0)
    if model.rod_pitch_mm is not None and abs(abs(float(step)) - model.rod_pitch_mm) > _tolerance_mm(
        model, _PITCH_TOLERANCE * model.rod_pitch_mm
    ):
        return None
    s: Floats = float(origin) + float(step) * np.arange(count, dtype=np.float64)
    if len(places) < count:
        off = np.abs(s[places.astype(int)] - s_seen).max()
        if abs(step) < MIN_PITCH_MM or off > max(1.5, _PITCH_TOLERANCE * abs(step)):
            return None
    s[places.astype(int)] = s_seen
    return s


def _candidate(
    row: RodRow,
    model: PhantomModel,
    s: Floats,
    seen: set[int],
    mirrored: bool,
    limits: CalibrationLimits,
    kvp: float | None,
) -> Candidate | None:
    inside = []
    for index, position in enumerate(s):
        state = _whole(row, float(position)) if index in seen else _room_for(row, float(position))
        if state is None:
            return None
        inside.append(state)
    flags = tuple(inside)
    places = tuple(float(v) for v in s)
    measured = tuple(index in seen or state for index, state in enumerate(inside))
    rods, hu = _standards(row, model, places, measured)
    if len(rods) < 2:
        return None
    line = fit_line(rods, hu, np.full(len(rods), _GUESSED_NOISE_HU))
    return Candidate(
        model,
        row,
        places,
        tuple(i in seen for i in range(len(s))),
        measured,
        flags,
        mirrored,
        line,
        tuple(judge(line, rods, hu, limits)),
        _slope_fits(model, line.sigma_ct, kvp, _TYPICAL_SLOPE),
    )


def _whole(row: RodRow, s: float) -> bool:
    """Whether the whole of a rod that is seen lies in the scan field."""
    rod = next(rod for rod in row.rods if rod.s_mm == s)
    return bool(np.isfinite(row.patch.disc(s, rod.t_mm, row.radius_mm)).all())


def _room_for(row: RodRow, s: float) -> bool | None:
    """Whether an unseen rod may lie at ``s``: True in even slab, False outside the field, None impossible."""
    pixels = row.patch.disc(s, 0.0, 0.6 * row.radius_mm)
    if pixels.size == 0 or not np.isfinite(pixels).all():
        low, high = row.slab.cut
        return False if (s < row.rods[0].s_mm and low) or (s > row.rods[-1].s_mm and high) else None
    if not row.slab.s_mm[0] + 0.8 * row.radius_mm < s < row.slab.s_mm[1] - 0.8 * row.radius_mm:
        return None
    even = float(pixels.std()) < 15.0 and abs(float(pixels.mean()) - row.base_hu) < 80.0
    return True if even else None


def _standards(
    row: RodRow, model: PhantomModel, s_mm: tuple[float, ...], measured: tuple[bool, ...]
) -> tuple[list[RodModel], Floats]:
    """The model's rods that are measured with their HU in the average, and the base plate where it is a standard."""
    by_place = {rod.s_mm: rod.hu for rod in row.rods}
    rods, hu = [], []
    for rod, s, there in zip(model.rods, s_mm, measured, strict=True):
        if there:
            rods.append(rod)
            hu.append(by_place.get(s, float("nan")))
            if np.isnan(hu[-1]):
                hu[-1] = float(row.patch.disc(s, 0.0, 0.6 * row.radius_mm).mean())
    base = base_standard(model)
    if base is not None:
        rods.append(base)
        hu.append(row.base_hu)
    return rods, np.array(hu)
