"""Where the patient lies in the scanner: off centre, or cut by the field of view.

The centre of rotation is not in every header. Data Collection Center (Patient) (0018,9313) states it. Without, it is
taken from the images: a field of 48 cm or more is reconstructed about it; a smaller one lies near it, and manufacturers
put the origin of patient coordinates either there (y = 0) or at the table top (y = −Table Height).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.instance import InstanceHeader
from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.imaging.body import Scene

FULL_FIELD_MM = 480.0
NEAR_MM = 120.0
"""A reconstructed field lies no farther from the centre of rotation than this; else its place is not known."""

ORIGIN_TOLERANCE_MM = 20.0
"""Of a centre that is only taken from the origin of coordinates."""


@dataclass(frozen=True, slots=True)
class Centring:
    """Where the patient lies about the centre of rotation, at the vertebrae measured."""

    left_mm: float
    posterior_mm: float
    tolerance_mm: float
    """How far the centre of rotation itself may be off."""

    @property
    def distance_mm(self) -> float:
        """In the plane of the images."""
        return float(np.hypot(self.left_mm, self.posterior_mm))


def centring(volume: Volume, scene: Scene, header: InstanceHeader, z_mm: tuple[float, float]) -> Centring | None:
    """Return the place of the patient's outline between two heights; ``None`` where it cannot be told."""
    centre, tolerance = _isocentre(volume, header)
    if centre is None:
        return None
    layers = _layers(scene, z_mm)
    middles = []
    for k in layers:
        j, i = np.nonzero(scene.patient[k])
        if len(j):
            middles.append(scene.coarse.lps_mm([k, (j.min() + j.max()) / 2, (i.min() + i.max()) / 2])[:2])
    if not middles:
        return None
    left, posterior = np.median(middles, axis=0) - centre
    return Centring(float(left), float(posterior), tolerance)


def _isocentre(volume: Volume, header: InstanceHeader) -> tuple[NDArray[np.float64] | None, float]:
    if header.data_collection_center_patient_mm is not None:
        return np.array(header.data_collection_center_patient_mm[:2]), 0.0
    _, rows, columns = volume.hu.shape
    middle = volume.lps_mm([0, (rows - 1) / 2, (columns - 1) / 2])[:2]
    if header.reconstruction_diameter_mm is not None and header.reconstruction_diameter_mm >= FULL_FIELD_MM:
        return middle, 0.0
    origins = [np.zeros(2)]
    if header.table_height_mm:
        origins.append(np.array([0.0, -abs(header.table_height_mm)]))
    nearest = min(origins, key=lambda origin: float(np.linalg.norm(origin - middle)))
    return (nearest if np.linalg.norm(nearest - middle) <= NEAR_MM else None), ORIGIN_TOLERANCE_MM


def _layers(scene: Scene, z_mm: tuple[float, float]) -> range:
    """Layers of the coarse grid between two heights, at least one."""
    origin, step = scene.coarse.affine_lps_mm[2, 3], scene.coarse.affine_lps_mm[2, 0]
    low, high = sorted(round(float((z - origin) / step)) for z in z_mm)
    last = scene.coarse.hu.shape[0] - 1
    return range(min(max(low, 0), last), min(max(high, 0), last) + 1)


def truncated_part(scene: Scene, z_mm: tuple[float, float]) -> float:
    """Return the part of the patient's outline between two heights that lies on the edge of the field."""
    touching = total = 0
    for k in _layers(scene, z_mm):
        patient = np.pad(scene.patient[k], 1)
        unseen = np.pad(scene.coarse.hu[k] <= OUTSIDE_FIELD_HU, 1, constant_values=True)
        outline = patient & ~ndimage.binary_erosion(patient)
        total += int(outline.sum())
        touching += int((outline & ndimage.binary_dilation(unseen)).sum())
    return touching / total if total else 0.0
