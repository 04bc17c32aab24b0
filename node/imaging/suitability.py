"""Whether the spongiosa of a vertebra may be measured, and its attenuation less bone islands and vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from node.domain.settings import SuitabilityLimits
from node.domain.spine import Vertebra
from node.domain.volume import OUTSIDE_FIELD_HU, Mask, Volume

Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

METAL_HU = 2200.0
"""Above enamel and the densest cortex (about 2,000 HU); steel and titanium saturate at 3,071 or more."""
IN_BODY_MM = 3.0
"""Metal so near to the body is in it."""
OUTLIER_SIGMAS = 4.0
SHORTH_SIGMAS = 1.349
"""Width of the middle half of a normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Attenuation of a VOI with its outliers set apart."""

    mean: float
    kept: Bools
    """For each point of the VOI."""
    limit: float
    """Largest deviation of a local average from the bulk that is kept, in HU."""
    dense_share: float
    """Part of the VOI that is much denser than the rest (bone island, sclerosis)."""
    sparse_share: float
    """Part that is much less dense (vessel, lysis, fat, gas)."""
    quartiles_apart: float
    """Distance of the quartiles of the local averages, HU."""
    edge: float
    """Smallest deviation that is an edge of something and none of the spongiosa's own texture, HU."""


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """Why a vertebra must not enter a mean."""

    reason: str
    message: str


def robust_mean(values: Floats32, smooth: Floats32, limits: SuitabilityLimits) -> Reading:
    """Mean of ``values`` without the places where the ``smooth`` values stand far off the bulk.

    Outliers are judged on averages over about 4 mm, so that noise of any strength stays in the mean. The bulk is the
    narrowest interval that holds half of the VOI (the shorth), which a lesion in nearly half of it does not move.
    """
    ordered = np.sort(smooth)
    half = len(ordered) // 2
    widths = ordered[half:] - ordered[: len(ordered) - half]
    start = int(np.argmin(widths))
    centre = float(np.median(ordered[start : start + half + 1]))
    deviation = float(OUTLIER_SIGMAS * widths[start] / SHORTH_SIGMAS)
    limit = float(np.clip(deviation, limits.min_outlier_hu, limits.max_outlier_hu))
    edge = float(np.clip(deviation, limits.min_edge_hu, limit))
    dense, sparse = smooth > centre + limit, smooth < centre - limit
    kept = np.asarray(~(dense | sparse))
    apart = float(np.subtract(*np.quantile(ordered, (0.75, 0.25))))
    return Reading(float(values[kept].mean()), kept, limit, float(dense.mean()), float(sparse.mean()), apart, edge)


def judge(
    volume: Volume, vertebra: Vertebra, reading: Reading, voi: tuple[Mask, float], limits: SuitabilityLimits
) -> Unsuitable | None:
    """Return the first reason that stands against measuring this vertebra.

    ``voi``: the voxels of the VOI, and its volume in mm³.
    """
    name, (mask, volume_mm3) = vertebra.level, voi
    if not vertebra.complete:
        return Unsuitable("incomplete", f"{name} is not wholly inside the scan.")
    found = _metal(volume, vertebra, mask, limits) or _cement(volume, vertebra, limits)
    if found:
        return found
    deformity = vertebra.deformity
    if (
        deformity
        and deformity.genant_grade >= limits.fracture_grade
        and deformity.confidence >= limits.fracture_confidence
    ):
        return Unsuitable(
            "fracture",
            f"{name} has lost {deformity.loss_percent:.0f} % of its height ({deformity.type}): "
            "a compressed body reads too dense.",
        )
    for share, limit, kind in (
        (reading.dense_share, limits.dense_part, "denser"),
        (reading.sparse_share, limits.sparse_part, "less dense"),
    ):
        if share > limit:
            return Unsuitable(
                "lesion", f"{100.0 * share:.0f} % of the spongiosa of {name} is much {kind} than the rest."
            )
    if volume_mm3 < limits.min_voi_mm3:
        return Unsuitable("incomplete", f"Only {volume_mm3:.0f} mm³ of spongiosa can be measured in {name}.")
    return None


def _metal(volume: Volume, vertebra: Vertebra, voi: Mask, limits: SuitabilityLimits) -> Unsuitable | None:
    """Metal in the body, or beside it in the slices of the VOI and those that streaks reach from."""
    spacing = np.array(volume.spacing_mm)
    box = []
    for part, size, step in zip(vertebra.body.slices_kji, volume.hu.shape, spacing, strict=True):
        reach = round(limits.metal_reach_mm / step)
        box.append(slice(max(part.start - reach, 0), min(part.stop + reach, size)))
    box[0] = vertebra.body.slices_kji[0]
    metal = volume.hu[tuple(box)] > METAL_HU
    if not metal.any():
        return None
    inside = np.zeros(metal.shape, dtype=bool)
    inside[
        tuple(slice(m.start - b.start, m.stop - b.start) for m, b in zip(vertebra.body.slices_kji, box, strict=True))
    ] = vertebra.body.voxels
    counted = distance_transform_edt(~inside, sampling=volume.spacing_mm) <= IN_BODY_MM
    beyond = int(np.ceil(limits.metal_streaks_mm / spacing[0]))
    read = voi.slices_kji[0]
    counted[max(read.start - beyond - box[0].start, 0) : max(read.stop + beyond - box[0].start, 0)] = True
    amount = float(np.count_nonzero(metal & counted)) * float(spacing.prod())
    if amount < limits.metal_mm3:
        return None
    return Unsuitable(
        "metal", f"{amount:.0f} mm³ of metal lie in {vertebra.level}, or beside it in the slices that are measured."
    )


def _cement(volume: Volume, vertebra: Vertebra, limits: SuitabilityLimits) -> Unsuitable | None:
    body = vertebra.body
    core = distance_transform_edt(np.pad(body.voxels, 1), sampling=volume.spacing_mm)[1:-1, 1:-1, 1:-1] > 3.0
    hu = volume.hu[body.slices_kji]
    if np.any(hu[body.voxels] <= OUTSIDE_FIELD_HU):
        return Unsuitable("artefact", f"Part of {vertebra.level} lies outside the reconstructed field.")
    parts, count = label((hu > limits.cement_hu) & core)
    if not count:
        return None
    largest = float(np.bincount(parts.ravel())[1:].max()) * float(np.prod(volume.spacing_mm))
    if largest < limits.cement_mm3:
        return None
    return Unsuitable("cement", f"{vertebra.level} holds {largest / 1000:.1f} ml of material as dense as bone cement.")
