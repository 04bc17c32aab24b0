"""Random people for the spine's accuracy: ages 5 to 90, every variant and disease the generator knows, any scan.

Odds are higher than in life for what is rare, so that every group has cases; numbers of ribs and transitional
vertebrae come about as often as in published counts (one spine in six has a transitional vertebra).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from node.synthetic.phantoms import BMAS200, HA_3, HA_4_POINT, MINDWAYS_5
from node.synthetic.spec import Fracture, Lesion, Lumbosacral, TorsoSpec

Option = TypeVar("Option")

RANGES: Sequence[tuple[tuple[str, float], tuple[str, float]]] = (
    (("T9", 16.0), ("S1", -25.0)),
    (("T9", 16.0), ("S1", -25.0)),
    (("T10", 5.0), ("S2", -10.0)),
    (("T11", 12.0), ("S1", -20.0)),
    (("C7", 5.0), ("L2", -26.0)),
    (("T1", 40.0), ("L1", -20.0)),
    (("T1", 20.0), ("L2", -5.0)),
    (("T2", 10.0), ("S2", -25.0)),
    (("T1", 60.0), ("S3", 0.0)),
    (("C7", 5.0), ("S3", 0.0)),
    (("T10", 5.0), ("L4", -10.0)),
    (("T8", 0.0), ("S2", 0.0)),
)
"""Uppermost and lowest slice: abdomen, chest to L1 or L2, chest-abdomen-pelvis, and in one of twelve lumbar only."""


class _Odds:
    """Draws of one person."""

    def __init__(self, number: int) -> None:
        self.rng = np.random.default_rng([77, number])

    def one(self, *options: Option) -> Option:
        return options[int(self.rng.integers(len(options)))]

    def within(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def happens(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)


def person(number: int) -> TorsoSpec:
    """The person of that number; the same number, the same person."""
    odds = _Odds(number)
    child = odds.happens(0.08)
    age = int(odds.within(5, 16)) if child else int(odds.within(18, 90))
    sex: Literal["F", "M"] = odds.one("F", "M")
    height = 76.0 + 6.2 * age if child else float(odds.rng.normal(161 if sex == "F" else 174, 7))
    obese = odds.happens(0.12)
    bmi = (
        odds.within(14, 20)
        if child
        else odds.within(36, 48)
        if obese
        else float(np.clip(odds.rng.normal(25, 4), 16, 36))
    )
    porous = age > 50 and odds.happens(0.35)
    top, bottom = odds.one(*RANGES)
    spacing = odds.one(0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0)
    ribs, short, sacrum = odds.rng.random(), odds.happens(0.12), odds.rng.random()
    lumbosacral: Lumbosacral = "lumbarised-S1" if sacrum < 0.05 else "sacralised-L5" if sacrum < 0.16 else "normal"
    return TorsoSpec(
        seed=20_000 + number,
        sex=sex,
        age_years=age,
        height_cm=height,
        bmi=bmi,
        vbmd_mg_cm3=odds.within(140, 220) if child else odds.within(15, 70) if porous else None,
        kyphosis_deg=float(np.clip(odds.rng.normal(38, 14), 10, 85)),
        lordosis_deg=float(np.clip(odds.rng.normal(48, 11), 18, 80)),
        scoliosis_cobb_deg=odds.within(8, 40) if odds.happens(0.25) else 0.0,
        scoliosis_apex=odds.one("T8", "T9", "T12", "L1", "L2", "L3"),
        fractures=_fractures(odds, 0.3 if not child else 0.05),
        cement=(odds.one("T12", "L1", "L2", "L3"),) if odds.happens(0.07) else (),
        screws=odds.one(("L4", "L5"), ("L3", "L4"), ("T11", "T12"), ("L1", "L3")) if odds.happens(0.07) else (),
        bone_islands=(odds.one("L1", "L2"),) if odds.happens(0.1) else (),
        lesions=_lesions(odds),
        degeneration=0.0 if child else odds.one(None, None, 0.3, 0.7, 1.0),
        bridges=odds.one(("T8", "T9", "T10"), ("T11", "T12"), ("L1", "L2"), ("L3",)) if odds.happens(0.08) else (),
        rib_pairs=11 if ribs < 0.06 else 13 if ribs < 0.08 else 12,
        last_rib_length_mm=odds.within(20, 70) if short else None,
        lumbosacral=lumbosacral,
        contrast=odds.one("none", "none", "none", "portal", "arterial"),
        bowel_gas=odds.within(0, 2),
        arms=odds.one("raised", "raised", "down"),
        patient_position=odds.one("HFS", "HFS", "HFS", "FFS", "HFP", "FFP"),
        roll_deg=float(odds.rng.normal(0, 8)),
        pitch_deg=float(odds.rng.normal(0, 4)),
        yaw_deg=float(odds.rng.normal(0, 3)),
        couch=odds.one("curved", "cradle", "flat"),
        phantom=odds.one(None, MINDWAYS_5, HA_3, HA_4_POINT, BMAS200),
        top=top,
        bottom=bottom,
        matrix=256,
        fov_mm=odds.one(260.0, 300.0) if child else odds.one(350.0, 400.0, 450.0, 500.0),
        spacing_mm=spacing,
        thickness_mm=spacing * odds.one(1.0, 1.0, 1.25),
        gantry_tilt_deg=odds.one(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -8.0, 8.0),
        kernel=odds.one("smooth", "standard", "sharp"),
        ctdi_mgy=odds.one(0.5, 1.0, 2.0, 5.0, 8.0, 12.0),
    )


def _fractures(odds: _Odds, chance: float) -> dict[str, Fracture]:
    if not odds.happens(chance):
        return {}
    broken = odds.rng.choice(
        ["T6", "T7", "T8", "T11", "T12", "L1", "L2", "L3", "L4"], size=int(odds.rng.integers(1, 4)), replace=False
    )
    return {str(level): Fracture(odds.one("wedge", "biconcave", "crush"), odds.within(0.2, 0.6)) for level in broken}


def _lesions(odds: _Odds) -> dict[str, Lesion]:
    if not odds.happens(0.12):
        return {}
    kind: Lesion = odds.one("lytic", "sclerotic", "haemangioma")
    return {odds.one("T10", "T12", "L1", "L2", "L3"): kind}


def described(spec: TorsoSpec) -> str:
    """The person in one line."""
    notes = [f"{spec.top[0]}-{spec.bottom[0]} {spec.spacing_mm} mm", f"{spec.age_years} y {spec.height_cm:.0f} cm"]
    notes += [f"bmi {spec.bmi:.0f}", f"fov {spec.fov_mm:.0f}", f"{spec.kernel} {spec.ctdi_mgy:g} mGy"]
    notes += [f"{spec.rib_pairs} ribs"] if spec.rib_pairs != 12 else []
    notes += [f"last rib {spec.last_rib_length_mm:.0f}"] if spec.last_rib_length_mm is not None else []
    notes += [spec.lumbosacral] if spec.lumbosacral != "normal" else []
    notes += [f"Cobb {spec.scoliosis_cobb_deg:.0f} {spec.scoliosis_apex}"] if spec.scoliosis_cobb_deg else []
    notes += [f"rho {spec.vbmd_mg_cm3:.0f}"] if spec.vbmd_mg_cm3 is not None else []
    notes += [spec.contrast] if spec.contrast != "none" else []
    notes += [f"{level} {f.type} {f.loss:.2f}" for level, f in spec.fractures.items()]
    notes += [f"{level} {kind}" for level, kind in spec.lesions.items()]
    for name in ("cement", "screws", "bridges"):
        levels = getattr(spec, name)
        notes += [f"{name} {','.join(levels)}"] if levels else []
    notes += [spec.patient_position] if spec.patient_position != "HFS" else []
    notes += [f"tilt {spec.gantry_tilt_deg:g}"] if spec.gantry_tilt_deg else []
    return ", ".join(notes)


def groups(spec: TorsoSpec) -> tuple[str, ...]:
    """What is special about the person or the scan, for the rows of a table."""
    metal = bool(spec.cement or spec.screws)
    told = {
        "child (5 to 15 years)": spec.age_years < 16,
        "obese (BMI 36 to 48)": spec.bmi >= 36,
        "less than 70 mg/cm³": spec.vbmd_mg_cm3 is not None and spec.vbmd_mg_cm3 < 70,
        "slices of 3 or 5 mm": spec.spacing_mm >= 3,
        "0.5 or 1 mGy": spec.ctdi_mgy <= 1,
        "sharp kernel": spec.kernel == "sharp",
        "contrast medium": spec.contrast != "none",
        "prone or feet first": spec.patient_position != "HFS",
        "scoliosis of 20° and more": spec.scoliosis_cobb_deg >= 20,
        "kyphosis of 55° and more": spec.kyphosis_deg >= 55,
        "fractures": bool(spec.fractures),
        "cement or screws": metal,
        "focal lesion": bool(spec.lesions),
        "bridges": bool(spec.bridges),
        "gantry tilted": spec.gantry_tilt_deg != 0,
        "11 or 13 rib pairs": spec.rib_pairs != 12,
        "short last ribs": spec.last_rib_length_mm is not None,
        "transitional vertebra": spec.lumbosacral != "normal",
        "chest (T1 to L1 or L2)": spec.top[0] in ("C7", "T1") and spec.bottom[0] in ("L1", "L2"),
        "abdomen to the sacrum": spec.top[0] not in ("C7", "T1", "T2") and spec.bottom[0][0] == "S",
        "chest, abdomen and pelvis": spec.top[0] in ("C7", "T1", "T2") and spec.bottom[0][0] == "S",
        "T10 to L4 only": spec.bottom[0] == "L4",
    }
    return tuple(name for name, holds in told.items() if holds)
