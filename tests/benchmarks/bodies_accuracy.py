"""How well bodies, heights, deformities and attenuation are measured, against known truth.

    python -m tests.benchmarks.bodies_accuracy [--cases 160] [--first 0] [--jobs 2] [--simulated] [--rough]
        [--json FILE]
    python -m tests.benchmarks.bodies_accuracy --measured FILE... [--shared FILE...] [--commit NAME] [--note TEXT]
        --markdown FILE

Each random patient (``bodies_cases.random_patient``) is found, delineated and measured as the node does it, without a
phantom: the calibration is the true one, so that the density error is that of the VOI alone. A vertebra counts as found
where one lies within 9 mm of its centroid; its name may be wrong. ``--simulated``: the simulated scans of
``../shared/data`` instead; ``--rough``: from seeds near the true vertebrae instead of those that are found.
The second form writes the page from what earlier runs left as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from node.domain.settings import SuitabilityLimits, VoiShape
from node.domain.spine import SpineMap, Vertebra, Voi
from node.errors import StudyRefused
from node.imaging import body, voi
from node.imaging.morphometry import NORMS, deformities, stated
from node.imaging.spine.bodies import delineate
from node.imaging.spine.locate import locate
from tests import shared_data
from tests.benchmarks.bodies_cases import SIMULATED, Case, Known, rough_seeds, simulated, synthetic

SAME_VERTEBRA_MM = 9.0
THIN_MM = 3.0
ENOUGH = 150


@dataclass(frozen=True)
class Row:
    """What one vertebra came to."""

    case: str
    level: str
    slice_mm: float
    dice: float
    centre_mm: float
    heights_mm: tuple[float, ...]
    """Errors; not a number where heights were withheld."""
    errors_mm: tuple[float, ...]
    """Standard errors as stated."""
    vbmd: float
    """Error in mg/cm³, measured or not."""
    expanded: float
    """k = 2, of noise and place, mg/cm³."""
    exclusion: str | None
    sick: str | None
    type: str
    grade: int
    loss: float
    confidence: float
    true_grade: int
    true_loss: float
    named: str
    """As found."""
    hu: float = field(default=np.nan)


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


# ------------------------------------------------------------------------------------------------ table

PREFACE = """# Accuracy of bodies, heights, deformities and attenuation

Made by `python -m tests.benchmarks.bodies_accuracy`, on the code of {commit}.

Random synthetic patients: both sexes, children, 22 to 88 years, density by age, cortex of 0.55 to 1.3 of the usual
thickness, kyphosis, lordosis, scoliosis, wedge, biconcave and crush fractures of 20 to 60 %, Schmorl's nodes,
osteophytes and bridges, gas in discs, bone islands, lytic, sclerotic and diffuse lesions, haemangiomas, cement,
screws; slices of 0.8 to 5 mm, smooth to sharp kernels, 1 to 12 mGy, pixels of 1 mm. Each is found, named,
delineated and measured as the node does it; the calibration is the true one, and the truth of the density free of
noise. These patients were not looked at while the methods were made. The generator is the project's own: real
patients are harder, and vary more in shape.

- *Sound* and *sick* vertebrae: T11 to L4, sick with a fracture, cement, metal or a lesion. *Wrong*: stated although
  sick, and more than 3 mg/cm³ off.
- A *false candidate* is a vertebra from T4 to L5 without any fracture that is called one.
- Slices of 5 mm are measured by nobody who does not allow them (`max_slice_thickness_mm`). Heights with a standard
  error above a tenth of their length are not stated, unless they make a candidate: nearly all of those in 5 mm slices.
  A fracture there is then not judged; the tables count it as not found.

"""


def table(done: Sequence[Outcome]) -> str:
    """The summary in Markdown."""
    rows = [row for one in done for row in one.rows]
    refused, seconds = sum(one.refusal is not None for one in done), sum(one.seconds for one in done)
    lines = [
        "| | all | slices to 3 mm | 5 mm | target |",
        "|---|---|---|---|---|",
    ]
    thin = [row for row in rows if row.slice_mm <= THIN_MM]
    thick = [row for row in rows if row.slice_mm > THIN_MM]
    for name, target, value in _MEASURES:
        cells = [value(group) if group else "" for group in (rows, thin, thick)]
        lines.append(f"| {name} | {' | '.join(cells)} | {target} |")
    lines += [
        "",
        f"{len(done)} patients, {sum(one.whole for one in done)} vertebrae wholly in the scan, {len(rows)} found and "
        f"complete; {refused} patients without any spine found; {seconds / max(len(done), 1):.1f} s of one processor "
        "for each.",
    ]
    return "\n".join(lines)


def _percentile(values: NDArray[np.float64], part: float) -> float:
    """Not a number where there is none (heights that are nowhere stated)."""
    return float(np.percentile(values, part)) if len(values) else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _abs(values: Iterable[float]) -> NDArray[np.float64]:
    out = np.abs(np.array(list(values), dtype=np.float64))
    return out[np.isfinite(out)]


def _heights(rows: Sequence[Row]) -> NDArray[np.float64]:
    return _abs(error for row in rows for error in row.heights_mm)


def _centres(rows: Sequence[Row]) -> NDArray[np.float64]:
    return _abs(row.centre_mm for row in rows)


def _reviewed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.level in NORMS]


def _severe(rows: Sequence[Row]) -> str:
    severe = [row for row in _reviewed(rows) if row.true_grade >= 2]
    return f"{sum(row.grade >= 1 for row in severe)} of {len(severe)}"


def _false(rows: Sequence[Row]) -> str:
    false = sum(row.grade >= 1 and row.true_loss == 0.0 for row in _reviewed(rows))
    return f"{false / len({row.case for row in rows}):.3f}"


def _same_grade(rows: Sequence[Row]) -> str:
    broken = [row for row in _reviewed(rows) if row.true_grade >= 1]
    return f"{sum(row.grade == row.true_grade for row in broken)} of {len(broken)}"


def _mild(rows: Sequence[Row]) -> str:
    mild = [row for row in _reviewed(rows) if row.true_grade == 1]
    return f"{sum(row.grade >= 1 for row in mild)} of {len(mild)}"


def _read(rows: Sequence[Row]) -> list[Row]:
    """Sound vertebrae from T11 to L4 whose density is stated."""
    return [row for row in rows if row.exclusion is None and row.sick is None and row.level in TARGETS]


def _within(rows: Sequence[Row]) -> str:
    return f"{100.0 * np.mean(_abs(row.vbmd for row in _read(rows)) <= 3.0):.1f} %"


def _covered(rows: Sequence[Row]) -> str:
    read = _read(rows)
    return f"{100.0 * np.mean([abs(row.vbmd) <= row.expanded for row in read]):.0f} %"


def _sick_excluded(rows: Sequence[Row]) -> str:
    sick = [row for row in rows if row.sick is not None and row.level in TARGETS]
    spoiled = [row for row in sick if row.exclusion is None and abs(row.vbmd) > 3.0]
    return f"{sum(row.exclusion is not None for row in sick)} of {len(sick)}; {len(spoiled)} wrong"


def _sound_excluded(rows: Sequence[Row]) -> str:
    sound = [row for row in rows if row.sick is None and row.level in TARGETS]
    return f"{sum(row.exclusion is not None for row in sound)} of {len(sound)}"


TARGETS = ("T11", "T12", "L1", "L2", "L3", "L4")
_MEASURES = (
    ("vertebrae", "", lambda rows: str(len(rows))),
    ("body Dice, mean", "0.92", lambda rows: f"{np.mean([row.dice for row in rows]):.3f}"),
    ("body Dice, 5th percentile", "", lambda rows: f"{np.percentile([row.dice for row in rows], 5):.3f}"),
    ("centroid error, median", "1.5 mm", lambda rows: f"{np.median(_centres(rows)):.2f} mm"),
    ("centroid error, 95th percentile", "3 mm", lambda rows: f"{_percentile(_centres(rows), 95):.2f} mm"),
    ("heights stated", "", lambda rows: f"{100.0 * np.mean([np.isfinite(row.heights_mm[0]) for row in rows]):.0f} %"),
    ("heights error, median", "1.0 mm", lambda rows: f"{_percentile(_heights(rows), 50):.2f} mm"),
    ("heights error, mean", "1.0 mm", lambda rows: f"{_mean(_heights(rows)):.2f} mm"),
    ("heights error, 95th percentile", "2 mm", lambda rows: f"{_percentile(_heights(rows), 95):.2f} mm"),
    ("Genant 2 and 3 found", "0.95", _severe),
    ("Genant 1 found", "", _mild),
    ("same grade, of all fractures", "", _same_grade),
    ("false candidates per patient", "0.1", _false),
    ("density error, median", "", lambda rows: f"{_percentile(_abs(row.vbmd for row in _read(rows)), 50):.2f} mg/cm³"),
    ("density within 3 mg/cm³", "95 %", _within),
    ("density within its own interval (k = 2)", "", _covered),
    ("sick vertebrae excluded", "", _sick_excluded),
    ("sound vertebrae excluded", "", _sound_excluded),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ running


@dataclass(frozen=True)
class Outcome:
    """One case."""

    name: str
    rows: list[Row]
    whole: int
    seconds: float
    refusal: str | None
    note: str = ""


def _left_by(files: Sequence[Path]) -> list[Outcome]:
    """What earlier runs wrote with ``--json``."""
    found = [one for file in files for one in json.loads(file.read_text(encoding="utf-8"))]
    return [Outcome(**{**one, "rows": [Row(**row) for row in one["rows"]]}) for one in found]


def page(done: Sequence[Outcome], shared: Sequence[Outcome], commit: str, note: str) -> str:
    """The page of the documentation: both tables, heights by slice thickness, and what failed, patient by patient."""
    parts = [
        PREFACE.format(commit=commit or "this commit"),
        *([f"{note}\n\n"] if note else []),
        "## Random patients\n\n",
        table(done),
        "\n\n",
    ]
    if len(done) < ENOUGH:
        parts.append(
            f"Fewer patients than the {ENOUGH} that are wanted: parts of a hundred are known to a few only.\n\n"
        )
    parts += ["## Heights by slice thickness\n\n", _by_thickness(done), "\n\n"]
    if shared:
        parts += ["## Simulated scans of `../shared/data`\n\n", table(shared), "\n\n"]
    return "".join([*parts, "## What failed\n\n", _failures([*done, *shared]), "\n"])


def _by_thickness(done: Sequence[Outcome]) -> str:
    rows = [row for one in done for row in one.rows]
    lines = [
        "| slices | patients | mean error | 95th percentile | mean of anterior, middle, posterior with sign "
        "| Genant 2 and 3 found | Genant 1 found | false for each patient |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for step in sorted({row.slice_mm for row in rows}):
        group = [row for row in rows if row.slice_mm == step]
        errors = _heights(group)
        stated = [row.heights_mm for row in group if np.isfinite(row.heights_mm).all()]
        signed = np.mean(stated, axis=0) if stated else np.full(3, np.nan)
        lines.append(
            f"| {step:g} mm | {len({row.case for row in group})} | {_mean(errors):.2f} mm "
            f"| {_percentile(errors, 95):.2f} mm | {', '.join(f'{value:+.2f}' for value in signed)} mm "
            f"| {_severe(group)} | {_mild(group)} | {_false(group)} |"
        )
    return "\n".join(lines)


def _read_as(row: Row) -> str:
    return f"missed, read as {row.loss:.0f} %" if np.isfinite(row.loss) else "not judged"


def _failures(done: Sequence[Outcome]) -> str:
    """A line for each fracture missed, false candidate, wrong density and body far off."""
    lines = []
    for row in (row for one in done for row in one.rows):
        said = []
        if row.level in NORMS and row.true_grade >= 2 and not row.grade:
            said.append(f"Genant {row.true_grade} ({100 * row.true_loss:.0f} %) {_read_as(row)}")
        if row.level in NORMS and not row.true_loss and row.grade:
            said.append(f"false {row.type} of {row.loss:.0f} %, confidence {row.confidence:.2f}")
        if row.exclusion is None and row.level in TARGETS and abs(row.vbmd) > 3.0:
            said.append(f"density {row.vbmd:+.1f} mg/cm³ off" + (f" ({row.sick})" if row.sick else ""))
        if row.sick is None and row.exclusion and row.level in TARGETS:
            said.append(f"left out as {row.exclusion} though sound")
        if row.dice < 0.8:
            said.append(f"Dice {row.dice:.2f}")
        if said:
            lines.append(f"- {row.case}, {row.slice_mm:g} mm, {row.level}: {'; '.join(said)}")
    lines += [f"- {one.name}: {one.refusal}" for one in done if one.refusal]
    return "\n".join(lines) or "Nothing of what is counted here."


def run(job: tuple[str | int, bool]) -> Outcome:
    """Measure one case by number, or by the name of a simulated scan."""
    which, rough = job
    case = simulated(which) if isinstance(which, str) else synthetic(which)
    whole = sum(known.whole for known in case.vertebrae)
    seeds = rough_seeds(case, np.random.default_rng(whole)) if rough else None
    try:
        rows, seconds = measure(case, seeds)
    except StudyRefused as refused:
        return Outcome(case.name, [], whole, 0.0, refused.reason, case.note)
    return Outcome(case.name, rows, whole, seconds, None, case.note)


def _outcomes(jobs: Sequence[tuple[str | int, bool]], processes: int) -> Iterator[Outcome]:
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
    broken = [f"{row.level}:{row.true_grade}->{row.grade}" for row in _reviewed(rows) if row.true_grade or row.grade]
    return (
        f"{outcome.name:18s} {len(rows):2d}/{outcome.whole:2d}  Dice {np.mean([row.dice for row in rows]):.3f} "
        f"(min {min(row.dice for row in rows):.3f})  heights {_percentile(_heights(rows), 50):.2f} "
        f"p95 {_percentile(_heights(rows), 95):.2f} mm  {outcome.seconds:.1f} s  {' '.join(broken)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=160)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--only", nargs="*", default=SIMULATED)
    parser.add_argument("--rough", action="store_true")
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
    for outcome in _outcomes([(one, arguments.rough) for one in which], arguments.jobs):
        done.append(outcome)
        print(_line(outcome), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(one) for one in done]))
    print(table(done))


if __name__ == "__main__":
    main()
