"""What is patient in a scan, and what is table, mattress, phantom, clothes or air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.errors import UnsuitableSeries
from node.imaging.grid import block_mean, in_field
from node.imaging.phantom.room import is_phantom, occupied
from node.imaging.phantom.rows import RodRow, find_rows

CoarseMask = NDArray[np.bool_]
CouchSide = Literal["posterior", "anterior", "left", "right"]

COARSE_SPACING_MM = 3.0
"""Fine enough to see a rod or a rib, coarse enough to handle a whole trunk in a second."""
TISSUE_HU = -350
"""Half-way between air and fat, and a little up: clothes and foam stay below."""
AIR_HU = -900
"""Lung cut by the scan field is denser than this, the air outside is not."""
LUNG_DEPTH_MM = 14.0
MIN_WALLED_PART = 0.4
COUCH_HU = -600
"""A couch shell of 1 to 2 mm in a block of 3 mm."""
MIN_COUCH_MM3 = 30_000.0
NECK_MM = 8.0
"""Thinner bridges than this between the patient and something else are cut."""

_COUCH_BY_POSITION: dict[str, CouchSide] = {"S": "posterior", "P": "anterior", "DR": "right", "DL": "left"}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A scan on a coarse grid, and which of its voxels are the patient."""

    coarse: Volume
    """Block means of the scan, about 3 mm, axes as in ``Volume``."""
    patient: CoarseMask
    """Shape of ``coarse.hu``: skin to skin, lungs and bowel gas included; nothing that is not the patient."""
    couch_side: CouchSide | None
    """The patient's side that lies on the couch; ``None`` when neither header nor image tells."""
    rod_rows: tuple[RodRow, ...] = ()
    """Rows of parallel rods in a slab that were seen in the scan: calibration phantoms, known or not."""


def separate(volume: Volume, patient_position: str | None) -> Scene:
    """Find the patient in ``volume``. ``patient_position`` is the DICOM code (HFS, FFP, ...) where known.

    Raises ``UnsuitableSeries`` when the scan holds nothing of a patient's size.
    """
    coarse = block_mean(volume, COARSE_SPACING_MM)
    rows = find_rows(volume)
    tissue = _without_bridges(coarse.hu > TISSUE_HU, coarse.spacing_mm)
    phantoms = _phantoms(rows, volume, coarse, _deep_point(tissue, coarse.spacing_mm))
    if phantoms is not None:
        tissue = _without_bridges((coarse.hu > TISSUE_HU) & ~phantoms, coarse.spacing_mm)
    patient = _largest(tissue)
    if not patient.any():
        raise UnsuitableSeries("The scan shows no patient: no tissue was found in it.", {"tissue_hu": TISSUE_HU})
    patient = _with_gas(patient, coarse.hu, min(coarse.spacing_mm[1:]))
    if phantoms is not None:
        patient &= ~phantoms
    patient.flags.writeable = False
    couch_side = couch_side_of(patient_position) or _couch_side_seen(patient, coarse)
    return Scene(coarse, patient, couch_side, rows)


def _couch_side_seen(patient: CoarseMask, coarse: Volume) -> CouchSide | None:
    """Return the side of the patient on which most of what is not the patient lies; ``None`` when none is clear."""
    things = (coarse.hu > COUCH_HU) & ~patient
    _, j, i = np.nonzero(patient)
    bounds = ((0, int(j.min()), int(j.max())), (1, int(i.min()), int(i.max())))
    sides: tuple[tuple[CouchSide, CouchSide], ...] = (("anterior", "posterior"), ("right", "left"))
    seen: dict[CouchSide, int] = {}
    for (axis, low, high), (before, after) in zip(bounds, sides, strict=True):
        along = things.sum(axis=(0, 2 - axis))
        seen[before], seen[after] = int(along[:low].sum()), int(along[high + 1 :].sum())
    best = max(seen, key=lambda side: seen[side])
    clear = (
        seen[best] * float(np.prod(coarse.spacing_mm)) >= MIN_COUCH_MM3 and 2 * seen[best] > sum(seen.values()) * 1.5
    )
    return best if clear else None


def _deep_point(tissue: CoarseMask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return (y, x) in mm of the coarse grid, deep in what is most of the time the thickest part of the scan."""
    share = ndimage.gaussian_filter(tissue.mean(axis=0), [25.0 / step for step in spacing_mm[1:]])
    at = np.unravel_index(int(share.argmax()), share.shape)
    return np.asarray(at, dtype=np.float64) * spacing_mm[1:]


def _phantoms(
    rows: tuple[RodRow, ...], volume: Volume, coarse: Volume, deep_yx_mm: NDArray[np.float64]
) -> CoarseMask | None:
    """Voxels of the coarse grid that calibration phantoms, and pads on them, take."""
    clear = [row for row in rows if is_phantom(row)]
    if not clear:
        return None
    factors = [round(c / v) for c, v in zip(coarse.spacing_mm, volume.spacing_mm, strict=True)]
    z, y, x = (
        (np.arange(size, dtype=np.float64) * factor + (factor - 1) / 2) * step
        for size, factor, step in zip(coarse.hu.shape, factors, volume.spacing_mm, strict=True)
    )
    taken = np.zeros(coarse.hu.shape, dtype=bool)
    for row in clear:
        taken |= occupied(row, (z, y, x), deep_yx_mm)
    return taken


def couch_side_of(patient_position: str | None) -> CouchSide | None:
    """Return the side on the couch that a PatientPosition code states (PS3.3 C.7.3.1.1.2), else ``None``."""
    if not patient_position:
        return None
    return _COUCH_BY_POSITION.get(patient_position.strip().upper()[2:])


def _without_bridges(tissue: CoarseMask, spacing_mm: tuple[float, float, float]) -> CoarseMask:
    """Open each slice: cut thin bridges, drop thin sheets (couch shell, blanket, skin fold against a pad)."""
    footprint = _disc(NECK_MM / 2, spacing_mm[1:])
    return np.stack([_opened(plane, footprint) for plane in tissue])


def _opened(plane: CoarseMask, footprint: CoarseMask) -> CoarseMask:
    """Opening with the border taken as tissue, so that a body cut by the image edge is not rounded off."""
    eroded = ndimage.binary_erosion(plane, footprint, border_value=1)
    opened: CoarseMask = ndimage.binary_dilation(eroded, footprint) & plane
    return opened


def _disc(radius_mm: float, spacing_mm: tuple[float, ...]) -> CoarseMask:
    reach = [max(1, int(np.ceil(radius_mm / step))) for step in spacing_mm]
    grids = np.meshgrid(
        *(np.arange(-r, r + 1) * step for r, step in zip(reach, spacing_mm, strict=True)), indexing="ij"
    )
    inside: CoarseMask = sum(g**2 for g in grids) <= (radius_mm + 0.25 * min(spacing_mm)) ** 2
    return inside


def _largest(mask: CoarseMask) -> CoarseMask:
    labels, count = cc3d.connected_components(mask, connectivity=6, return_N=True)
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: CoarseMask = labels == int(sizes.argmax())
    return largest


def _with_gas(patient: CoarseMask, hu: NDArray[np.int16], step_mm: float) -> CoarseMask:
    """Fill what the patient encloses in each slice, or encloses together with the edge of the scan field."""
    filled = np.empty_like(patient)
    for k, plane in enumerate(patient):
        filled[k] = _filled(plane, hu[k], step_mm)
    return filled


def _filled(plane: CoarseMask, hu: NDArray[np.int16], step_mm: float) -> CoarseMask:
    whole: CoarseMask = ndimage.binary_fill_holes(plane)
    labels, _ = ndimage.label(~whole & in_field(hu) & (hu < TISSUE_HU))
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        part = np.pad(labels[box] == index, 1)
        inside = part[1:-1, 1:-1]
        if (
            float(np.median(hu[box][inside])) > AIR_HU
            and _is_deep(part, step_mm)
            and _is_walled(whole, labels == index)
        ):
            whole[box] |= inside
    closed: CoarseMask = ndimage.binary_fill_holes(whole)
    return closed


def _is_deep(part: CoarseMask, step_mm: float) -> bool:
    """Whether a region open to the edge of the scan field is deep: clothes and foam on the skin are thin."""
    return float(ndimage.distance_transform_edt(part).max()) * step_mm >= LUNG_DEPTH_MM


def _is_walled(patient: CoarseMask, part: CoarseMask) -> bool:
    """Whether the patient makes up as much of a region's rim as it does around a lung cut by the scan field."""
    wide = np.pad(part, 1)
    rim = ndimage.binary_dilation(wide) & ~wide
    return float(np.pad(patient, 1)[rim].mean()) >= MIN_WALLED_PART
