"""Which of several suitable series of one study is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.config.rules import Rule
from node.routing.facts import Facts
from node.routing.match import is_reformatted

Rank = float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series that a rule wants."""

    facts: Facts
    rule: Rule


@dataclass(frozen=True, slots=True)
class Criterion:
    """One ground of preference: the lower rank wins."""

    name: str
    rank: Callable[[Candidate], float]


def _derived(candidate: Candidate) -> float:
    image_type = candidate.facts.image_type
    return 2 if is_reformatted(candidate.facts) else 1 if image_type[:1] == ("DERIVED",) else 0


def _kernel(candidate: Candidate) -> float:
    return {"standard": 0, "unknown": 1, "sharp": 2}[candidate.facts.text("kernel_class") or "unknown"]


def _contrast(candidate: Candidate) -> float:
    return 1 if candidate.facts.text("contrast") == "yes" else 0


def _field(candidate: Candidate) -> float:
    """A phantom under the patient needs 350 mm and more; below 250 mm it is certainly cut off."""
    field = candidate.facts.number("field_of_view_mm")
    return 1 if field is None else 0 if field >= 350 else 1 if field >= 250 else 2


def _thin(candidate: Candidate) -> float:
    thickness = candidate.facts.effective_thickness_mm
    return 0 if thickness is not None and thickness <= 3.05 else 1


def _coverage(candidate: Candidate) -> float:
    """In steps of 100 mm to 400 mm: the more, the surer L1 and L2 are in it."""
    return -min(4, int((candidate.facts.number("coverage_mm") or 0) // 100))


def _thickness(candidate: Candidate) -> float:
    thickness = candidate.facts.effective_thickness_mm
    return round(thickness, 1) if thickness is not None else 99.0


CRITERIA: tuple[Criterion, ...] = (
    Criterion("a rule of higher priority", lambda candidate: -candidate.rule.priority),
    Criterion("original images", _derived),
    Criterion("a standard kernel", _kernel),
    Criterion("no contrast medium", _contrast),
    Criterion("a large field of view", _field),
    Criterion("slices of 3 mm or less", _thin),
    Criterion("more coverage", _coverage),
    Criterion("thinner slices", _thickness),
    Criterion("a larger field of view", lambda candidate: -round(candidate.facts.number("field_of_view_mm") or 0, -1)),
    Criterion("more slices", lambda candidate: -(candidate.facts.number("slices") or 0)),
    Criterion("a lower series number", lambda candidate: candidate.facts.number("series_number") or 1e9),
)
"""In order of weight; the Series Instance UID decides what is still equal, so that the answer never changes."""


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The one to be measured."""
    return min(
        candidates,
        key=lambda candidate: (
            *(criterion.rank(candidate) for criterion in CRITERIA),
            candidate.facts.series_instance_uid,
        ),
    )


def advantage(winner: Candidate, loser: Candidate) -> str:
    """What decided between two."""
    for criterion in CRITERIA:
        if criterion.rank(winner) < criterion.rank(loser):
            return criterion.name
    return "the same qualities, and the first UID"
