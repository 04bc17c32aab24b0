"""The pelvis beside the column: the sacrum's wings and the iliac bones behind and beside them."""

from __future__ import annotations

import numpy as np

from node.imaging.spine.column import Column
from node.imaging.spine.curve import Floats
from node.imaging.spine.discs import Segment
from node.imaging.spine.surroundings import GRID_MM, U_MM, V_MM, Surroundings

BONE_HU = 130.0
SLAB_MM = 18.0


def pelvis_profile(around: Surroundings, column: Column) -> Floats:
    """(2, n) along the surroundings: part of the wing's place filled by bone, part of the ilium's place; NaN outside.

    The wing's place: within 20 mm of the body's sides. The ilium's: 45 to 90 mm from the midline.
    """
    v, u = np.meshgrid(V_MM, U_MM, indexing="ij")
    iliac = (np.abs(u) > 45) & (np.abs(u) < 90) & (v > -10) & (v < 55)
    half = int(SLAB_MM / GRID_MM / 2)
    n = len(around.hu)
    result = np.full((2, n), np.nan)
    known = around.known
    for i in range(n):
        at = min(int(i * GRID_MM), len(column.width_mm) - 1)
        side = np.abs(u) - 0.5 * column.width_mm[at]
        depth = column.depth_mm[at]
        wing = (side > 3) & (side < 23) & (v > -0.2 * depth) & (v < 0.5 * depth + 8)
        slab = slice(max(0, i - half), i + half + 1)
        for row, place in enumerate((wing, iliac)):
            seen = known[slab][:, place]
            if seen.mean() > 0.7:
                solid = np.percentile(around.calm_hu[slab][:, place], 80, axis=0)
                result[row, i] = float((solid > BONE_HU).mean())
    return result


def sacral_scores(profile: Floats, segments: list[Segment]) -> list[float | None]:
    """One score a vertebra: about +2 for S1, -2.7 for L5, below -5 higher up; None where too little is in the scan."""
    scores: list[float | None] = []
    for segment in segments:
        length = segment.bottom_mm - segment.top_mm
        rows = slice(
            max(0, int((segment.top_mm + 0.2 * length) / GRID_MM)), max(0, int(segment.bottom_mm / GRID_MM) + 1)
        )
        part = profile[:, rows]
        if part.shape[1] < 3 or np.isfinite(part).mean() < 0.6:
            scores.append(None)
            continue
        wing, ilium = np.nanmean(part, axis=1)
        scores.append(float(14 * (wing - 0.38) + 10 * (ilium - 0.28)))
    return scores
