"""Metal in the slices of a VOI: implants, but also wires and jewellery that throw streaks across the body."""

from __future__ import annotations

import numpy as np

from node.domain.spine import Voi
from node.domain.volume import Volume
from node.imaging.suitability import METAL_HU


def volume_mm3(volume: Volume, voi: Voi) -> float:
    """Return how much metal lies in the slices of a VOI, anywhere in the image."""
    layers = volume.hu[voi.mask.slices_kji[0]]
    return float(np.count_nonzero(layers > METAL_HU)) * float(np.prod(volume.spacing_mm))
