"""Scans with known vertebral bodies for ``bodies_accuracy``: random synthetic patients and the development CT."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from node.dicom import read, scan
from node.domain.spine import LEVELS, Frame, LevelAssignment, SpineMap, VertebraSeed
from node.domain.volume import Volume
from node.synthetic.spec import Fracture, Lesion, TorsoSpec
from node.synthetic.torso import make
from node.synthetic.truth import LevelTruth
from tests import shared_data
from tests.benchmarks.spine_cases import SIMULATED as SIMULATED
from tests.benchmarks.spine_cases import random_spec

Floats = NDArray[np.float64]

HU_PER_MG = 1.4226
"""Of the generator at 120 kV, and where a simulated case has no phantom."""
FIRST_SEED = 20_000
OLDEST_CHILD, OFTEN_THICK = 15, 0.3
MOST_SLICES, VERTEBRA_AND_DISC_MM, SPACINGS_MM = 360, 30.0, (0.8, 1.0, 1.25, 2.0, 2.5, 3.0)
"""Thin slices come with short scans, so that a hundred and more patients take an hour and not a day."""


@dataclass(frozen=True)
class Known:
    """The truth about one vertebra; heights anterior, middle, posterior."""

    level: str
    label: int
    centre: Floats
    superior: Floats
    posterior: Floats
    width: float
    depth: float
    heights: Floats
    whole: bool
    hu: float
    hu_per_mg: float
    grade: int
    loss: float = 0.0
    sick: str | None = None
    """What stands against measuring its density: fracture, cement, metal, lesion."""


@dataclass(frozen=True)
class Case:
    """A scan with its true bodies (the labels of ``Known``)."""

    name: str
    volume: Volume
    labels: NDArray[np.uint8]
    vertebrae: tuple[Known, ...]
    slice_mm: float
    patient_position: str = "HFS"
    note: str = ""


# ------------------------------------------------------------------------------------------------ random patients


def random_patient(number: int) -> TorsoSpec:
    """A patient of ``spine_cases.random_spec`` with more diseases of the body, and children."""
    spec = random_spec(FIRST_SEED + number)
    draw = np.random.default_rng([FIRST_SEED, number])
    lumbar = ("T11", "T12", "L1", "L2", "L3", "L4")

    def some(chance: float, most: int = 2) -> tuple[str, ...]:
        if draw.random() >= chance:
            return ()
        return tuple(str(v) for v in draw.choice(lumbar, size=int(draw.integers(1, most + 1)), replace=False))

    kinds: tuple[Lesion, ...] = ("lytic", "sclerotic", "haemangioma", "diffuse-lytic", "diffuse-sclerotic")
    lesions = {name: kinds[int(draw.integers(len(kinds)))] for name in some(0.25)}
    fractures = dict(spec.fractures)
    if draw.random() < 0.35:
        kind = ("wedge", "biconcave", "crush")[int(draw.integers(3))]
        where = ("T6", "T8", "T12", "L1", "L2", "L3", "L4")[int(draw.integers(7))]
        fractures[where] = Fracture(kind, float(draw.uniform(0.2, 0.6)))  # type: ignore[arg-type]
    old = spec.age_years > 65
    matrix, field_of_view = ((288, 300.0), (320, 320.0), (288, 280.0))[int(draw.integers(3))]
    spacing = _affordable(spec)
    spec = replace(
        spec,
        seed=FIRST_SEED + number,
        fractures={name: one for name, one in fractures.items() if name not in spec.cement},
        lesions={name: kind for name, kind in lesions.items() if name not in fractures and name not in spec.cement},
        schmorl=some(0.15, 3),
        bridges=some(0.2 if old else 0.05, 4),
        cortex=float(draw.uniform(0.55, 1.0) if old else draw.uniform(0.8, 1.3)),
        phantom=None,
        matrix=matrix,
        fov_mm=field_of_view,
        spacing_mm=spacing,
        thickness_mm=spacing,
    )
    if draw.random() < 0.06:
        spec = replace(spec, age_years=int(draw.integers(7, 15)), height_cm=float(draw.uniform(118, 160)), bmi=17.0)
        spec = replace(spec, fractures={}, vbmd_mg_cm3=float(draw.uniform(130, 200)), degeneration=0.0)
    return spec


def _affordable(spec: TorsoSpec) -> float:
    """The slice spacing that was drawn, or a wider one where the scan would have more than ``MOST_SLICES``."""
    names = LEVELS.index(spec.top[0]), LEVELS.index("L5" if spec.bottom[0].startswith("S") else spec.bottom[0])
    length = VERTEBRA_AND_DISC_MM * (names[1] - names[0] + 1)
    return next(step for step in (*SPACINGS_MM, 5.0) if step >= min(max(spec.spacing_mm, length / MOST_SLICES), 5.0))


def broken_patient(number: int) -> TorsoSpec:
    """The random patient of that number with fractures in any case (children excepted), and more often 5 mm slices."""
    spec = random_patient(number)
    draw = np.random.default_rng([FIRST_SEED, number, 1])
    if not spec.fractures and spec.age_years > OLDEST_CHILD:
        where = ("T6", "T7", "T8", "T11", "T12", "L1", "L2", "L3", "L4")
        some = draw.choice(where, size=int(draw.integers(1, 4)), replace=False)
        kinds: tuple[Literal["wedge", "biconcave", "crush"], ...] = ("wedge", "biconcave", "crush")
        fractures = {str(v): Fracture(kinds[int(draw.integers(3))], float(draw.uniform(0.2, 0.6))) for v in some}
        sick = {*spec.cement, *spec.lesions}
        spec = replace(spec, fractures={name: one for name, one in fractures.items() if name not in sick})
    if draw.random() < OFTEN_THICK:
        spec = replace(spec, spacing_mm=5.0, thickness_mm=5.0)
    return spec


def synthetic(number: int, *, broken: bool = False) -> Case:
    """The random patient of that number; with ``broken`` one with fractures."""
    spec = broken_patient(number) if broken else random_patient(number)
    return of_spec(f"{'broken' if broken else 'random'} {number}", spec)


def of_spec(name: str, spec: TorsoSpec) -> Case:
    """The project's own torso with what is known about it."""
    made = make(spec)
    known = [
        _generated(one, one.level in spec.fractures)
        for one in made.truth.levels.values()
        if one.visible != "none" and one.level.startswith(("C", "T", "L"))
    ]
    changed = {
        f: getattr(spec, f) for f in TorsoSpec.__dataclass_fields__ if getattr(spec, f) != getattr(TorsoSpec(), f)
    }
    return Case(
        name,
        made.volume(),
        made.labels,
        tuple(known),
        max(spec.thickness_mm, spec.spacing_mm),
        spec.patient_position,
        str(changed),
    )


def _generated(one: LevelTruth, broken: bool) -> Known:
    reasons = (("metal", one.metal), ("cement", one.cement), ("fracture", broken), ("lesion", one.lesion is not None))
    sick = next((reason for reason, so in reasons if so), None)
    return Known(
        one.level,
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
        one.height_loss,
        one.lesion if sick == "lesion" else sick,
    )


# ------------------------------------------------------------------------------------------------ development CT


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
    header = series.instances[0].header
    return Case(name, volume, labels, tuple(known), volume.spacing_mm[0], header.patient_position or "HFS")


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
    grade = int(values["genant_grade"])
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
        grade,
        (0.0, 0.22, 0.3, 0.5)[grade],
        "fracture" if grade else None,
    )


# ------------------------------------------------------------------------------------------------ rough seeds


def rough_seeds(case: Case, rng: np.random.Generator) -> SpineMap:
    """The true vertebrae, displaced as a rough locator might: up to 4 mm and 10 degrees, sizes up to 12 % off."""
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
