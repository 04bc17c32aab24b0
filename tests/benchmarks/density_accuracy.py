"""How right the reported density is, and how often and why there is none, over random synthetic patients.

    python -m tests.benchmarks.density_accuracy [--cases 80] [--first 0]

Each case draws patient, variants, diseases, phantom and scan (``spine_cases.random_spec``) and is measured as the node
measures it, with all of the generator's phantoms configured. The truth of a level is its apparent density (contrast
medium included), in the units of the phantom that lies there.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from node import pipeline
from node.domain.instance import InstanceHeader
from node.domain.settings import MeasurementSettings
from node.errors import StudyRefused
from node.synthetic import phantoms, torso
from node.synthetic.truth import Truth
from tests.benchmarks.spine_cases import random_spec

SAME_VERTEBRA_MM = 9.0
CONFIGURED = (phantoms.MINDWAYS_5, phantoms.HA_3, phantoms.HA_4_POINT, phantoms.BMAS200)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case."""

    number: int
    refusal: str | None
    justified: bool
    """Whether there was nothing to be measured: no phantom, or neither L1 nor L2 whole and sound."""
    misnamed: bool
    wrong_phantom: bool
    error_mg_cm3: float
    expanded_uncertainty_mg_cm3: float


def measure(number: int) -> Outcome:
    """Measure one random case."""
    spec = random_spec(number)
    case = torso.make(spec)
    header = InstanceHeader("2.1", "2.2", "2.3", "2.4", "2.5", modality="CT", kvp=120.0, patient_position="HFS")
    try:
        found = pipeline.measure(case.volume(), header, CONFIGURED, MeasurementSettings())
    except StudyRefused as refused:
        return Outcome(number, refused.reason, not _measurable(case.truth), False, False, np.nan, np.nan)
    if found.refusal is not None or found.mean_vbmd_mg_cm3 is None:
        reason = found.refusal.reason if found.refusal else "none"
        return Outcome(number, reason, not _measurable(case.truth), False, False, np.nan, np.nan)
    centres = {v.level: v.frame.centre_lps_mm for v in found.vertebrae}
    known = [case.truth.levels[level] for level in found.mean_levels]
    away = [float(np.linalg.norm(centres[one.level] - one.centre_lps_mm)) for one in known]
    expected = float(np.mean([one.apparent_vbmd_mg_cm3 for one in known]))
    lying = case.truth.phantom.model.id if case.truth.phantom else None
    return Outcome(
        number,
        None,
        True,
        max(away) > SAME_VERTEBRA_MM,
        found.phantom is None or found.phantom.phantom.id != lying,
        found.mean_vbmd_mg_cm3 - expected,
        found.mean_expanded_uncertainty_mg_cm3 or np.nan,
    )


def _measurable(truth: Truth) -> bool:
    if truth.phantom is None:
        return False
    targets = (truth.levels[level] for level in ("L1", "L2"))
    return any(t.visible == "full" and t.genant_grade == 0 and not (t.metal or t.cement or t.lesion) for t in targets)


def table(outcomes: Sequence[Outcome]) -> str:
    """The summary in Markdown."""
    measured = [one for one in outcomes if one.refusal is None]
    right = [one for one in measured if not one.misnamed]
    error = np.abs([one.error_mg_cm3 for one in right])
    covered = [abs(one.error_mg_cm3) <= one.expanded_uncertainty_mg_cm3 for one in right]
    refused = Counter((one.refusal, one.justified) for one in outcomes if one.refusal is not None)
    lines = [
        "| | |",
        "|---|---|",
        f"| cases | {len(outcomes)} |",
        f"| measured | {len(measured)} |",
        f"| of these with a wrong level | {sum(one.misnamed for one in measured)} |",
        f"| of these with a wrong phantom | {sum(one.wrong_phantom for one in measured)} |",
        f"| error of the mean where the levels are right, median | {np.median(error):.1f} mg/cm³ |",
        f"| error of the mean, 95th percentile | {np.percentile(error, 95):.1f} mg/cm³ |",
        f"| error of the mean, largest | {error.max():.1f} mg/cm³ |",
        f"| mean signed error | {np.mean([one.error_mg_cm3 for one in right]):+.2f} mg/cm³ |",
        f"| within 3 / 5 mg/cm³ | {100 * np.mean(error <= 3):.0f} % / {100 * np.mean(error <= 5):.0f} % |",
        f"| inside the stated interval (k = 2) | {100 * np.mean(covered):.0f} % |",
    ]
    for (reason, justified), count in sorted(refused.items(), key=lambda pair: (pair[0][1], -pair[1])):
        kind = "nothing to measure" if justified else "could have been measured"
        lines.append(f"| refused: {reason} ({kind}) | {count} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=80)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.cases)
    outcomes = []
    with ProcessPoolExecutor(2) as pool:
        for one in pool.map(measure, numbers):
            outcomes.append(one)
            print(
                one.number,
                one.refusal or f"{one.error_mg_cm3:+.1f} ± {one.expanded_uncertainty_mg_cm3:.1f}",
                "" if one.justified else "could have been measured",
                "WRONG LEVEL" if one.misnamed else "",
                "WRONG PHANTOM" if one.wrong_phantom else "",
                flush=True,
            )
    print(table(outcomes))


if __name__ == "__main__":
    main()
