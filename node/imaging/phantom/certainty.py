"""How sure it is which phantom lies in a scan, and why: a number and a sentence."""

from __future__ import annotations

import numpy as np

from node.imaging.phantom.identify import Candidate
from node.imaging.phantom.rows import RodRow

_SURE_LENGTH_MM = 72.0
"""Two vertebrae and the disc between them; a row seen over less may be something else."""
_CLEAR_HU = 20.0
"""A rival that scatters this much more is no rival."""


def confidence(way: Candidate, others: list[Candidate]) -> float:
    """Return how sure ``way`` is, 0 to 1.

    Rods not seen, a face not seen, scatter about the line, few standards, a short row and a rival each take some of it.
    """
    seen = 0.6 + 0.4 * sum(way.seen) / len(way.seen)
    faces = (0.8, 0.9, 1.0)[way.row.slab.flat_faces]
    scatter = float(np.exp(-way.line.rms_residual_hu / 25.0))
    seen *= 0.85 if way.row.lone else 1.0
    standards = 0.9 if len(way.line.residuals_hu) == 2 else 1.0
    length = min(1.0, 0.7 + 0.3 * _length_mm(way) / _SURE_LENGTH_MM)
    lead = min((_lead_hu(way, other) for other in others), default=_CLEAR_HU)
    margin = 0.8 + 0.2 * min(1.0, max(0.0, lead) / _CLEAR_HU)
    return round(seen * faces * scatter * standards * length * margin, 3)


def story(way: Candidate, others: list[Candidate]) -> str:
    """Return how the phantom was found and why it is this one, in sentences."""
    row, line = way.row, way.line
    unseen = [rod.name for rod, seen in zip(way.model.rods, way.seen, strict=True) if not seen]
    said = (
        f"{sum(way.seen)} of {len(way.seen)} rods of radius {row.radius_mm:.1f} mm seen in one slab with "
        f"{row.slab.flat_faces} of 2 faces straight, over {_length_mm(way):.0f} mm"
        f"{', in mirrored order' if way.mirrored else ''}"
    )
    if row.lone:
        said += "; only one differs from the slab, the other is read where it must lie in it"
    if unseen:
        said += f"; {', '.join(unseen)} placed by the pitch of the others"
    said += (
        f"; their attenuation fits {way.model.id} with slope {line.sigma_ct:.3f}, zero at "
        f"{line.beta_ct:.1f} HU and {line.rms_residual_hu:.1f} HU of scatter"
    )
    if not others:
        return f"{said}; no other configured phantom does."
    close = min(others, key=lambda other: _lead_hu(way, other))
    if way.model.nominal < close.model.nominal and abs(_lead_hu(way, close)) < _CLEAR_HU:
        return f"{said}; {close.model.id} fits too, but holds catalogue values."
    return f"{said}; the next best, {close.model.id}, leaves {close.line.rms_residual_hu:.1f} HU."


def beside(rows: list[RodRow]) -> str:
    """Return what else lies in the scan that looks like a phantom, and is none of those configured."""
    return "".join(
        f" Another phantom lies in the scan and is not configured: {len(row.rods)} rods of "
        f"{', '.join(f'{rod.hu:.0f}' for rod in row.rods)} HU."
        for row in rows
    )


def _length_mm(way: Candidate) -> float:
    return way.row.z_range_mm[1] - way.row.z_range_mm[0]


def _lead_hu(way: Candidate, other: Candidate) -> float:
    return other.line.rms_residual_hu - way.line.rms_residual_hu
