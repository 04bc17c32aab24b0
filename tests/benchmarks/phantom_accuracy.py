"""How surely a calibration phantom is found, named and read, over random scans, and how often a scan is refused.

    python -m tests.benchmarks.phantom_accuracy [--cases 240] [--first 1000] [--jobs 2] [--markdown FILE]

Each scan (``phantom_cases.case``) shows a trunk of 60 to 280 mm with one of the shipped phantoms, with none, or with
one that a physicist would not use, and other things on the couch. The error of rods is that of the mean over the rod.
The error of vBMD is that of the calibration alone: true 50, 100 and 150 mg/cm³ are turned into HU by the true line at
the height of a vertebra and back by the line that was fitted there.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from node.domain.phantom import PhantomFit
from node.domain.settings import CalibrationLimits
from node.errors import StudyRefused
from node.imaging import body, calibration, phantom
from tests.benchmarks.phantom_cases import Case, case, decoys
from tests.imaging.phantom.scenes import Scene, build

DENSITIES = (50.0, 100.0, 150.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one scan."""

    case: Case
    found: str | None
    refusal: str | None
    message: str
    confidence: float
    rod_errors_hu: tuple[float, ...]
    rod_errors_mm: tuple[float, ...]
    vbmd_errors: tuple[float, ...]
    in_patient_percent: float
    """Of the phantom's voxels that were taken for the patient."""

    @property
    def accepted(self) -> bool:
        """Whether there is a calibration."""
        return self.refusal is None

    @property
    def wrong(self) -> bool:
        """Whether a phantom was found that is not there."""
        return self.found is not None and self.found not in _lying(self.case)

    @property
    def lax(self) -> bool:
        """Whether a scan was calibrated that a physicist would refuse."""
        return self.accepted and self.case.expected is None

    @property
    def needless(self) -> bool:
        """Whether a scan was refused that a physicist would use."""
        return not self.accepted and self.case.expected is not None and not self.case.may_refuse


def _lying(one: Case) -> tuple[str, ...]:
    """Ids of the phantoms in the scan, the one that is to be found first."""
    below = (one.recipe.below[0].id,) if one.recipe.below else ()
    return (one.recipe.phantom.id, *below) if one.recipe.phantom else ()


def scene_of(one: Case) -> Scene:
    """Draw a case."""
    recipe = one.recipe if one.recipe.phantom else decoys(one.recipe, np.random.default_rng([one.number, 34]))
    return build(recipe)


def measure(number: int) -> Outcome:
    """Find, name, read and calibrate one scan."""
    one = case(number)
    scene = scene_of(one)
    found: PhantomFit | None = None
    refusal, message = None, ""
    errors: tuple[float, ...] = ()
    seen = body.separate(scene.volume, one.position)
    try:
        found = phantom.find(scene.volume, seen, one.configured, CalibrationLimits(), one.kvp)
        calibration.fit(found, CalibrationLimits(), kvp=one.kvp)
        errors = _vbmd_errors(scene, found, one)
    except StudyRefused as refused:
        refusal, message = refused.reason, refused.message
    true = found is not None and found.phantom.id in _lying(one)[:1]
    hu, mm = _rod_errors(scene, found, one) if true and found is not None else ((), ())
    return Outcome(
        one,
        found.phantom.id if found else None,
        refusal,
        found.evidence if found and not message else message,
        found.confidence if found else 0.0,
        hu,
        mm,
        errors,
        _in_patient(scene, seen),
    )


def _drift(scene: Scene, one: Case, z_mm: float) -> float:
    z = (scene.volume.index_kji((0.0, 0.0, z_mm))[0]) / max(scene.volume.hu.shape[0] - 1, 1)
    return one.recipe.scanner.drift_hu * (float(z) - 0.5)


def _rod_errors(scene: Scene, found: PhantomFit, one: Case) -> tuple[tuple[float, ...], tuple[float, ...]]:
    hu, mm = [], []
    for index, (reading, true) in enumerate(zip(found.rods, scene.rod_hu, strict=False)):
        z = reading.slice_centres_lps_mm[:, 2]
        hu.append(reading.hu_mean - true - _drift(scene, one, float(z.mean())))
        centres = reading.slice_centres_lps_mm
        true_centres = np.array([scene.rod_lps_mm(index, float(height)) for height in centres[:, 2]])
        mm.append(float(np.linalg.norm(centres - true_centres, axis=1).max()))
    return tuple(hu), tuple(mm)


def _vbmd_errors(scene: Scene, found: PhantomFit, one: Case) -> tuple[float, ...]:
    """At a height where a vertebra would lie: somewhere in the middle half of what was read."""
    z = found.rods[0].slice_centres_lps_mm[:, 2]
    level = float(np.quantile(z, np.random.default_rng([one.number, 35]).uniform(0.25, 0.75)))
    line = calibration.fit(found, CalibrationLimits(), level, kvp=one.kvp)
    beta = scene.beta_ct + _drift(scene, one, level)
    return tuple(line.density_mg_cm3(scene.sigma_ct * density + beta) - density for density in DENSITIES)


def _in_patient(scene: Scene, seen: body.Scene) -> float:
    if not scene.slab.any():
        return 0.0
    factors = [round(c / v) for c, v in zip(seen.coarse.spacing_mm, scene.volume.spacing_mm, strict=True)]
    index = np.argwhere(scene.slab)[::7] // factors
    index = index[(index < seen.patient.shape).all(axis=1)]
    return 100.0 * float(seen.patient[tuple(index.T)].mean())


def table(outcomes: Sequence[Outcome]) -> str:
    """The summary in Markdown."""
    there = [one for one in outcomes if one.case.expected is not None and not one.case.may_refuse]
    accepted = [one for one in outcomes if one.accepted]
    right = [one for one in accepted if one.vbmd_errors and not one.wrong]
    hu = np.array([error for one in right for error in one.rod_errors_hu])
    mm = np.array([error for one in right for error in one.rod_errors_mm])
    off = f"{np.median(mm):.2f} / {np.percentile(mm, 95):.2f} mm"
    worst = np.array([max(abs(error) for error in one.vbmd_errors) for one in right])
    inside = [one.in_patient_percent for one in outcomes if one.case.recipe.phantom]
    lines = [
        "| | |",
        "|---|---|",
        f"| scans | {len(outcomes)} |",
        f"| with a phantom that a physicist would use | {len(there)} |",
        f"| of these found, named and calibrated | {sum(one.accepted and not one.wrong for one in there)} |",
        f"| wrong identifications | {sum(one.wrong for one in outcomes)} |",
        f"| calibrated although a physicist would refuse | {sum(one.lax for one in outcomes)} |",
        f"| refused although a physicist would not | {sum(one.needless for one in outcomes)} |",
        f"| rod HU, mean error | {hu.mean():+.2f} HU |",
        f"| rod HU, 95 % within | {np.percentile(np.abs(hu), 95):.1f} HU |",
        f"| rod position in its worst slice, median / 95 % within | {off} |",
        f"| vBMD from calibration alone (worst of 50, 100, 150), median | {np.median(worst):.2f} mg/cm³ |",
        f"| 95 % within | {np.percentile(worst, 95):.2f} mg/cm³ |",
        f"| within 1.5 mg/cm³ | {100 * np.mean(worst < 1.5):.1f} % |",
        f"| phantom voxels taken for the patient, mean / largest | {np.mean(inside):.2f} / {max(inside):.1f} % |",
    ]
    return "\n".join(lines) + "\n\n" + _by_kind(outcomes) + "\n\n" + _refusals(outcomes)


def _by_kind(outcomes: Sequence[Outcome]) -> str:
    groups: dict[str, list[Outcome]] = {}
    for one in outcomes:
        model = one.case.recipe.phantom
        groups.setdefault(one.case.kind if one.case.kind != "plain" or model is None else model.model, []).append(one)
        for fault in one.case.faults:
            groups.setdefault(f"with {fault}", []).append(one)
    lines = ["| scans | number | calibrated | refused | wrong |", "|---|---|---|---|---|"]
    for name, group in sorted(groups.items()):
        calibrated = sum(one.accepted for one in group)
        lines.append(
            f"| {name} | {len(group)} | {calibrated} | {len(group) - calibrated} | {sum(one.wrong for one in group)} |"
        )
    return "\n".join(lines)


def _refusals(outcomes: Sequence[Outcome]) -> str:
    kinds = [
        (one, "very noisy, short or alike" if one.case.may_refuse and one.case.expected else one.case.kind)
        for one in outcomes
    ]
    counted = Counter((one.refusal, kind, one.needless) for one, kind in kinds if one.refusal)
    lines = ["| refused as | of scans | number | a physicist |", "|---|---|---|---|"]
    for (reason, kind, needless), count in sorted(counted.items(), key=lambda pair: (pair[0][2], str(pair[0]))):
        lines.append(f"| {reason} | {kind} | {count} | {'would not' if needless else 'would too'} |")
    return "\n".join(lines)


def _line(one: Outcome) -> str:
    what = one.refusal or f"{one.found} {max(map(abs, one.vbmd_errors), default=float('nan')):.2f} mg/cm3"
    flags = [name for name in ("wrong", "lax", "needless") if getattr(one, name)]
    rods = f"rods {max(map(abs, one.rod_errors_hu), default=0):.1f} HU {max(one.rod_errors_mm, default=0):.1f} mm"
    inside = f"in patient {one.in_patient_percent:.1f} %" if one.in_patient_percent > 0.5 else ""
    lying = "+".join(_lying(one.case)) or "nothing"
    said = " ".join(flags).upper()
    return f"{one.case.number} {one.case.kind} [{lying}] {what}; {rods} {one.confidence:.2f} {inside} {said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=240)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--note", default="", help="what else must be said of this run")
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.cases)
    outcomes = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for one in pool.map(measure, numbers):
            outcomes.append(one)
            print(_line(one), flush=True)
    found = table(outcomes)
    print(found)
    if arguments.markdown:
        arguments.markdown.write_text(_page(found, arguments), encoding="utf-8")


def _page(found: str, arguments: argparse.Namespace) -> str:
    command = f"python -m tests.benchmarks.phantom_accuracy --cases {arguments.cases} --first {arguments.first}"
    note = f"{arguments.note}\n\n" if arguments.note else ""
    return f"# Phantoms: found, named, read\n\n{__doc__}\nMade by `{command}`.\n\n{note}{found}\n"


if __name__ == "__main__":
    main()
