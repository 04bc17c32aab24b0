"""Which of the phantoms that a scan could hold is the one, and which of them are no rivals of each other."""

from __future__ import annotations

from node.domain.phantom import PhantomModel
from node.imaging.phantom.identify import Candidate

EQUAL_RMS_HU = 3.0
"""Fits whose scatter differs by less are equally good: beam hardening alone moves rods that much."""
SAME_DENSITY_MG_CM3 = 0.1
"""Two files whose rods differ by less give one and the same calibration."""
SAME_MAKE_MG_CM3 = 10.0
"""A certificate this close to catalogue values in every rod is one of that make, whatever either file calls it."""


def believable(ways: list[Candidate]) -> list[Candidate]:
    """Those whose calibration holds; else those whose calibration will be refused, if the phantom is not cut."""
    good = [way for way in ways if way.believed]
    return good or [way for way in ways if way.complete and not way.row.slab.out_of_field]


def leading(ways: list[Candidate]) -> list[Candidate]:
    """Return the candidate that fits best, first, with all that cannot be told from it; empty when there is none.

    Of one make, a certificate that fits as well goes before catalogue values; of files that describe one phantom the
    first is taken. Every candidate for another row of rods is a rival: two phantoms lie in the scan.
    """
    left = [way for way in ways if not any(_yields(way, other, ways) for other in ways if other is not way)]
    if not left:
        return []
    best = min(left, key=lambda way: way.line.rms_residual_hu)
    rivals = [way for way in left if way is not best and (way.row is not best.row or _as_good(way, best))]
    return [best, *rivals]


def _as_good(way: Candidate, other: Candidate) -> bool:
    return way.line.rms_residual_hu - other.line.rms_residual_hu < EQUAL_RMS_HU


def _yields(way: Candidate, other: Candidate, ways: list[Candidate]) -> bool:
    """Whether ``way`` steps back for ``other``, a better authority on the same rods."""
    if way.row is not other.row or not _as_good(other, way):
        return False
    if way.model.nominal != other.model.nominal:
        return way.model.nominal and same_make(way.model, other.model)
    return is_one_phantom(way.model, other.model) and ways.index(other) < ways.index(way)


def same_make(one: PhantomModel, other: PhantomModel) -> bool:
    """Whether two files describe phantoms of one make: by name, or by densities that nearly agree."""
    if one.material != other.material or len(one.rods) != len(other.rods):
        return False
    return _name(one) == _name(other) or _apart_mg_cm3(one, other) <= SAME_MAKE_MG_CM3


def is_one_phantom(one: PhantomModel, other: PhantomModel) -> bool:
    """Whether two files with the same densities are one entry of a catalogue, or two names of one phantom.

    Certificates of two phantoms are not, however alike: a report names the phantom that was used.
    """
    if not same_densities(one, other):
        return False
    return (one.nominal and other.nominal) or (_name(one) == _name(other) and one.serial == other.serial)


def same_densities(one: PhantomModel, other: PhantomModel) -> bool:
    """Whether two files give the same calibration."""
    return (
        one.material == other.material
        and len(one.rods) == len(other.rods)
        and one.base_density_mg_cm3 == other.base_density_mg_cm3
        and _apart_mg_cm3(one, other) <= SAME_DENSITY_MG_CM3
    )


def _name(model: PhantomModel) -> str:
    return "".join(character for character in model.model.casefold() if character.isalnum())


def _apart_mg_cm3(one: PhantomModel, other: PhantomModel) -> float:
    """Largest difference of two phantoms' rods, of water too, in whichever order they agree better."""

    def apart(order: int) -> float:
        pairs = zip(one.rods, other.rods[::order], strict=True)
        return max(
            max(
                abs(a.density_mg_cm3 - b.density_mg_cm3),
                abs((a.water_density_mg_cm3 or 0.0) - (b.water_density_mg_cm3 or 0.0)),
            )
            for a, b in pairs
        )

    return min(apart(1), apart(-1))
