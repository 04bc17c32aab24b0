"""Tables of what ``bodies_accuracy`` measured, and the page of the documentation that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from node.imaging.healthy_heights import NORMS
from tests.benchmarks.bodies_rows import Outcome, Row
from tests.benchmarks.fracture_tables import reliability, trade_off

THIN_MM = 3.0
ENOUGH = 150


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
  error above a twelfth of their length are not stated, unless they make a candidate. A fracture there is then not
  judged; the tables count it as not found. A candidate is one however large the errors of its heights are, which then
  are stated too.

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


def percentile(values: NDArray[np.float64], part: float) -> float:
    """Not a number where there is none (heights that are nowhere stated)."""
    return float(np.percentile(values, part)) if len(values) else float("nan")


def mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def absolute(values: Iterable[float]) -> NDArray[np.float64]:
    out = np.abs(np.array(list(values), dtype=np.float64))
    return out[np.isfinite(out)]


def heights(rows: Sequence[Row]) -> NDArray[np.float64]:
    return absolute(error for row in rows for error in row.heights_mm)


def _centres(rows: Sequence[Row]) -> NDArray[np.float64]:
    return absolute(row.centre_mm for row in rows)


def reviewed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.level in NORMS]


def _severe(rows: Sequence[Row]) -> str:
    severe = [row for row in reviewed(rows) if row.true_grade >= 2]
    return f"{sum(row.grade >= 1 for row in severe)} of {len(severe)}"


def _false(rows: Sequence[Row]) -> str:
    false = sum(row.grade >= 1 and row.true_loss == 0.0 for row in reviewed(rows))
    return f"{false / len({row.case for row in rows}):.3f}"


def _same_grade(rows: Sequence[Row]) -> str:
    broken = [row for row in reviewed(rows) if row.true_grade >= 1]
    return f"{sum(row.grade == row.true_grade for row in broken)} of {len(broken)}"


def _mild(rows: Sequence[Row]) -> str:
    mild = [row for row in reviewed(rows) if row.true_grade == 1]
    return f"{sum(row.grade >= 1 for row in mild)} of {len(mild)}"


def _read(rows: Sequence[Row]) -> list[Row]:
    """Sound vertebrae from T11 to L4 whose density is stated."""
    return [row for row in rows if row.exclusion is None and row.sick is None and row.level in TARGETS]


def _density(rows: Sequence[Row]) -> str:
    return f"{percentile(absolute(row.vbmd for row in _read(rows)), 50):.2f} mg/cm³"


def _within(rows: Sequence[Row]) -> str:
    return f"{100.0 * np.mean(absolute(row.vbmd for row in _read(rows)) <= 3.0):.1f} %"


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
    ("centroid error, 95th percentile", "3 mm", lambda rows: f"{percentile(_centres(rows), 95):.2f} mm"),
    ("heights stated", "", lambda rows: f"{100.0 * np.mean([np.isfinite(row.heights_mm[0]) for row in rows]):.0f} %"),
    ("heights error, median", "1.0 mm", lambda rows: f"{percentile(heights(rows), 50):.2f} mm"),
    ("heights error, mean", "1.0 mm", lambda rows: f"{mean(heights(rows)):.2f} mm"),
    ("heights error, 95th percentile", "2 mm", lambda rows: f"{percentile(heights(rows), 95):.2f} mm"),
    ("Genant 2 and 3 found", "0.95", _severe),
    ("Genant 1 found", "", _mild),
    ("same grade, of all fractures", "", _same_grade),
    ("false candidates per patient", "0.1", _false),
    ("density error, median", "", _density),
    ("density within 3 mg/cm³", "95 %", _within),
    ("density within its own interval (k = 2)", "", _covered),
    ("sick vertebrae excluded", "", _sick_excluded),
    ("sound vertebrae excluded", "", _sound_excluded),
)  # fmt: skip


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
    parts += [_candidates([row for one in done for row in one.rows])]
    if shared:
        parts += ["## Simulated scans of `../shared/data`\n\n", table(shared), "\n\n"]
    return "".join([*parts, "## What failed\n\n", _failures([*done, *shared]), "\n"])


def _candidates(rows: Sequence[Row]) -> str:
    """Sections on what is called a candidate, in thin and in thick slices."""
    groups = (
        ("slices to 3 mm", [row for row in rows if row.slice_mm <= THIN_MM]),
        ("slices of 5 mm", [row for row in rows if row.slice_mm > THIN_MM]),
    )
    parts = [
        "## Candidates by the probability asked for\n\n`fractures.candidate_from` is that probability. Vertebrae whose "
        "heights are not stated count as not found at any.\n\n"
    ]
    for name, group in groups:
        if group:
            parts.append(f"In {name}:\n\n{trade_off(group)}\n\nand how far probabilities are kept:\n\n")
            parts.append(f"{reliability(group)}\n\n")
    return "".join(parts)


def _by_thickness(done: Sequence[Outcome]) -> str:
    rows = [row for one in done for row in one.rows]
    lines = [
        "| slices | patients | mean error | 95th percentile | mean of anterior, middle, posterior with sign "
        "| Genant 2 and 3 found | Genant 1 found | false for each patient |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for step in sorted({row.slice_mm for row in rows}):
        group = [row for row in rows if row.slice_mm == step]
        errors = heights(group)
        stated = [row.heights_mm for row in group if np.isfinite(row.heights_mm).all()]
        signed = np.mean(stated, axis=0) if stated else np.full(3, np.nan)
        lines.append(
            f"| {step:g} mm | {len({row.case for row in group})} | {mean(errors):.2f} mm "
            f"| {percentile(errors, 95):.2f} mm | {', '.join(f'{value:+.2f}' for value in signed)} mm "
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
