"""Scans with known vertebrae for ``spine_accuracy``: random synthetic spines, development CT, worsened copies of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from node.dicom import read, scan
from node.domain.volume import SourceImage, Volume
from node.synthetic.phantoms import BMAS200, HA_3, HA_4_POINT, MINDWAYS_5
from node.synthetic.spec import Fracture, TorsoSpec
from node.synthetic.torso import make
from tests.benchmarks import spine_people
from tests.shared_data import truth, unpacked

Floats = NDArray[np.float64]
Option = TypeVar("Option")

SIMULATED = (
    "abdomen_m50",
    "chest_f66",
    "cap_f74_fracture",
    "abdomen_no_phantom",
    "rolled_bmas",
    "chest_ends_T12",
    "scoliosis",
    "contrast",
)
UNMEASURABLE = ("thorax_b", "slab_T11_T12_jpeg2000", "head_irregular_spacing")
"""Real CT without a whole L1 or L2, or with slices that do not make a stack."""
READ_BY_EYE = {
    "T12": (-16.0, 60.0, -528.0),
    "L1": (-14.5, 57.0, -561.0),
    "L2": (-14.0, 53.0, -595.0),
}
"""abdomen_a, ± 3 mm."""
RESEARCH_FILES = {"ct_3mm_with_labels": "example_ct.nii.gz", "crop_L3_with_labels": "sub-ct_label-22_ct.nii.gz"}
RESEARCH_LABELS = Path("spine_report") / "test_result" / "totalseg_vertebrae_pp_refined.nii.gz"
ABDOMEN_A = ("abdomen_a", "abdomen_a_with_simulated_phantom")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A scan and the body centres of the vertebrae that lie wholly in it."""

    name: str
    volume: Volume
    centres: Mapping[str, Floats]
    superior: Mapping[str, Floats]
    note: str = ""
    groups: tuple[str, ...] = ()
    cut: Mapping[str, Floats] = field(default_factory=dict)
    """Body centres of the vertebrae that the scan ends in."""


# ------------------------------------------------------------------------------------------------ synthetic


def random_spec(number: int) -> TorsoSpec:
    """A patient, his variants and diseases, and a scan, drawn from fixed odds; the same number, the same draw."""
    draw = np.random.default_rng(1000 + number)

    def one(*options: Option) -> Option:
        return options[int(draw.integers(len(options)))]

    sex = one("F", "M")
    spacing = one(0.8, 1.0, 1.25, 2.0, 2.5, 3.0, 5.0)
    top, bottom = one(
        (("T9", 16.0), ("S1", -25.0)),
        (("T9", 16.0), ("S1", -25.0)),
        (("T10", 5.0), ("L4", -10.0)),
        (("T1", 40.0), ("L2", -26.0)),
        (("T1", 40.0), ("L1", -20.0)),
        (("T2", 10.0), ("S2", -25.0)),
        (("T1", 60.0), ("S3", 0.0)),
        (("T11", 12.0), ("L4", 0.0)),
        (("T8", 0.0), ("S2", 0.0)),
    )
    ribs, sacrum = draw.random(), draw.random()
    broken = draw.choice(
        ["T7", "T8", "T11", "T12", "L1", "L2", "L3", "L4"], size=int(draw.integers(1, 4)), replace=False
    )
    fractures = {str(v): Fracture(one("wedge", "biconcave", "crush"), float(draw.uniform(0.2, 0.5))) for v in broken}
    return TorsoSpec(
        seed=5000 + number,
        sex=sex,
        age_years=int(draw.integers(22, 88)),
        height_cm=float(draw.normal(161 if sex == "F" else 174, 7)),
        bmi=float(np.clip(draw.normal(25, 5), 16, 42)),
        kyphosis_deg=float(np.clip(draw.normal(38, 12), 12, 75)),
        lordosis_deg=float(np.clip(draw.normal(48, 10), 20, 75)),
        scoliosis_cobb_deg=float(draw.uniform(8, 32)) if draw.random() < 0.25 else 0.0,
        scoliosis_apex=one("T9", "T12", "L1", "L2", "L3"),
        fractures=fractures if draw.random() < 0.3 else {},
        cement=(one("T12", "L1", "L2", "L3"),) if draw.random() < 0.08 else (),
        screws=one(("L4", "L5"), ("L3", "L4"), ("T11", "T12")) if draw.random() < 0.08 else (),
        bone_islands=(one("L1", "L2"),) if draw.random() < 0.1 else (),
        rib_pairs=11 if ribs < 0.06 else 13 if ribs < 0.08 else 12,
        last_rib_length_mm=float(draw.uniform(20, 70)) if draw.random() < 0.12 else None,
        lumbosacral="lumbarised-S1" if sacrum < 0.05 else "sacralised-L5" if sacrum < 0.12 else "normal",
        contrast=one("none", "none", "none", "portal", "arterial"),
        bowel_gas=float(draw.uniform(0, 2)),
        arms=one("raised", "raised", "down"),
        patient_position=one("HFS", "HFS", "HFS", "FFS", "HFP"),
        roll_deg=float(draw.normal(0, 6)),
        pitch_deg=float(draw.normal(0, 4)),
        yaw_deg=float(draw.normal(0, 3)),
        couch=one("curved", "cradle", "flat"),
        phantom=one(None, MINDWAYS_5, HA_3, HA_4_POINT, BMAS200),
        top=top,
        bottom=bottom,
        matrix=256,
        fov_mm=float(one(350.0, 400.0, 450.0, 500.0)),
        spacing_mm=spacing,
        thickness_mm=spacing,
        kernel=one("smooth", "standard", "sharp"),
        ctdi_mgy=float(one(1.0, 2.0, 5.0, 8.0, 12.0)),
    )


def synthetic(number: int) -> Case:
    """The random spine of that number."""
    spec = random_spec(number)
    note = (
        f"{spec.top[0]}-{spec.bottom[0]} {spec.spacing_mm} mm, {spec.rib_pairs} ribs, {spec.lumbosacral}, "
        f"Cobb {spec.scoliosis_cobb_deg:.0f}, {spec.contrast}, {spec.kernel}, {spec.ctdi_mgy:.0f} mGy, "
        f"broken {','.join(spec.fractures) or '-'}, last rib {spec.last_rib_length_mm or 'usual'}"
    )
    return _made(f"synthetic {number}", spec, note)


def varied(number: int) -> Case:
    """The person of that number in ``spine_people``."""
    spec = spine_people.person(number)
    return replace(_made(f"person {number}", spec, spine_people.described(spec)), groups=spine_people.groups(spec))


def _made(name: str, spec: TorsoSpec, note: str) -> Case:
    made = make(spec)
    levels = {level: known for level, known in made.truth.levels.items() if level[0] in "TL"}
    seen = {level: known for level, known in levels.items() if known.visible == "full"}
    return Case(
        name,
        made.volume(),
        {level: np.array(known.centre_lps_mm) for level, known in seen.items()},
        {level: np.array(known.superior) for level, known in seen.items()},
        note,
        cut={level: np.array(known.centre_lps_mm) for level, known in levels.items() if known.visible == "partial"},
    )


# ------------------------------------------------------------------------------------------------ development CT


def simulated(name: str) -> Case:
    """A simulated case of the development CT, its thinnest axial series."""
    levels = truth(name)["levels"]
    seen = {level: known for level, known in levels.items() if known["visible"] == "full" and level[0] in "TL"}
    return Case(
        name,
        dicom(name, "S02"),
        {level: np.array(known["centroid_lps"]) for level, known in seen.items()},
        {level: np.array(known["axis_sup_lps"]) for level, known in seen.items()},
        cut={v: np.array(k["centroid_lps"]) for v, k in levels.items() if k["visible"] == "partial" and v[0] in "TL"},
    )


def real() -> list[Case]:
    """The real cases with reference points."""
    volume = research("ct_3mm_with_labels")
    labels = nifti(unpacked("ct_3mm_with_labels") / RESEARCH_LABELS)
    crop = unpacked("crop_L3_with_labels")
    body = nifti(crop / "sub-ct_seg-subreg_label-22_msk.nii.gz").hu == 49
    l3 = nifti(crop / "sub-ct_seg-vert_label-22_msk.nii.gz").hu == 22
    cropped = research("crop_L3_with_labels")
    return [
        *(Case(name, dicom(name), {k: np.array(p) for k, p in READ_BY_EYE.items()}, {}) for name in ABDOMEN_A),
        Case("ct_3mm", volume, {f"L{n}": _centroid(volume, labels.hu == 19 + n) for n in range(1, 6)}, {}),
        Case("crop_L3", cropped, {"L3": _centroid(cropped, body & l3)}, {}),
    ]


def research(name: str) -> Volume:
    """A case that is no DICOM."""
    return nifti(unpacked(name) / RESEARCH_FILES[name])


def unmeasurable(name: str) -> Case:
    """A real case that must not be measured. Raises ``StudyRefused`` where it cannot even be read."""
    return Case(name, dicom(name), {}, {}, "no whole L1 or L2")


def dicom(name: str, folder: str = "") -> Volume:
    """A series of the development CT, as the node reads it."""
    root = unpacked(name)
    inner = root / "dicom" / folder
    found, _ = scan.collect([inner if inner.is_dir() else root], root)
    return read.volume(max(found, key=lambda series: len(series.instances)))


def nifti(path: Path) -> Volume:
    """A NIfTI file in the node's axes."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    hu = np.round(sitk.GetArrayFromImage(image)).astype(np.int16)
    affine = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, :3], affine[:3, 3] = axes[:, ::-1], image.GetOrigin()
    return _volume(hu, affine)


def _centroid(volume: Volume, mask: NDArray[np.bool_]) -> Floats:
    return volume.lps_mm(np.argwhere(mask).mean(0))


def _volume(hu: NDArray[np.int16], affine: Floats) -> Volume:
    sources = tuple(SourceImage("1.2.840.10008.5.1.4.1.1.2", f"2.25.{n + 1}") for n in range(len(hu)))
    return Volume(np.ascontiguousarray(hu), affine.copy(), "2.25.1", sources)


# ------------------------------------------------------------------------------------------------ worsened copies

Worsen = Callable[[Case], Case]


def _changed(case: Case, name: str, volume: Volume) -> Case:
    """The case with another volume in the same patient coordinates; vertebrae near the new ends are not asked for."""
    last = np.array(volume.hu.shape) - 1
    slice_mm = volume.spacing_mm[0]

    def inside(level: str, centre: Floats) -> bool:
        k = volume.index_kji(centre)[0] * slice_mm
        half = 12.0 if level[0] == "T" and int(level[1:]) < 6 else 19.0
        return bool(half < k < last[0] * slice_mm - half)

    kept = {level: centre for level, centre in case.centres.items() if inside(level, centre)}
    return replace(case, name=f"{case.name} {name}", volume=volume, centres=kept)


def cropped(low: float, high: float) -> Worsen:
    """Only part of the slices, counted from the foot."""

    def worsen(case: Case) -> Case:
        n = len(case.volume.hu)
        first, end = int(low * n), int(high * n)
        affine = case.volume.affine_lps_mm.copy()
        affine[:3, 3] = case.volume.lps_mm([first, 0, 0])
        return _changed(case, f"slices {low:.2f}-{high:.2f}", _volume(case.volume.hu[first:end], affine))

    return worsen


def noisy(hu: float) -> Worsen:
    """Slightly correlated noise."""

    def worsen(case: Case) -> Case:
        grain = np.random.default_rng(1).normal(0, 1, case.volume.hu.shape).astype(np.float32)
        grain = ndimage.gaussian_filter(grain, (0, 0.7, 0.7))
        worse = np.clip(case.volume.hu + grain * (hu / grain.std()), -1024, 3071).astype(np.int16)
        return _changed(case, f"noise {hu:.0f}", _volume(worse, case.volume.affine_lps_mm))

    return worsen


def thick(mm: float) -> Worsen:
    """Neighbouring slices averaged."""

    def worsen(case: Case) -> Case:
        many = max(1, round(mm / case.volume.spacing_mm[0]))
        n = len(case.volume.hu) // many
        hu = case.volume.hu[: n * many].reshape(n, many, *case.volume.hu.shape[1:]).mean(1).astype(np.int16)
        affine = case.volume.affine_lps_mm.copy()
        affine[:3, 3] = case.volume.lps_mm([(many - 1) / 2, 0, 0])
        affine[:3, 0] *= many
        return _changed(case, f"{mm:.0f} mm", _volume(hu, affine))

    return worsen


def turned(degrees: float, plane: tuple[int, int]) -> Worsen:
    """The patient turned in the plane of two axes (k, j, i) about the middle of the scan."""

    def worsen(case: Case) -> Case:
        volume = case.volume
        middle = volume.lps_mm((np.array(volume.hu.shape) - 1) / 2)
        angle, (a, b) = np.deg2rad(degrees), (2 - plane[0], 2 - plane[1])
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix, origin = volume.affine_lps_mm[:3, :3], volume.affine_lps_mm[:3, 3]
        back = np.linalg.inv(matrix) @ turn @ matrix
        shift = np.linalg.inv(matrix) @ (turn @ (origin - middle) + middle - origin)
        hu = ndimage.affine_transform(volume.hu, back, shift, order=1, cval=-1024)
        moved = {level: turn.T @ (centre - middle) + middle for level, centre in case.centres.items()}
        superior = {level: turn.T @ axis for level, axis in case.superior.items()}
        turned_case = replace(case, centres=moved, superior=superior)
        return _changed(turned_case, f"turned {degrees:+.0f} {plane}", _volume(hu, volume.affine_lps_mm))

    return worsen


def osteoporotic(case: Case) -> Case:
    """Spongiosa near muscle, cortex thinned."""
    hu = np.interp(
        case.volume.hu.astype(np.float32),
        [-1024, 60, 150, 250, 400, 700, 1500, 3071],
        [-1024, 55, 80, 140, 300, 620, 1450, 3071],
    )
    return _changed(case, "osteoporotic", _volume(hu.astype(np.int16), case.volume.affine_lps_mm))


def narrow(half_mm: float) -> Worsen:
    """Reconstructed on a small field about the column."""

    def worsen(case: Case) -> Case:
        volume = case.volume
        centre = volume.index_kji(np.mean(list(case.centres.values()), axis=0))
        half = half_mm / np.array(volume.spacing_mm)
        (j0, j1), (i0, i1) = (
            (max(0, int(centre[a] - half[a])), min(volume.hu.shape[a], int(centre[a] + half[a]))) for a in (1, 2)
        )
        hu = volume.hu[:, j0:j1, i0:i1].copy()
        affine = volume.affine_lps_mm.copy()
        affine[:3, 3] = volume.lps_mm([0, j0, i0])
        return _changed(case, f"field {2 * half_mm:.0f}", _volume(hu, affine))

    return worsen


WORSENED: tuple[Worsen, ...] = (
    noisy(60),
    noisy(100),
    thick(3),
    thick(5),
    osteoporotic,
    turned(15, (1, 2)),
    turned(-15, (1, 2)),
    turned(10, (0, 1)),
    turned(10, (0, 2)),
    narrow(80),
    narrow(60),
    cropped(0.0, 0.7),
    cropped(0.3, 1.0),
    cropped(0.0, 0.5),
    cropped(0.5, 1.0),
    cropped(0.25, 0.75),
)
