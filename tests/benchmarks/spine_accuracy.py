"""How well vertebrae are found, placed and named.

    python -m tests.benchmarks.spine_accuracy [--synthetic 40] [--first 0] [--shared] [--worsened] [--json FILE]

Random synthetic spines with every variant, the development CT, and worsened copies of it. A vertebra is found when a
seed lies within 9 mm of its body's centroid. Below a confidence of 0.7 a study is refused as ambiguous, which is no
error; the reliability table shows whether stated confidence is earned.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from node.domain.spine import LEVELS
from node.errors import StudyRefused
from node.imaging import body
from node.imaging.spine.locate import locate
from tests.benchmarks import spine_cases
from tests.benchmarks.spine_cases import Case

FOUND_MM = 9.0
AMBIGUOUS_BELOW = 0.7


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case."""

    group: str
    case: str
    note: str
    seconds: float
    present: int
    found: int
    complete: int
    right: int
    confidence: float
    spurious: int
    """Vertebrae said to be complete that are not near any in or beside the scan's truth."""
    errors_mm: tuple[float, ...]
    tilts_deg: tuple[float, ...]
    wrong: tuple[str, ...]
    l1_right: bool
    """Whether the vertebra nearest to L1 that was found bears its right name; the confidence is about that."""
    refusal: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--worsened", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    outcomes = []
    for group, case in _cases(arguments.synthetic, arguments.first, arguments.shared, arguments.worsened):
        outcomes.append(judge(group, case))
        print(_line(outcomes[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    print(table(outcomes))


def _cases(synthetic: int, first: int, shared: bool, worsened: bool) -> Iterator[tuple[str, Case]]:
    if shared or worsened:
        for case in (*(spine_cases.simulated(name) for name in spine_cases.SIMULATED), *spine_cases.real()):
            if shared:
                yield "development", case
            for worsen in spine_cases.WORSENED if worsened and len(case.centres) > 1 else ():
                yield "worsened", worsen(case)
    for number in range(first, first + synthetic):
        yield "synthetic", spine_cases.synthetic(number)


def judge(group: str, case: Case) -> Outcome:
    """Locate the spine of a case and compare."""
    begun = time.perf_counter()
    try:
        try:
            scene = body.separate(case.volume, None)
        except StudyRefused:
            scene = None
        spine = locate(case.volume, scene)
    except StudyRefused as refused:
        taken = time.perf_counter() - begun
        return Outcome(
            group, case.name, case.note, taken, len(case.centres), 0, 0, 0, 0.0, 0, (), (), (), refused.reason
        )
    taken = time.perf_counter() - begun
    errors, tilts, wrong, used, complete = [], [], [], set(), 0
    for level, centre in case.centres.items():
        away = [float(np.linalg.norm(seed.frame.centre_lps_mm - centre)) for seed in spine.seeds]
        nearest = int(np.argmin(away))
        if away[nearest] > FOUND_MM:
            continue
        seed = spine.seeds[nearest]
        used.add(nearest)
        errors.append(away[nearest])
        complete += seed.complete
        if seed.level != level:
            wrong.append(f"{level} called {seed.level} ({seed.confidence:.2f})")
        if level in case.superior:
            cosine = float(np.clip(case.superior[level] @ seed.frame.superior, -1, 1))
            tilts.append(float(np.degrees(np.arccos(cosine))))
    named = {level: not any(w.startswith(f"{level} ") for w in wrong) for level in case.centres}
    l1_right = named[min(named, key=lambda level: abs(LEVELS.index(level) - LEVELS.index("L1")))] if named else False
    spurious = 0
    if case.superior:
        between = [i for i in range(len(spine.seeds)) if used and min(used) < i < max(used) and i not in used]
        spurious = sum(spine.seeds[i].complete for i in between)
    return Outcome(
        group, case.name, case.note, taken, len(case.centres), len(errors), complete, len(errors) - len(wrong),
        spine.assignment.confidence, spurious, tuple(errors), tuple(tilts), tuple(wrong), l1_right,
    )  # fmt: skip


def _line(o: Outcome) -> str:
    if o.refusal:
        return f"{o.case:34s} refused: {o.refusal}   {o.note}"
    return (
        f"{o.case:34s} {o.seconds:5.1f} s  found {o.found}/{o.present}  right {o.right}  "
        f"median {np.median(o.errors_mm or [0]):.1f} max {max(o.errors_mm, default=0):.1f} mm  "
        f"axis {max(o.tilts_deg, default=0):.0f} deg  confidence {o.confidence:.2f}"
        f"{'  spurious ' + str(o.spurious) if o.spurious else ''}"
        f"{'  WRONG ' + '; '.join(o.wrong[:2]) if o.wrong else ''}   {o.note}"
    )


def table(outcomes: Iterable[Outcome]) -> str:
    """The result as text: one row a group, then confidence against truth."""
    every = list(outcomes)
    rows = [
        "",
        "group        studies  refused  ambiguous  found %  names right %  wrong >= 0.9  median  p95  max mm  s",
    ]
    for group in dict.fromkeys(o.group for o in every):
        of = [o for o in every if o.group == group]
        told = [o for o in of if not o.refusal and o.confidence >= AMBIGUOUS_BELOW and o.found]
        errors = np.array([e for o in of for e in o.errors_mm] or [0.0])
        present, found = sum(o.present for o in of if not o.refusal), sum(o.found for o in of)
        right = 100 * np.mean([o.l1_right for o in told]) if told else np.nan
        sure = sum(not o.l1_right and o.confidence >= 0.9 for o in told)
        rows.append(
            f"{group:12s} {len(of):7d} {sum(bool(o.refusal) for o in of):8d} {len(of) - len(told):10d}"
            f" {100 * found / max(present, 1):8.1f} {right:14.1f} {sure:13d} {np.median(errors):7.1f}"
            f" {np.percentile(errors, 95):4.1f} {errors.max():7.1f} {np.median([o.seconds for o in of]):4.1f}"
        )
    rows += ["", "confidence   studies  names right %"]
    edges = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
    judged = [o for o in every if not o.refusal and o.found]
    for low, high in pairwise(edges):
        of = [o for o in judged if low <= o.confidence < high]
        if of:
            right = 100 * np.mean([o.l1_right for o in of])
            stated = np.mean([o.confidence for o in of])
            rows.append(f"{low:.2f}-{min(high, 1):.2f} {len(of):9d} {right:14.1f}   (stated {stated:.2f})")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
