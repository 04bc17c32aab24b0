"""How well bodies, heights, deformities and densities are measured from rough seeds, against known truth.

    python -m tests.benchmarks.bodies_accuracy [--only NAME ...] [--rounds 1] [--detail]

The cases are the simulated scans of ``../shared/data`` (left out, by name, where absent) and the project's own torso.
Seeds are the true vertebrae, shifted by up to 4 mm and turned by up to 10 degrees, with sizes up to 12 % off; the
calibration is the true one, so that the density error is that of the VOI alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from node.dicom import read, scan
from node.domain.settings import VoiShape
from node.domain.spine import LEVELS, Frame, LevelAssignment, SpineMap, Vertebra, VertebraSeed
from node.domain.volume import Volume
from node.imaging.morphometry import deformities
from node.imaging.spine.bodies import delineate
from node.imaging.voi import sample
from node.synthetic.spec import Fracture, TorsoSpec
from node.synthetic.torso import make
from tests import shared_data

SIMULATED = (
    "abdomen_m50",
    "chest_f66",
    "cap_f74_fracture",
    "rolled_bmas",
    "scoliosis",
    "contrast",
    "chest_ends_T12",
    "abdomen_no_phantom",
)
HU_PER_MG = 1.4
"""Where a case has no phantom."""
TORSO = TorsoSpec(seed=31, matrix=256, spacing_mm=2.0, thickness_mm=2.0)
TORSOS = {
    "torso": TORSO,
    "torso-osteoporotic": replace(TORSO, seed=32, sex="F", age_years=80, height_cm=155.0, vbmd_mg_cm3=45.0),
    "torso-young": replace(TORSO, seed=33, age_years=25, vbmd_mg_cm3=210.0),
    "torso-noise-60": replace(TORSO, seed=34, noise_hu=60.0),
    "torso-sharp": replace(TORSO, seed=35, kernel="sharp"),
    "torso-3mm": replace(TORSO, seed=36, spacing_mm=3.0, thickness_mm=3.0),
    "torso-5mm": replace(TORSO, seed=36, spacing_mm=5.0, thickness_mm=5.0),
    "torso-1mm": replace(TORSO, seed=37, spacing_mm=1.0, thickness_mm=1.0, top=("T12", 22.0), bottom=("L4", -22.0)),
    "torso-arterial": replace(TORSO, seed=38, sex="F", vbmd_mg_cm3=60.0, contrast="arterial"),
    "torso-scoliosis": replace(TORSO, seed=39, scoliosis_cobb_deg=25.0),
    "torso-prone-rolled": replace(TORSO, seed=40, patient_position="HFP", roll_deg=10.0, yaw_deg=4.0),
    "torso-fractures": replace(
        TORSO,
        seed=41,
        sex="F",
        age_years=78,
        vbmd_mg_cm3=60.0,
        top=("T3", 20.0),
        fractures={
            "T7": Fracture("wedge", 0.3),
            "T12": Fracture("wedge", 0.45),
            "L2": Fracture("biconcave", 0.33),
            "L4": Fracture("crush", 0.35),
        },
    ),
    "torso-islands": replace(TORSO, seed=42, bone_islands=("L1", "L2", "L3")),
    "torso-chest-low-dose": replace(
        TORSO, seed=43, sex="F", age_years=66, height_cm=160.0, top=("T1", 30.0), bottom=("L2", -26.0), ctdi_mgy=1.2
    ),
}


@dataclass(frozen=True)
class Known:
    """The truth about one vertebra; heights anterior, middle, posterior."""

    level: str
    label: int
    centre: NDArray[np.float64]
    superior: NDArray[np.float64]
    posterior: NDArray[np.float64]
    width: float
    depth: float
    heights: NDArray[np.float64]
    whole: bool
    hu: float
    hu_per_mg: float
    grade: int


@dataclass(frozen=True)
class Case:
    """A scan with its true bodies (the labels of ``Known``)."""

    volume: Volume
    labels: NDArray[np.uint8]
    vertebrae: tuple[Known, ...]


@dataclass(frozen=True)
class Row:
    """What one vertebra came to."""

    level: str
    dice: float
    centre_mm: float
    heights_mm: NDArray[np.float64]
    """Errors; not a number where heights were withheld."""
    vbmd: float
    """Error in mg/cm³; not a number where the vertebra was excluded."""
    exclusion: str | None
    grade: int
    true_grade: int


def simulated(name: str) -> Case:
    """One of the shared simulated scans, as the node reads it."""
    folder, truth = shared_data.unpacked(name), shared_data.truth(name)
    with tempfile.TemporaryDirectory() as scratch:
        (series,), _ = scan.collect([folder / "dicom" / "S02"], Path(scratch))
        volume = read.volume(series)
    image = sitk.ReadImage(str(folder / "labels_vertebrae.mha"))
    labels = np.asarray(sitk.GetArrayFromImage(image))
    if labels.shape != volume.hu.shape or not np.allclose(volume.affine_lps_mm[:3, 3], image.GetOrigin(), atol=0.01):
        raise ValueError(f"labels of {name} do not lie on the grid of its volume")
    slope = _true_slope(truth)
    known = [_known(level, values, slope) for level, values in truth["levels"].items() if _usable(level, values)]
    return Case(volume, labels, tuple(known))


def _usable(level: str, values: dict[str, Any]) -> bool:
    return values["visible"] != "none" and level in LEVELS and values.get("heights_mm") is not None


def _true_slope(truth: dict[str, Any]) -> float:
    """HU per mg/cm³ of the phantom's material."""
    phantom = truth["phantom"]
    if not phantom.get("rods"):
        return HU_PER_MG
    if phantom["material"] == "K2HPO4":
        return float(truth["scanner"]["sigma_ct"])
    rods = phantom["rods"]
    return float(np.polyfit([rod["density"] for rod in rods], [rod["true_HU"] for rod in rods], 1)[0])


def _known(level: str, values: dict[str, Any], slope: float) -> Known:
    heights = np.array([values["heights_mm"][place] for place in ("ant", "mid", "post")])
    ends = {name: np.array(point) for name, point in values["landmarks_lps"].items()}
    front, back = (0.5 * (ends[f"{side}_sup"] + ends[f"{side}_inf"]) for side in ("ant", "post"))
    depth = float(np.linalg.norm(front - back)) + 2.0
    return Known(
        level,
        int(values["label"]),
        np.array(values["centroid_lps"]),
        np.array(values["axis_sup_lps"]),
        np.array(values["axis_post_lps"]),
        1.4 * depth,
        depth,
        heights,
        values["visible"] == "full",
        float(values["trabecular_HU_noise_free"]),
        slope,
        int(values["genant_grade"]),
    )


def torso(name: str, seed: int) -> Case:
    """The project's own torso."""
    case = make(replace(TORSOS[name], seed=TORSOS[name].seed + 100 * seed))
    known = [
        Known(
            level,
            one.label,
            np.array(one.centre_lps_mm),
            np.array(one.superior),
            np.array(one.posterior),
            one.width_mm,
            one.depth_mm,
            np.array([one.anterior_mm, one.middle_mm, one.posterior_mm]),
            one.visible == "full",
            one.trabecular_hu,
            HU_PER_MG,
            one.genant_grade,
        )
        for level, one in case.truth.levels.items()
        if one.visible != "none" and level.startswith(("C", "T", "L"))
    ]
    return Case(case.volume(), case.labels, tuple(known))


def seeds(case: Case, rng: np.random.Generator) -> SpineMap:
    """The true vertebrae, displaced as a rough locator might."""
    found = []
    for known in case.vertebrae:
        away = rng.standard_normal(3)
        away *= 4.0 * rng.random() ** (1 / 3) / np.linalg.norm(away)
        axis = rng.standard_normal(3)
        turn = Rotation.from_rotvec(axis * np.deg2rad(10.0) * rng.random() / np.linalg.norm(axis))
        superior, posterior = turn.apply(known.superior), turn.apply(known.posterior)
        frame = Frame(known.centre + away, np.cross(posterior, superior), posterior, superior)
        height = float(known.heights.max()) * rng.uniform(0.9, 1.1)
        width, depth = known.width * rng.uniform(0.88, 1.12), known.depth * rng.uniform(0.88, 1.12)
        found.append(VertebraSeed(known.level, 1.0, frame, height, width, depth, known.whole))
    return SpineMap(tuple(found), LevelAssignment((), "none", 0, 1.0), np.zeros((0, 3)))


def measure(case: Case, rng: np.random.Generator) -> tuple[list[Row], float]:
    """Delineate and measure all vertebrae; returns a row for each whole one, and the processor's seconds."""
    start = time.process_time()
    vertebrae = deformities(delineate(case.volume, seeds(case, rng)))
    vois = [sample(case.volume, vertebra, VoiShape()) for vertebra in vertebrae]
    seconds = time.process_time() - start
    rows = []
    for known, vertebra, voi in zip(case.vertebrae, vertebrae, vois, strict=True):
        if not known.whole:
            continue
        error = np.nan if voi.exclusion else (voi.hu_mean - known.hu) / known.hu_per_mg
        rows.append(
            Row(
                known.level,
                _dice(case, known, vertebra),
                float(np.linalg.norm(vertebra.frame.centre_lps_mm - known.centre)),
                _height_errors(known, vertebra),
                error,
                voi.exclusion,
                vertebra.deformity.genant_grade if vertebra.deformity else 0,
                known.grade,
            )
        )
    return rows, seconds


def _dice(case: Case, known: Known, vertebra: Vertebra) -> float:
    truth = case.labels == known.label
    shared = np.count_nonzero(truth[vertebra.body.slices_kji] & vertebra.body.voxels)
    return float(2.0 * shared / (np.count_nonzero(truth) + np.count_nonzero(vertebra.body.voxels)))


def _height_errors(known: Known, vertebra: Vertebra) -> NDArray[np.float64]:
    heights = vertebra.heights
    if heights is None:
        return np.full(3, np.nan)
    return np.array([heights.anterior_mm, heights.middle_mm, heights.posterior_mm]) - known.heights


def _line(name: str, rows: list[Row], seconds: float) -> str:
    dice = np.array([row.dice for row in rows])
    heights = np.abs([row.heights_mm for row in rows])
    vbmd = np.abs([row.vbmd for row in rows])
    seen = heights[np.isfinite(heights)]
    read_ = vbmd[np.isfinite(vbmd)]
    severe = [row for row in rows if row.true_grade >= 2]
    return (
        f"{name:22s}{len(rows):4d}{dice.mean():8.3f}{dice.min():7.3f}"
        f"{np.median([row.centre_mm for row in rows]):8.2f}"
        f"{np.median(seen):8.2f}{np.percentile(seen, 95):7.2f}"
        f"{np.median(read_):8.2f}{np.percentile(read_, 95):7.2f}{100 * np.mean(read_ <= 3.0):7.0f}%"
        f"{sum(row.grade >= 1 for row in severe):5d}/{len(severe)}"
        f"{sum(row.grade >= 1 and row.true_grade == 0 for row in rows):4d}{seconds:7.1f}"
    )


HEAD = (
    "                         n    Dice    min  centre   height mm      vBMD mg/cm³  ≤ 3  Genant ≥2 false  CPU\n"
    "                                              mm  median    p95  median    p95       found           s"
)


def cases(only: list[str], rounds: int) -> Iterator[tuple[str, int, Case]]:
    """All cases in turn; absent data are named and left out."""
    makers: dict[str, Callable[[int], Case]] = {name: lambda _, name=name: simulated(name) for name in SIMULATED}
    makers |= {name: lambda seed, name=name: torso(name, seed) for name in TORSOS}
    for name, maker in makers.items():
        if only and name not in only:
            continue
        for seed in range(rounds):
            try:
                yield name, seed, maker(seed)
            except pytest.skip.Exception as absent:
                print(f"{name:22s} left out: {absent}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--detail", action="store_true", help="print every vertebra that is far off")
    arguments = parser.parse_args()
    everything: list[Row] = []
    total = 0.0
    print(HEAD)
    for name, seed, case in cases(arguments.only, arguments.rounds):
        rows, seconds = measure(case, np.random.default_rng(seed))
        everything += rows
        total += seconds
        print(_line(name, rows, seconds), flush=True)
        if arguments.detail:
            for row in rows:
                if row.dice < 0.9 or np.nanmax(np.abs([*row.heights_mm, row.vbmd, 0.0])) > 3.0 or row.exclusion:
                    print("   ", row.level, f"{row.dice:.3f}", np.round(row.heights_mm, 1), round(row.vbmd, 1), row)
    if everything:
        print(_line("all", everything, total))


if __name__ == "__main__":
    main()
