"""Voxels with names become vertebrae with places, axes and sizes, whoever named them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.spine import LEVELS, Anchor, Frame, LevelAssignment, SpineMap, VertebraSeed
from node.errors import SpineNotFound
from node.segmenters.images import LabelImage

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WORKED_AT_MM = 2.0
"""Finer label images are thinned to about this: a seed need not be finer."""
LEAST_VOLUME_MM3 = 2500.0
"""A smaller piece is no vertebra; the bodies of T1 hold about 6,000."""
CORE = 0.75
"""The middle of a body is where the distance to the surface is at least this part of its greatest."""
RIB_REACH_MM = 12.0
"""The head of a rib lies nearer than this to the vertebra it belongs to."""
CONTRADICTED = 0.5
"""Confidence of an engine whose own ribs or sacrum belie its names."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One named vertebra: points in LPS mm and the middle of its body."""

    level: str
    points: Floats
    core: Floats
    cut: bool
    """Touches the first or last slice."""


def level_of(name: str) -> str | None:
    """The vertebra that a label is called after (vertebrae_L1, L1), or ``None``."""
    level = re.sub(r"^vertebra[e]?_", "", name)
    return level if level in LEVELS and level != "S1" else None


def spine_of(image: LabelImage, engine: str, trust: float, bodies: LabelImage | None = None) -> SpineMap:
    """Vertebrae of a label image, head to foot.

    ``bodies``: labels called "body" or "vertebrae_body", on the same grid, that cut the bodies out of whole
    vertebrae. Every name has the confidence ``trust``, less where the image contradicts itself.

    Raises ``SpineNotFound`` when the image names no vertebra.
    """
    image = _thinned(image)
    body = _body_voxels(image if bodies is None else _thinned(bodies))
    named = [(number, level) for number, name in image.names.items() if (level := level_of(name))]
    pieces = [piece for number, level in named if (piece := _piece(image, number, level, body))]
    pieces.sort(key=lambda piece: -float(piece.core[2]))
    if not pieces:
        raise SpineNotFound(f"{engine} found no vertebra in this series.")
    line = _line(np.array([piece.core for piece in pieces]))
    seeds = tuple(_seed(piece, along, trust) for piece, along in zip(pieces, line, strict=True))
    contradictions = (*_out_of_order(pieces), *_ribs_amiss(image, pieces), *_sacrum_amiss(image, pieces))
    if contradictions:
        trust = min(trust, CONTRADICTED)
        seeds = tuple(replace(seed, confidence=trust) for seed in seeds)
    said = "; ".join(contradictions) or f"names {seeds[0].level} to {seeds[-1].level}"
    anchor = Anchor("second-opinion", seeds[0].level, f"{engine} {said}")
    canal = np.array([s.frame.centre_lps_mm + (0.5 * s.depth_mm + 9.0) * s.frame.posterior for s in seeds])
    return SpineMap(seeds, LevelAssignment((anchor,), "single", _rib_pairs(image), trust), canal)


def _thinned(image: LabelImage) -> LabelImage:
    """Every n-th voxel."""
    steps = [max(round(WORKED_AT_MM / mm), 1) for mm in image.spacing_mm]
    if max(steps) == 1:
        return image
    affine = image.affine_lps_mm.copy()
    affine[:3, :3] *= np.array(steps)
    k, j, i = steps
    return LabelImage(np.ascontiguousarray(image.labels[::k, ::j, ::i]), affine, image.names)


def _body_voxels(image: LabelImage) -> Bools | None:
    numbers = [n for n, name in image.names.items() if name in ("body", "vertebrae_body")]
    return np.isin(image.labels, numbers) if numbers else None


def _piece(image: LabelImage, number: int, level: str, body: Bools | None) -> _Piece | None:
    """The largest connected part that bears a number."""
    box = ndimage.find_objects((image.labels == number).view(np.uint8))
    if not box or box[0] is None:
        return None
    crop = image.labels[box[0]] == number
    voxel_mm3 = float(np.prod(image.spacing_mm))
    pieces = cc3d.connected_components(crop, connectivity=26)
    crop = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    whole = crop if body is None else crop & body[box[0]]
    if float(whole.sum()) * voxel_mm3 < LEAST_VOLUME_MM3:
        whole = crop
    if float(whole.sum()) * voxel_mm3 < LEAST_VOLUME_MM3:
        return None
    depth = ndimage.distance_transform_edt(np.pad(whole, 1), sampling=image.spacing_mm)[1:-1, 1:-1, 1:-1]
    start = np.array([part.start for part in box[0]])
    core = image.lps_mm(np.argwhere(depth >= CORE * depth.max()) + start).mean(axis=0)
    slices = box[0][0]
    cut = slices.start == 0 or slices.stop == image.labels.shape[0]
    return _Piece(level, image.lps_mm(np.argwhere(whole).astype(np.float64) + start), core, cut)


def _line(cores: Floats) -> Floats:
    """Unit vectors toward the head at each body centre, from its neighbours."""
    if len(cores) == 1:
        return np.array([[0.0, 0.0, 1.0]])
    step = -np.gradient(cores, axis=0)
    unit: Floats = step / np.linalg.norm(step, axis=1, keepdims=True)
    return unit


def _seed(piece: _Piece, superior: Floats, trust: float) -> VertebraSeed:
    """Axes and sizes from the voxels: the body is the solid part in front of the canal, wider than deep."""
    posterior = np.array([0.0, 1.0, 0.0]) - superior[1] * superior
    posterior /= np.linalg.norm(posterior)
    offset = piece.points - piece.core
    posterior = _rolled(offset, posterior, superior)
    left = np.cross(posterior, superior)
    x, y, z = offset @ left, offset @ posterior, offset @ superior
    front, back = _run(y[(np.abs(x) < 7.0) & (np.abs(z) < 6.0)])
    in_body = (y >= front) & (y <= back)
    low, high = np.percentile(z[in_body & (np.abs(x) < 10.0)], (2, 98))
    sides = np.percentile(x[in_body & (np.abs(z - 0.5 * (low + high)) < 4.0) & (y < 0.3 * back)], (2, 98))
    centre = piece.core + 0.5 * ((sides[0] + sides[1]) * left + (front + back) * posterior + (low + high) * superior)
    size = np.array([high - low, sides[1] - sides[0], back - front]) * 1.04
    height, width, depth = (float(value) for value in np.clip(size, (10.0, 20.0, 15.0), (45.0, 70.0, 50.0)))
    frame = Frame(centre, left, posterior, superior)
    return VertebraSeed(piece.level, trust, frame, height, width, depth, not piece.cut)


def _rolled(offset: Floats, posterior: Floats, superior: Floats) -> Floats:
    """The posterior axis of a patient who lies rolled: toward the arch where there is one, else across the width."""
    left = np.cross(posterior, superior)
    x, y = offset @ left, offset @ posterior
    behind = np.hypot(x, y) > 30.0
    if behind.mean() > 0.1:
        turn = np.arctan2(float(x[behind].mean()), float(y[behind].mean()))
    else:
        spread = np.cov(x, y)
        turn = 0.5 * np.arctan2(-2.0 * spread[0, 1], spread[0, 0] - spread[1, 1])
    turned: Floats = np.cos(turn) * posterior + np.sin(turn) * left
    return turned


def _run(y: Floats) -> tuple[float, float]:
    """Ends of the unbroken run of points about 0: a body up to its canal."""
    filled = np.histogram(y, bins=np.arange(-40.0, 42.0, 2.5))[0]
    solid = filled > 0.25 * max(int(filled.max()), 1)
    edges = np.arange(-40.0, 42.0, 2.5)
    middle = 16
    first = last = middle
    while first > 0 and solid[first - 1]:
        first -= 1
    while last < len(solid) - 1 and solid[last + 1]:
        last += 1
    inside = y[(y >= edges[first]) & (y <= edges[last + 1])]
    if len(inside) < 8:
        return -15.0, 15.0
    low, high = np.percentile(inside, (1, 99))
    return float(low), float(high)


def _out_of_order(pieces: Sequence[_Piece]) -> list[str]:
    """Names that are not neighbours of their neighbours (11 to 13 thoracic and 4 to 6 lumbar ones are)."""
    usual = [level for level in LEVELS if level not in ("T13", "L6")]
    amiss = []
    for upper, lower in pairwise(pieces):
        both = (upper.level, lower.level)
        if "T13" in both or "L6" in both or both == ("T11", "L1"):
            continue
        if usual.index(lower.level) != usual.index(upper.level) + 1:
            amiss.append(f"puts {lower.level} below {upper.level}")
    return amiss


def _ribs_amiss(image: LabelImage, pieces: Sequence[_Piece]) -> list[str]:
    """Ribs whose heads lie at a vertebra of another number, where two or more say so."""
    amiss = set()
    for number, name in image.names.items():
        found = re.fullmatch(r"rib_(?:left|right)_(\d+)", name)
        points = image.lps_mm(np.argwhere(image.labels == number).astype(np.float64)) if found else np.empty((0, 3))
        if not found or len(points) < 20:
            continue
        reach = [np.linalg.norm(points - piece.core, axis=1).min() for piece in pieces]
        nearest = int(np.argmin(reach))
        level = pieces[nearest].level
        middle = 0 < nearest < len(pieces) - 1
        if middle and reach[nearest] < 25.0 + RIB_REACH_MM and level[0] == "T":
            away = int(level[1:]) - int(found[1])
            if away not in (0, -1, 1):
                amiss.add(f"puts rib {found[1]} at {level}")
        elif middle and reach[nearest] < 25.0 and level in ("L2", "L3", "L4"):
            amiss.add(f"puts rib {found[1]} at {level}")
    return sorted(amiss) if len(amiss) > 1 else []


def _sacrum_amiss(image: LabelImage, pieces: Sequence[_Piece]) -> list[str]:
    """A sacrum right below a vertebra that cannot be the last."""
    numbers = [n for n, name in image.names.items() if name == "sacrum"]
    sacrum = np.argwhere(np.isin(image.labels, numbers)) if numbers else np.empty((0, 3))
    if len(sacrum) < 200 or pieces[-1].level in ("L4", "L5", "L6"):
        return []
    top = image.lps_mm(sacrum.astype(np.float64))[:, 2].max()
    if float(pieces[-1].core[2]) - float(top) > 45.0:
        return []
    return [f"puts the sacrum below {pieces[-1].level}"]


def _rib_pairs(image: LabelImage) -> int:
    """Ribs of which both sides are labelled."""
    seen = {image.names[int(n)] for n in np.unique(image.labels) if int(n) in image.names}
    return sum({f"rib_left_{n}", f"rib_right_{n}"} <= seen for n in range(1, 14))
