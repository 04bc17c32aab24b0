"""Does the expanded uncertainty (k = 2) cover the truth in 95 of 100 repeats?

    python -m tests.benchmarks.coverage [--repeats 40] [--jobs 2] [--write docs/coverage.md]

A trunk from T12 to L3 with a phantom is rendered once for each setting, free of noise. Each repeat adds new noise with
the kernel's own texture, finds and reads the rods, places the VOIs and takes their densities, as the node does. What
the interval claims besides noise is drawn anew in each repeat, with the standard deviations that ``[uncertainty]``
states:

- the VOI is moved along each axis of the vertebra (``placement_mm``);
- every rod is moved off its line (``rod_scatter_hu``);
- the density is changed by a part of itself and by a constant (``relative``, ``absolute_mg_cm3``).

The truth of a level is the mean density of its central region as the generator knows it. "Random part" is the same
without scatter and systematic parts, neither drawn nor claimed, and without a moved VOI, against the noise-free reading
of the same VOI: it tests the effective number of independent samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.phantom import Calibration, PhantomFit, PhantomModel
from node.domain.settings import CalibrationLimits, MeasurementSettings, UncertaintySettings
from node.domain.spine import Frame, Vertebra, Voi
from node.domain.volume import Mask, Volume
from node.imaging import body, calibration, density, phantom, voi, voi_error
from node.imaging.body import Scene
from node.synthetic import phantoms, scanner, torso
from node.synthetic.spec import Kernel, TorsoSpec
from node.synthetic.truth import SyntheticCase

LEVELS = ("L1", "L2")
STATED, NONE = UncertaintySettings(), UncertaintySettings(0.0, 0.0, rod_scatter_hu=0.0, placement_mm=0.0)
LAX = CalibrationLimits(0.9, 50.0, 100.0, 1000.0, 0.1, 10.0)
"""Nothing is refused: refusing the worst repeats would flatter the rest."""


@dataclass(frozen=True)
class Setting:
    """One scan protocol and patient."""

    name: str
    phantom: PhantomModel
    kernel: Kernel
    noise_hu: float
    vbmd_mg_cm3: float
    slice_mm: float = 2.0
    bmi: float = 25.0


SETTINGS = (
    Setting("five K2HPO4 rods, standard kernel", phantoms.MINDWAYS_5, "standard", 15.0, 110.0),
    Setting("the same, much noise", phantoms.MINDWAYS_5, "standard", 45.0, 80.0),
    Setting("five K2HPO4 rods, sharp kernel", phantoms.MINDWAYS_5, "sharp", 80.0, 120.0),
    Setting("four-point HA slab, thin slices", phantoms.HA_4_POINT, "standard", 35.0, 90.0, 1.25),
    Setting("four-point HA slab, smooth kernel", phantoms.HA_4_POINT, "smooth", 12.0, 60.0, 3.0),
    Setting("five HA rods, obese patient", phantoms.BMAS200, "standard", 30.0, 100.0, 2.0, 38.0),
    Setting("five HA rods, sharp kernel", phantoms.BMAS200, "sharp", 60.0, 150.0),
    Setting("three HA rods, standard kernel", phantoms.HA_3, "standard", 25.0, 70.0),
)


@dataclass(frozen=True)
class Repeat:
    """One vBMD against what it should be: of L1, of L2, or of their mean."""

    setting: str
    what: str
    error: float
    expanded: float
    random_error: float
    random_expanded: float


def repeats(setting: Setting, first: int, count: int) -> list[Repeat]:
    """Measure one setting ``count`` times."""
    case = torso.make(_spec(setting))
    clean, scene = case.volume(), body.separate(case.volume(), "HFS")
    vertebrae = {level: _vertebra(case, level) for level in LEVELS}
    still = _read(clean, scene, setting, vertebrae)
    found: list[Repeat] = []
    for number in range(first, first + count):
        rng = np.random.default_rng([number, SETTINGS.index(setting)])
        noisy = _with_noise(case, setting, number)
        fit = phantom.find(noisy, scene, (setting.phantom,))
        moved = {level: _moved(v, clean, rng) for level, v in vertebrae.items()}
        there = _vois(noisy, fit, vertebrae)
        random = [(there[level], _line(fit, there[level], NONE)) for level in LEVELS]
        away = _vois(noisy, fit, moved)
        shaken = _shaken(fit, rng)
        full = [(away[level], _line(shaken, away[level], STATED)) for level in LEVELS]
        factor, constant = 1 + STATED.relative * rng.standard_normal(), STATED.absolute_mg_cm3 * rng.standard_normal()
        found += _compared(setting, case, full, random, still, factor, constant)
    return found


def _compared(
    setting: Setting,
    case: SyntheticCase,
    full: list[tuple[Voi, Calibration]],
    random: list[tuple[Voi, Calibration]],
    still: dict[str, float],
    factor: float,
    constant: float,
) -> Iterator[Repeat]:
    known = {level: case.truth.levels[level].apparent_vbmd_mg_cm3 for level in LEVELS}
    for n, level in enumerate(LEVELS):
        value, expanded = density.mean([full[n]], STATED)
        alone, narrow = density.mean([random[n]], NONE)
        yield Repeat(
            setting.name, level, value * factor + constant - known[level], expanded, alone - still[level], narrow
        )
    value, expanded = density.mean(full, STATED)
    alone, narrow = density.mean(random, NONE)
    error = value * factor + constant - float(np.mean(list(known.values())))
    yield Repeat(setting.name, "mean", error, expanded, alone - float(np.mean(list(still.values()))), narrow)


def _spec(setting: Setting) -> TorsoSpec:
    return TorsoSpec(
        seed=11,
        vbmd_mg_cm3=setting.vbmd_mg_cm3,
        bmi=setting.bmi,
        phantom=setting.phantom,
        kernel=setting.kernel,
        noise_hu=0.0,
        matrix=400,
        fov_mm=440.0,
        spacing_mm=setting.slice_mm,
        thickness_mm=setting.slice_mm,
        top=("T12", 20.0),
        bottom=("L3", -20.0),
    )


def _vertebra(case: SyntheticCase, level: str) -> Vertebra:
    """The true body, as if it had been delineated."""
    known = case.truth.levels[level]
    axes = (np.array(axis) for axis in (known.left, known.posterior, known.superior))
    frame = Frame(np.array(known.centre_lps_mm), *axes)
    return Vertebra(level, 1.0, True, frame, Mask.of(case.labels == known.label), None, None)


def _moved(vertebra: Vertebra, volume: Volume, rng: np.random.Generator) -> Vertebra:
    """The body moved along its own axes, and the VOI with it."""
    frame = vertebra.frame
    by = sum(
        STATED.placement_mm * rng.standard_normal() * axis for axis in (frame.left, frame.posterior, frame.superior)
    )
    steps = np.linalg.inv(volume.affine_lps_mm[:3, :3]) @ by
    margin = 4
    padded = np.pad(vertebra.body.voxels.astype(np.float32), margin)
    voxels = ndimage.shift(padded, steps, order=1) >= 0.5
    k, j, i = (start - margin for start in vertebra.body.origin_kji)
    return replace(vertebra, body=Mask((k, j, i), voxels), frame=replace(frame, centre_lps_mm=frame.centre_lps_mm + by))


def _with_noise(case: SyntheticCase, setting: Setting, number: int) -> Volume:
    spec = replace(case.spec, seed=1000 * (1 + SETTINGS.index(setting)) + number, noise_hu=setting.noise_hu)
    noise = scanner.Noise(spec, spec.fov_mm / spec.matrix)
    volume = case.volume()
    hu = np.empty_like(volume.hu)
    for k, plane in enumerate(volume.hu):
        there = plane > -2000
        noisy = np.where(there, plane, -1000) + noise.slice(k, np.where(there, plane, -1000).astype(np.float32))
        hu[k] = np.where(there, np.clip(np.rint(noisy), -1024, 3071), plane)
    return Volume(hu, volume.affine_lps_mm.copy(), volume.frame_of_reference_uid, volume.sources)


def _vois(volume: Volume, fit: PhantomFit, vertebrae: dict[str, Vertebra]) -> dict[str, Voi]:
    known = voi_error.reference(volume, fit)
    shape = MeasurementSettings().voi
    return {level: voi.sample(volume, vertebra, shape, known) for level, vertebra in vertebrae.items()}


def _line(fit: PhantomFit, read: Voi, uncertainty: UncertaintySettings) -> Calibration:
    return calibration.fit(fit, LAX, read.centre_lps_mm[2], uncertainty=uncertainty)


def _read(clean: Volume, scene: Scene, setting: Setting, vertebrae: dict[str, Vertebra]) -> dict[str, float]:
    """What the same VOIs read without noise."""
    fit = phantom.find(clean, scene, (setting.phantom,))
    vois = _vois(clean, fit, vertebrae)
    return {level: _line(fit, vois[level], NONE).density_mg_cm3(vois[level].hu_mean) for level in LEVELS}


def _shaken(fit: PhantomFit, rng: np.random.Generator) -> PhantomFit:
    """Rods off their line by what is stated."""
    rods = []
    for reading in fit.rods:
        by = STATED.rod_scatter_hu * rng.standard_normal()
        rods.append(replace(reading, hu_mean=reading.hu_mean + by, slice_hu_mean=reading.slice_hu_mean + by))
    return replace(fit, rods=tuple(rods))


def table(found: Sequence[Repeat]) -> str:
    """Markdown: a row for each setting, and one for all."""
    lines = [
        "| setting | vBMD values | covered by U (k = 2) | covered, means only | mean U | SD of error | bias | "
        "covered, random part | its mean U |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = list(dict.fromkeys(one.setting for one in found))
    for name in [*names, None]:
        rows = [one for one in found if name is None or one.setting == name]
        means = [one for one in rows if one.what == "mean"]
        inside = _covered([one.error for one in rows], [one.expanded for one in rows])
        of_means = _covered([one.error for one in means], [one.expanded for one in means])
        random = _covered([one.random_error for one in rows], [one.random_expanded for one in rows])
        errors = np.array([one.error for one in rows])
        lines.append(
            f"| {name or 'all'} | {len(rows)} | {inside:.1f} % | {of_means:.1f} % | "
            f"{np.mean([one.expanded for one in rows]):.2f} | {errors.std():.2f} | {errors.mean():+.2f} | "
            f"{random:.1f} % | {np.mean([one.random_expanded for one in rows]):.2f} |"
        )
    return "\n".join(lines) + "\n"


def _covered(errors: Sequence[float], expanded: Sequence[float]) -> float:
    inside: NDArray[np.bool_] = np.abs(np.array(errors)) <= np.array(expanded)
    return 100.0 * float(inside.mean())


def main() -> None:
    """Run and print the table; with ``--write`` put it between the marks of a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40, help="for each setting")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(repeats, one, 0, arguments.repeats) for one in SETTINGS]
        found = [row for run in runs for row in run.result()]
    text = table(found)
    print(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        before, rest = page.split("<!-- table -->\n", 1)
        _, after = rest.split("<!-- end -->", 1)
        arguments.write.write_text(f"{before}<!-- table -->\n{text}<!-- end -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
