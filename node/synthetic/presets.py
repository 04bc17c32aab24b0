"""Ready patients and scans, by name, for the demo and for tests."""

from __future__ import annotations

from node.synthetic.phantoms import BMAS200, HA_3, HA_4_POINT, MINDWAYS_5
from node.synthetic.spec import Fracture, TorsoSpec


def presets(matrix: int = 512, spacing_mm: float = 1.5) -> dict[str, TorsoSpec]:
    """All presets at a matrix and slice spacing (256 and 2 mm make a case in a few seconds)."""

    def spec(seed: int, **changes: object) -> TorsoSpec:
        return TorsoSpec(seed=seed, matrix=matrix, spacing_mm=spacing_mm, thickness_mm=spacing_mm, **changes)  # type: ignore[arg-type]

    return {
        "abdomen-mindways": spec(11, phantom=MINDWAYS_5),
        "abdomen-ha": spec(12, sex="F", age_years=58, height_cm=161, bmi=23, phantom=HA_4_POINT, phantom_z_mm=-40.0),
        "chest-low-dose": spec(
            13, sex="F", age_years=66, height_cm=160, bmi=24, phantom=MINDWAYS_5, ctdi_mgy=1.8,
            top=("T1", 40.0), bottom=("L2", -26.0),
        ),
        "osteoporosis-wedge": spec(
            14, sex="F", age_years=76, height_cm=156, bmi=22, phantom=HA_3, fractures={"T12": Fracture("wedge", 0.32)},
        ),
        "biconcave-L2": spec(
            15, sex="F", age_years=73, height_cm=159, phantom=MINDWAYS_5, fractures={"L2": Fracture("biconcave", 0.3)},
        ),
        "screws": spec(24, age_years=63, phantom=MINDWAYS_5, screws=("L3", "L4", "L5"), cement=("T12",)),
        "no-phantom": spec(16),
        "prone": spec(17, phantom=MINDWAYS_5, patient_position="HFP"),
        "feet-first": spec(18, phantom=MINDWAYS_5, patient_position="FFS"),
        "rolled": spec(19, phantom=BMAS200, phantom_reversed=True, roll_deg=9.0, yaw_deg=3.0),
        "scoliosis": spec(20, sex="F", age_years=61, phantom=MINDWAYS_5, scoliosis_cobb_deg=18.0),
        "portal-venous": spec(21, phantom=MINDWAYS_5, contrast="portal"),
        "obese": spec(22, phantom=MINDWAYS_5, bmi=36.0, fov_mm=500.0),
        "phantom-cut": spec(25, phantom=MINDWAYS_5, fov_mm=250.0, fov_centre_mm=(0.0, 10.0)),
        "phantom-elsewhere": spec(26, phantom=HA_4_POINT, phantom_z_mm=-190.0),
        "gantry-tilt": spec(27, phantom=MINDWAYS_5, gantry_tilt_deg=10.0),
        "lumbarised-S1": spec(28, phantom=MINDWAYS_5, lumbosacral="lumbarised-S1"),
        "eleven-ribs": spec(29, phantom=MINDWAYS_5, rib_pairs=11),
        "worn": spec(30, sex="F", age_years=79, height_cm=157, phantom=BMAS200, degeneration=1.0),
        "lytic-L1": spec(31, age_years=64, phantom=MINDWAYS_5, lesions={"L1": "lytic"}),
        "ends-at-T12": spec(23, phantom=MINDWAYS_5, top=("T1", 40.0), bottom=("T12", -8.0)),
    }  # fmt: skip
