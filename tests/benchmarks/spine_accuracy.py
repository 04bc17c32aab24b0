"""How well vertebrae are found, placed and named.

    python -m tests.benchmarks.spine_accuracy [--people 160] [--first 0] [--shared] [--worsened] [--workers 2]
                                              [--json FILE] [--markdown FILE]

Random synthetic people with every variant and disease, the development CT, and worsened copies of it. A vertebra is
found when a body delineated has its centroid within 9 mm of its own. Below the confidence that the shipped
configuration asks for a study is refused as ambiguous, which is no error; the reliability table shows whether stated
confidence is earned.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from node.domain.settings import LevelLimits
from node.domain.spine import LEVELS, LevelAssignment, Vertebra
from node.errors import StudyRefused
from node.imaging import body
from node.imaging.spine import delineate, locate
from tests.benchmarks import spine_cases, spine_tables
from tests.benchmarks.spine_cases import Case, Floats

FOUND_MM = 9.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case."""

    kind: str
    case: str
    note: str
    groups: tuple[str, ...]
    seconds: float
    present: int
    found: int
    right: int
    confidence: float
    agreement: str
    measured: bool
    """The names are believed: by the shipped configuration the study would be measured."""
    target_seen: bool
    """L1 or L2 lies wholly in the scan."""
    spurious: int
    """Vertebrae said to be complete between those known that are none of them."""
    cut_called_complete: int
    complete_called_cut: int
    """Vertebrae wholly in the scan that would not be measured, as incomplete."""
    errors_mm: tuple[float, ...]
    tilts_deg: tuple[float, ...]
    wrong: tuple[str, ...]
    l1_right: bool
    """Whether the vertebra nearest to L1 that was found bears its right name; the confidence is about that."""
    refusal: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=160)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--worsened", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, default=None, help="outcomes; those that it holds are not made again")
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--commit", default="", help="what was measured, for the page")
    arguments = parser.parse_args()
    outcomes = _known(arguments.json)
    for one in _judged(arguments, {o.case for o in outcomes}):
        outcomes.append(one)
        print(line(one), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    report = spine_tables.markdown(outcomes, arguments.commit)
    if arguments.markdown:
        arguments.markdown.write_text(report, encoding="utf-8")
    print(report)


def _known(file: Path | None) -> list[Outcome]:
    if file is None or not file.is_file():
        return []
    names = {field.name for field in fields(Outcome)}
    kept = [{k: tuple(v) if isinstance(v, list) else v for k, v in one.items()} for one in json.loads(file.read_text())]
    return [Outcome(**one) for one in kept if set(one) == names]


def _judged(arguments: argparse.Namespace, done: set[str]) -> Iterator[Outcome]:
    if arguments.shared or arguments.worsened:
        for case in (*(spine_cases.simulated(name) for name in spine_cases.SIMULATED), *spine_cases.real()):
            if arguments.shared and case.name not in done:
                yield judge("development", case)
            for worsen in spine_cases.WORSENED if arguments.worsened and len(case.centres) > 1 else ():
                yield judge("worsened", worsen(case))
    if arguments.shared:
        yield from (_refused("development", name) for name in spine_cases.UNMEASURABLE if name not in done)
    numbers = range(arguments.first, arguments.first + arguments.people)
    wanted = [number for number in numbers if f"person {number}" not in done]
    with ProcessPoolExecutor(arguments.workers) as pool:
        yield from pool.map(partial(_person, "people"), wanted)


def _refused(kind: str, name: str) -> Outcome:
    try:
        return judge(kind, spine_cases.unmeasurable(name))
    except StudyRefused as refused:
        return _nothing(kind, name, "slices are no stack", (), {}, refused.reason)


def _person(kind: str, number: int) -> Outcome:
    return judge(kind, spine_cases.varied(number))


def judge(kind: str, case: Case) -> Outcome:
    """Locate the spine of a case, delineate its bodies and compare both."""
    begun = time.perf_counter()
    try:
        try:
            scene = body.separate(case.volume, None)
        except StudyRefused:
            scene = None
        spine = locate(case.volume, scene)
        vertebrae = delineate(case.volume, spine)
    except StudyRefused as refused:
        return _nothing(kind, case.name, case.note, case.groups, case.centres, refused.reason)
    return _compared(kind, case, spine.assignment, vertebrae, time.perf_counter() - begun)


def _nothing(
    kind: str, name: str, note: str, groups: tuple[str, ...], centres: Mapping[str, Floats], reason: str
) -> Outcome:
    """Refused before there were any names."""
    seen, none = bool({"L1", "L2"} & set(centres)), (0, 0, 0.0, "none", False)
    return Outcome(kind, name, note, groups, 0.0, len(centres), *none, seen, 0, 0, 0, (), (), (), False, reason)


def _compared(
    kind: str, case: Case, assignment: LevelAssignment, vertebrae: Sequence[Vertebra], taken: float
) -> Outcome:
    errors, tilts, wrong, used = [], [], [], set()
    for level, centre in case.centres.items():
        away = [float(np.linalg.norm(one.frame.centre_lps_mm - centre)) for one in vertebrae]
        nearest = int(np.argmin(away))
        if away[nearest] > FOUND_MM:
            continue
        one = vertebrae[nearest]
        used.add(nearest)
        errors.append(away[nearest])
        if one.level != level:
            wrong.append(f"{level} called {one.level} ({one.confidence:.2f})")
        if level in case.superior:
            cosine = float(np.clip(case.superior[level] @ one.frame.superior, -1, 1))
            tilts.append(float(np.degrees(np.arccos(cosine))))
    named = {level: not any(w.startswith(f"{level} ") for w in wrong) for level in case.centres}
    l1_right = named[min(named, key=lambda level: abs(LEVELS.index(level) - LEVELS.index("L1")))] if named else False
    between = [i for i in range(len(vertebrae)) if used and min(used) < i < max(used) and i not in used]
    cut = sum(not vertebrae[i].complete for i in used)
    seen, measured = bool({"L1", "L2"} & set(case.centres)), _believed(assignment, vertebrae)
    return Outcome(
        kind, case.name, case.note, case.groups, taken, len(case.centres), len(errors), len(errors) - len(wrong),
        assignment.confidence, assignment.agreement, measured, seen,
        sum(vertebrae[i].complete for i in between) if case.superior else 0, _cut_called_complete(case, vertebrae), cut,
        tuple(errors), tuple(tilts), tuple(wrong), l1_right,
    )  # fmt: skip


def _believed(assignment: LevelAssignment, vertebrae: Sequence[Vertebra]) -> bool:
    """As ``verdict.require_targets`` decides, by the shipped limits."""
    limits = LevelLimits()
    needed = limits.min_confidence_in_conflict if assignment.agreement == "conflict" else limits.min_confidence
    return assignment.confidence >= needed and any(v.complete and v.level in limits.targets for v in vertebrae)


def _cut_called_complete(case: Case, vertebrae: Sequence[Vertebra]) -> int:
    whole = np.array([one.frame.centre_lps_mm for one in vertebrae if one.complete])
    if not len(whole):
        return 0
    return sum(bool(np.linalg.norm(whole - centre, axis=1).min() < FOUND_MM) for centre in case.cut.values())


def line(o: Outcome) -> str:
    """One case in one line."""
    if o.refusal:
        return f"{o.case:34s} refused: {o.refusal}   {o.note}"
    return (
        f"{o.case:34s} {o.seconds:5.1f} s  found {o.found}/{o.present}  right {o.right}  "
        f"median {np.median(o.errors_mm or [0]):.1f} max {max(o.errors_mm, default=0):.1f} mm  "
        f"axis {max(o.tilts_deg, default=0):.0f} deg  {o.agreement} {o.confidence:.2f}"
        f"{'  spurious ' + str(o.spurious) if o.spurious else ''}"
        f"{'  cut called complete ' + str(o.cut_called_complete) if o.cut_called_complete else ''}"
        f"{'  WRONG ' + '; '.join(o.wrong[:2]) if o.wrong else ''}   {o.note}"
    )


def table(outcomes: Iterable[Outcome]) -> str:
    """The tables of the outcomes."""
    return spine_tables.markdown(list(outcomes))


if __name__ == "__main__":
    main()
