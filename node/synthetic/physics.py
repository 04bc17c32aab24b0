"""Attenuation of tissues, bone and phantom rods in Hounsfield units.

Mindways rods follow HU = rho_H2O + sigma_ref · rho_K2HPO4 + beta_ref, bone follows
HU = sigma_ct · rho + beta_ct with sigma_ct = sigma_ref − 0.2174 and beta_ct = beta_ref + 999.6
(QCT PRO User Guide, Mindways, v5.0): the constants are the water that dissolved K2HPO4 displaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.domain.phantom import Material, RodModel
from node.synthetic.spec import TorsoSpec

WATER_DISPLACED = 0.2174
WATER_MG_CM3 = 999.6
CORTICAL_MG_CM3 = 640.0
SIGMA_REF = ((70.0, 2.35), (80.0, 2.08), (100.0, 1.82), (120.0, 1.64), (140.0, 1.53), (150.0, 1.49))
"""HU per mg/cm³ of K2HPO4 by tube voltage: mass attenuation relative to water at 52 to 76 keV effective."""
RATIO = {"K2HPO4": 1.0, "CaHA": 0.98, "CaCO3": 0.93}
"""HU per mg/cm³ against K2HPO4 (mass attenuation coefficients at 70 keV less the water displaced)."""

TISSUE = {
    "skin": 45.0, "fat": -102.0, "visceral-fat": -98.0, "muscle": 56.0, "liver": 60.0, "spleen": 52.0, "kidney": 34.0,
    "blood": 42.0, "heart": 42.0, "bowel": 34.0, "stomach": 24.0, "water": 4.0, "disc": 78.0, "cartilage": 105.0,
    "lung": -855.0, "lung-vessel": 20.0, "sac": 18.0, "epidural": -60.0, "marrow": -10.0, "bladder": 6.0,
    "gas": -985.0, "pancreas": 40.0, "stool": 20.0, "gland": 15.0, "vein": 42.0, "joint": 62.0, "marrow-blood": 28.0,
}  # fmt: skip
CONTRAST = {
    "arterial": {"blood": 230.0, "vein": 30.0, "heart": 190.0, "kidney": 110.0, "spleen": 70.0, "liver": 15.0,
                 "pancreas": 50.0, "lung-vessel": 150.0, "muscle": 4.0, "bowel": 30.0},
    "portal": {"blood": 115.0, "vein": 110.0, "heart": 105.0, "kidney": 145.0, "spleen": 70.0, "liver": 52.0,
               "pancreas": 45.0, "lung-vessel": 90.0, "muscle": 10.0, "bowel": 35.0},
}  # fmt: skip
MARROW_ENHANCEMENT_MG = {"none": 0.0, "arterial": 5.3, "portal": 6.4}
"""Apparent gain of trabecular density (Toelly 2017: 79.8 native, 85.1 arterial, 86.2 venous)."""


@dataclass(frozen=True, slots=True)
class Physics:
    """One scanner at one tube voltage."""

    sigma_ref: float
    offset_hu: float
    contrast: str

    @classmethod
    def of(cls, spec: TorsoSpec) -> Physics:
        """From the tube voltage and the scanner's own slope and offset."""
        kvp, sigma = zip(*SIGMA_REF, strict=True)
        return cls(float(np.interp(spec.kvp, kvp, sigma)) * spec.scanner_slope, spec.scanner_offset_hu, spec.contrast)

    def sigma_ct(self, material: Material) -> float:
        """HU per mg/cm³ of bone in a phantom's material."""
        return (self.sigma_ref - WATER_DISPLACED) * RATIO[material]

    def bone(self, k2hpo4_mg_cm3: float) -> float:
        """HU of bone of a K2HPO4-equivalent density."""
        return self.sigma_ct("K2HPO4") * k2hpo4_mg_cm3 + self.offset_hu

    def rod(self, rod: RodModel, material: Material) -> float:
        """HU of a phantom rod."""
        if rod.water_density_mg_cm3 is None:
            return self.sigma_ct(material) * rod.density_mg_cm3 + self.offset_hu
        beta_ref = self.offset_hu - WATER_MG_CM3
        return rod.water_density_mg_cm3 + self.sigma_ref * rod.density_mg_cm3 + beta_ref

    def tissue(self, name: str) -> float:
        """HU of a soft tissue, with its contrast medium."""
        return TISSUE[name] + CONTRAST.get(self.contrast, {}).get(name, 0.0) + self.offset_hu


def usual_density(sex: str, age_years: int) -> float:
    """Mean L1-L2 density in mg/cm³ of K2HPO4 (China Biobank, Cheng 2021: peaks at 32 years, means at 80)."""
    peak, old = (185.4, 62.4) if sex == "F" else (176.6, 92.1)
    return float(np.interp(age_years, (32, 80, 100), (peak, old, old - 25.0)))
