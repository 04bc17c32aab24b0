"""How well bodies, heights, deformities and attenuation are measured, against known truth.

    python -m tests.benchmarks.bodies_accuracy [--cases 160] [--first 0] [--jobs 2] [--simulated] [--rough]
        [--broken] [--json FILE]
    python -m tests.benchmarks.bodies_accuracy --measured FILE... [--shared FILE...] [--commit NAME] [--note TEXT]
        --markdown FILE

Each random patient (``bodies_cases.random_patient``) is found, delineated and measured as the node does it, without a
phantom: the calibration is the true one, so that the density error is that of the VOI alone. A vertebra counts as found
where one lies within 9 mm of its centroid; its name may be wrong. ``--simulated``: the simulated scans of
``../shared/data`` instead; ``--rough``: from seeds near the true vertebrae instead of those that are found;
``--broken``: every adult has fractures, and slices of 5 mm are more frequent.
The second form writes the page from what earlier runs left as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from node.domain.settings import SuitabilityLimits, VoiShape
from node.domain.spine import SpineMap, Vertebra, Voi
from node.errors import StudyRefused
from node.imaging import body, voi
from node.imaging.morphometry import deformities, stated
from node.imaging.spine.bodies import delineate
from node.imaging.spine.locate import locate
from tests import shared_data
from tests.benchmarks.bodies_cases import SIMULATED, Case, Known, rough_seeds, simulated, synthetic
from tests.benchmarks.bodies_rows import Outcome, Row
from tests.benchmarks.bodies_tables import heights, page, percentile, reviewed, table

SAME_VERTEBRA_MM = 9.0


def measure(case: Case, seeds: SpineMap | None = None) -> tuple[list[Row], float]:
    """Delineate and measure all vertebrae; returns a row for each whole one found, and the processor's seconds.

    ``seeds``: instead of finding the column.
    """
    start = time.process_time()
    found = seeds or locate(case.volume, body.separate(case.volume, case.patient_position))
    vertebrae = deformities(delineate(case.volume, found))
    vois = voi.measure(case.volume, vertebrae, VoiShape(), SuitabilityLimits())
    vertebrae = stated(vertebrae)
    seconds = time.process_time() - start
    rows = []
    for known in case.vertebrae:
        near = min(vertebrae, key=lambda v, k=known: _apart(v, k))  # type: ignore[misc]
        if known.whole and near.complete and _apart(near, known) <= SAME_VERTEBRA_MM:
            rows.append(_row(case, known, near, vois[near.level]))
    return rows, seconds


def _apart(vertebra: Vertebra, known: Known) -> float:
    return float(np.linalg.norm(vertebra.frame.centre_lps_mm - known.centre))


def _row(case: Case, known: Known, vertebra: Vertebra, read: Voi) -> Row:
    deformity = vertebra.deformity
    heights = vertebra.heights
    return Row(
        case.name,
        known.level,
        case.slice_mm,
        _dice(case, known, vertebra),
        _apart(vertebra, known),
        _height_errors(known, vertebra),
        heights.standard_errors_mm if heights else (np.nan,) * 3,
        (read.hu_mean - known.hu) / known.hu_per_mg,
        2.0 * read.standard_error_hu / known.hu_per_mg,
        read.exclusion,
        known.sick,
        deformity.type if deformity else "unread",
        deformity.genant_grade if deformity else 0,
        deformity.loss_percent if deformity else np.nan,
        deformity.confidence if deformity else np.nan,
        known.grade,
        known.loss,
        vertebra.level,
        read.hu_mean,
    )


def _dice(case: Case, known: Known, vertebra: Vertebra) -> float:
    truth = case.labels == known.label
    shared = np.count_nonzero(truth[vertebra.body.slices_kji] & vertebra.body.voxels)
    return float(2.0 * shared / (np.count_nonzero(truth) + np.count_nonzero(vertebra.body.voxels)))


def _height_errors(known: Known, vertebra: Vertebra) -> tuple[float, ...]:
    heights = vertebra.heights
    if heights is None:
        return (np.nan,) * 3
    errors: NDArray[np.float64] = (
        np.array([heights.anterior_mm, heights.middle_mm, heights.posterior_mm]) - known.heights
    )
    return tuple(map(float, errors))


def _left_by(files: Sequence[Path]) -> list[Outcome]:
    """What earlier runs wrote with ``--json``."""
    found = [one for file in files for one in json.loads(file.read_text(encoding="utf-8"))]
    return [Outcome(**{**one, "rows": [Row(**row) for row in one["rows"]]}) for one in found]


@dataclass(frozen=True, slots=True)
class Job:
    """One case by number, or by the name of a simulated scan."""

    which: str | int
    rough: bool
    broken: bool


def run(job: Job) -> Outcome:
    """Measure one case."""
    case = simulated(job.which) if isinstance(job.which, str) else synthetic(job.which, broken=job.broken)
    whole = sum(known.whole for known in case.vertebrae)
    seeds = rough_seeds(case, np.random.default_rng(whole)) if job.rough else None
    try:
        rows, seconds = measure(case, seeds)
    except StudyRefused as refused:
        return Outcome(case.name, [], whole, 0.0, refused.reason, case.note)
    return Outcome(case.name, rows, whole, seconds, None, case.note)


def _outcomes(jobs: Sequence[Job], processes: int) -> Iterator[Outcome]:
    if processes <= 1:
        yield from map(run, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(run, jobs)


def _present(names: Sequence[str]) -> list[str]:
    """Those of the simulated scans that are there; absent data are named and left out."""
    found = []
    for name in names:
        try:
            shared_data.archive(name)
            found.append(name)
        except pytest.skip.Exception as absent:
            print(f"{name:22s} left out: {absent}")
    return found


def _line(outcome: Outcome) -> str:
    rows = outcome.rows
    if not rows:
        return f"{outcome.name:18s} {outcome.refusal or 'nothing found'}"
    broken = [f"{row.level}:{row.true_grade}->{row.grade}" for row in reviewed(rows) if row.true_grade or row.grade]
    return (
        f"{outcome.name:18s} {len(rows):2d}/{outcome.whole:2d}  Dice {np.mean([row.dice for row in rows]):.3f} "
        f"(min {min(row.dice for row in rows):.3f})  heights {percentile(heights(rows), 50):.2f} "
        f"p95 {percentile(heights(rows), 95):.2f} mm  {outcome.seconds:.1f} s  {' '.join(broken)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=160)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--only", nargs="*", default=SIMULATED)
    parser.add_argument("--rough", action="store_true")
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--measured", type=Path, nargs="+", default=[])
    parser.add_argument("--shared", type=Path, nargs="*", default=[])
    parser.add_argument("--commit", default="")
    parser.add_argument("--note", default="", help="what else must be said of these runs")
    parser.add_argument("--markdown", type=Path, default=None)
    arguments = parser.parse_args()
    numbers: Sequence[str | int] = range(arguments.first, arguments.first + arguments.cases)
    which = _present(arguments.only) if arguments.simulated else numbers
    if arguments.measured:
        text = page(_left_by(arguments.measured), _left_by(arguments.shared), arguments.commit, arguments.note)
        (arguments.markdown.write_text(text, encoding="utf-8") if arguments.markdown else print(text))
        return
    done = []
    for outcome in _outcomes([Job(one, arguments.rough, arguments.broken) for one in which], arguments.jobs):
        done.append(outcome)
        print(_line(outcome), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(one) for one in done]))
    print(table(done))


if __name__ == "__main__":
    main()
