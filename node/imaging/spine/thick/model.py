"""What slices would show of a column of bodies and discs: attenuation by the surfaces of the endplates.

Along a line across the slices lie spongiosa, a shell, a disc, a shell, spongiosa, and so on. Each endplate is a
polynomial surface over the plane of the slices. A slice shows the mean of all that by its sensitivity, so that its
value is a sum over surfaces: the step of attenuation times the part of the slice above, and the shell's mass times the
sensitivity at it. Only attenuations and surfaces are unknown. (Thin shells blurred by the scanner: Treece et al., Med.
Image Anal. 14:276, 2010; here for a whole column and by slices.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, map_coordinates

from node.imaging.spine.bodyshape import BodyShape
from node.imaging.spine.endplates import HeightMap
from node.imaging.spine.thick.slices import SliceAxes, SliceProfile

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

TERMS = 9
EACH = 2 * TERMS + 4
FARTHEST = 1.15
"""Surfaces are not followed beyond so many half widths and half depths."""
INNER = 0.84
"""Part of the body's radius within which columns are taken: beyond lies the side wall."""
COLUMN_MM, OF_SLICES_MM = 2.5, 5.0
"""Distance of columns in slices of that distance; where there are more slices, fewer columns tell as much."""
WITHIN_MM = 0.35
"""The middle of a shell lies this far inside its outer face."""
DARKEST_HU, DENSEST_HU = -900.0, 900.0
GAS_HU = 10.0
"""Darker voxels hold gas of a disc; those above and below them in the same column may hold some."""
GAS_BELOW_HU = 1080.0
"""A slice filled with gas is so much darker than one filled with disc."""
LESION, WELL_WITHIN_MM, FEWEST_INSIDE, FEWEST_BODIES = 2.5, 4.0, 30, 3
"""Spongiosa so many times less even than the median body's holds a lesion: voxels so far from the outlined endplates,
so many at least, in so many bodies at least."""
MOST_UNEVEN = 8.0
"""A lesion's voxels count no less than by this factor."""
CEMENT_HU = 700.0
"""Brighter voxels hold cement or metal; those above and below them in the same column may hold some."""


def terms(u: Floats, v: Floats) -> Floats:
    """Terms (..., TERMS) of a surface over (u, v) within -1 to 1 (to the left, to the back): polynomials and a dish.

    The dish is 1 in the middle and flat at the rim and beyond.
    """
    u, v = np.clip(u, -FARTHEST, FARTHEST), np.clip(v, -FARTHEST, FARTHEST)
    dish = np.maximum(1.0 - u * u - v * v, 0.0) ** 2
    return np.stack([np.ones_like(u), u, v, dish, u * u, u * v, v * v, v**3 - 0.6 * v, u * u * v], axis=-1)


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of the unknowns in one vector; bodies from head to foot, ``end`` 0 is superior, 1 inferior.

    Disc ``n`` lies above body ``n``; the last one below the last body.
    """

    bodies: int

    @property
    def size(self) -> int:
        return self.bodies * EACH + self.bodies + 1

    def surface(self, body: int, end: int) -> slice:
        """Coefficients of an endplate, mm; the first is its height at the rim."""
        first = body * EACH + end * TERMS
        return slice(first, first + TERMS)

    def height(self, body: int, end: int) -> int:
        return body * EACH + end * TERMS

    def spongiosa(self, body: int, end: int) -> int:
        """Attenuation of the half of the body toward an endplate, HU."""
        return body * EACH + 2 * TERMS + end

    def shell(self, body: int, end: int) -> int:
        """What the shell has more than the spongiosa, HU·mm."""
        return body * EACH + 2 * TERMS + 2 + end

    def disc(self, number: int) -> int:
        """HU."""
        return self.bodies * EACH + number

    def about(self, disc: int) -> Indices:
        """Attenuations and shells that the columns through a disc meet."""
        above, below = disc - 1, disc
        shells = [self.shell(body, end) for body in (above, below) for end in (0, 1)]
        bones = [self.spongiosa(above, 1), self.spongiosa(below, 0)]
        return np.array([*(self.disc(one) for one in (above, disc, below + 1)), *bones, *shells])

    def body(self, body: int) -> Indices:
        """All unknowns of one."""
        return np.arange(body * EACH, (body + 1) * EACH)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Where an endplate lies in the plane of the slices: (u, v) reach 1 at its sides, front and back."""

    centre_mm: Floats
    """(2,): p, q."""
    left: Floats
    """(2,): unit vectors."""
    back: Floats
    half_width_mm: float
    half_depth_mm: float

    def uv(self, pq_mm: Floats) -> tuple[Floats, Floats]:
        """(..., 2) in mm → u, v."""
        away = pq_mm - self.centre_mm
        return (away @ self.left) / self.half_width_mm, (away @ self.back) / self.half_depth_mm


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Columns through one disc, from the middle of the body above to that of the body below."""

    above: int
    t_mm: Floats
    """(slices,): heights of their middles."""
    hu: Floats
    """(columns, slices), between ``DARKEST_HU`` and ``DENSEST_HU``."""
    terms: tuple[Floats, Floats, Floats, Floats]
    """(columns, TERMS) of the four endplates of both bodies, from head to foot."""
    gas: NDArray[np.bool_]
    """(columns, slices): where there may be gas in the disc."""
    cement: NDArray[np.bool_]
    """(columns, slices): where there may be cement: nothing that is too bright there says anything."""
    spread: Floats
    """(columns, slices): how much farther than elsewhere attenuation may lie from the model: inside a lesion, far."""

    def ends(self) -> tuple[tuple[int, int], ...]:
        """(body, end) of the four endplates."""
        return (self.above, 0), (self.above, 1), (self.above + 1, 0), (self.above + 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Everything about one column that does not change while it is fitted."""

    axes: SliceAxes
    profile: SliceProfile
    layout: Layout
    patches: tuple[tuple[Patch, Patch], ...]
    windows: dict[int, Window]
    """By disc; those without any slice are left out."""
    column_mm: float
    """Distance of columns."""
    lesions: NDArray[np.bool_]
    """(bodies,): whose spongiosa is far less even, or another, than the rest's."""

    def residuals(self, x: Floats, disc: int) -> Floats:
        """(columns · slices,): measured less expected, HU over the place's spread, for unknowns ``x`` (size,).

        Gas makes up for what is missing, and cement for what is too much (``explained``).
        """
        window = self.windows[disc]
        expected, share, _ = self._expected(x, window)
        return np.asarray((explained(window.hu - expected, share, window) / window.spread).ravel())

    def linearised(self, x: Floats, disc: int) -> tuple[Floats, Indices, Floats]:
        """``residuals``, the unknowns that matter, and slopes (columns · slices, unknowns) of what is expected."""
        window = self.windows[disc]
        expected, share, found = self._expected(x, window, slopes=True)
        slopes = np.stack([np.broadcast_to(one, expected.shape) for one in found.values()], axis=-1)
        left = explained(window.hu - expected, share, window)
        slopes[left == 0.0] = 0.0
        full = np.nonzero(window.gas & (left < 0.0))
        unknowns = list(found)
        for (body, end), basis, sign in zip(window.ends()[1:3], window.terms[1:3], (1.0, -1.0), strict=True):
            y = window.t_mm - (basis @ x[self.layout.surface(body, end)])[:, None]
            room = sign * GAS_BELOW_HU * self.profile.density(y)[full]
            first = unknowns.index(self.layout.height(body, end))
            slopes[full[0], full[1], first : first + TERMS] -= room[:, None] * basis[full[0]]
        slopes /= window.spread[..., None]
        return (left / window.spread).ravel(), np.array(unknowns), slopes.reshape(-1, slopes.shape[-1])

    def attenuations(self, tries: Floats, disc: int) -> tuple[Floats, Floats, Indices]:
        """Slopes (tries, columns, slices, unknowns) by attenuations alone, what part of each slice the disc fills
        (tries, columns, slices), and which unknowns they are.

        ``tries``: (tries, size) unknowns, of which the surfaces count. What is expected is the slopes' product with
        the attenuations.
        """
        window, layout = self.windows[disc], self.layout
        unknowns = layout.about(disc)
        shape = (len(tries), *window.hu.shape)
        found = {int(one): np.zeros(shape) for one in unknowns}
        found[layout.disc(window.above + 2)] += 1.0
        parts = []
        for (body, end), basis in zip(window.ends(), window.terms, strict=True):
            over, under, shell = self._sides(window, body, end)
            y = window.t_mm - (tries[:, layout.surface(body, end)] @ basis.T)[..., None]
            part = self.profile.above(y)
            parts.append(part)
            found[over] += part
            found[under] -= part
            found[shell] = self.profile.density(y + (WITHIN_MM if end == 0 else -WITHIN_MM))
        return np.stack([found[int(one)] for one in unknowns], axis=-1), parts[2] - parts[1], unknowns

    def _sides(self, window: Window, body: int, end: int) -> tuple[int, int, int]:
        """Unknowns: attenuation above and below an endplate, and its shell's mass."""
        layout = self.layout
        bone = layout.spongiosa(body, 1 if body == window.above else 0)
        disc = layout.disc(body + end)
        return (disc, bone, layout.shell(body, end)) if end == 0 else (bone, disc, layout.shell(body, end))

    def _expected(self, x: Floats, window: Window, *, slopes: bool = False) -> tuple[Floats, Floats, dict[int, Floats]]:
        """What slices should show, what part of each the disc fills, and the slopes of the former."""
        layout, profile = self.layout, self.profile
        lowest = layout.disc(window.above + 2)
        expected: Floats = np.full_like(window.hu, x[lowest])
        found: dict[int, Floats] = {lowest: np.ones_like(expected)}
        parts = []
        for (body, end), basis in zip(window.ends(), window.terms, strict=True):
            over, under, shell = self._sides(window, body, end)
            y = window.t_mm - (basis @ x[layout.surface(body, end)])[:, None]
            inward = y + (WITHIN_MM if end == 0 else -WITHIN_MM)
            part, sheet = profile.above(y), profile.density(inward)
            parts.append(part)
            expected += (x[over] - x[under]) * part + x[shell] * sheet
            if slopes:
                found[over] = found.get(over, 0.0) + part
                found[under] = found.get(under, 0.0) - part
                found[shell] = sheet
                lifted = (x[under] - x[over]) * profile.density(y) - x[shell] * profile.slope(inward)
                first = layout.height(body, end)
                for number in range(TERMS):
                    found[first + number] = lifted * basis[:, number, None]
        return expected, parts[2] - parts[1], found


def explained(missed: Floats, share: Floats, window: Window) -> Floats:
    """Residuals without what gas in the disc explains, as much as fits into its share of a slice, and cement.

    ``missed`` in HU and ``share``, both (..., columns, slices), for one window.
    """
    room = np.where(window.gas, GAS_BELOW_HU * np.maximum(share, 0.0), 0.0)
    darker = np.minimum(missed + room, 0.0)
    return np.asarray(np.where(missed < 0.0, darker, np.where(window.cement, 0.0, missed)))


def build(axes: SliceAxes, shapes: Sequence[BodyShape]) -> tuple[Model, Floats]:
    """The model of a column about outlines (head to foot, at least two), and its unknowns (size,) as they tell them.

    Surfaces alone; attenuations and shells are left 0.
    """
    layout = Layout(len(shapes))
    x = np.zeros(layout.size)
    patches = []
    for number, shape in enumerate(shapes):
        pair = []
        for end, surface in enumerate((shape.superior, shape.inferior)):
            patch, coefficients = _start(axes, shape, surface)
            x[layout.surface(number, end)] = coefficients
            pair.append(patch)
        patches.append((pair[0], pair[1]))
    column_mm = COLUMN_MM * float(np.sqrt(max(OF_SLICES_MM / axes.spacing_mm[0], 1.0)))
    found = {disc: _window(axes, shapes, layout, patches, x, disc, column_mm) for disc in range(1, len(shapes))}
    windows, lesions = _with_lesions(layout, {disc: window for disc, window in found.items() if window.hu.size}, x)
    return Model(axes, SliceProfile(axes.spacing_mm[0]), layout, tuple(patches), windows, column_mm, lesions), x


def _start(axes: SliceAxes, shape: BodyShape, surface: HeightMap) -> tuple[Patch, Floats]:
    """Where an endplate's patch lies, and the polynomial nearest to the surface (t over the slices' plane)."""
    pose = shape.pose
    side = np.linspace(-0.42, 0.42, 13)
    x, y = (one.ravel() for one in np.meshgrid(side * pose.width, side * pose.depth, indexing="ij"))
    inner = np.hypot(2.0 * x / pose.width, 2.0 * y / pose.depth) < 0.9
    x, y = x[inner], y[inner]
    middle = axes.pqt_mm(pose.to_lps(np.array([0.0, 0.0, float(surface.at(np.zeros(1), np.zeros(1))[0])])))
    patch = Patch(middle[:2], axes.within(pose.axes[0]), axes.within(pose.axes[1]), 0.5 * pose.width, 0.5 * pose.depth)
    place = axes.pqt_mm(pose.to_lps(np.stack([x, y, surface.at(x, y)], axis=-1)))
    basis = terms(*patch.uv(place[:, :2]))
    steadied = np.diag([0.0, 0.1, 0.1, 1.0, 5.0, 5.0, 5.0, 20.0, 20.0])
    return patch, np.asarray(np.linalg.solve(basis.T @ basis + steadied, basis.T @ place[:, 2]))


def _window(
    axes: SliceAxes,
    shapes: Sequence[BodyShape],
    layout: Layout,
    patches: Sequence[tuple[Patch, Patch]],
    x: Floats,
    disc: int,
    column_mm: float,
) -> Window:
    above, below = disc - 1, disc
    facing = (patches[above][1], patches[below][0])
    centre = 0.5 * (facing[0].centre_mm + facing[1].centre_mm)
    reach = 1.2 * max(patch.half_width_mm for patch in facing)
    steps = np.arange(-reach, reach + 0.1, column_mm)
    pq = centre + np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    for patch, shape in zip(facing, (shapes[above], shapes[below]), strict=True):
        away = pq - centre
        left, back = away @ patch.left, away @ patch.back
        radius = shape.wall.at(np.arctan2(left, back), np.zeros_like(left))
        pq = pq[np.hypot(left, back) < INNER * radius]
    middles = [0.5 * (x[layout.height(body, 0)] + x[layout.height(body, 1)]) for body in (below, above)]
    numbers = axes.numbers(middles[0], middles[1])
    k, j, i = axes.spacing_mm
    place = np.broadcast_arrays(numbers.astype(float), pq[:, 1, None] / j, pq[:, 0, None] / i)
    sampled = map_coordinates(axes.volume.hu, place, order=1, mode="nearest", output=np.float64)
    basis = [terms(*patches[body][end].uv(pq)) for body in (above, below) for end in (0, 1)]
    hu = np.asarray(np.clip(sampled, DARKEST_HU, DENSEST_HU), dtype=np.float64)
    gas, cement = (binary_dilation(found, np.ones((1, 3))) for found in (hu < GAS_HU, hu > CEMENT_HU))
    t = np.asarray(numbers * k, dtype=np.float64)
    return Window(above, t, hu, (basis[0], basis[1], basis[2], basis[3]), gas, cement, np.ones_like(hu))


def _with_lesions(layout: Layout, windows: dict[int, Window], x: Floats) -> tuple[dict[int, Window], NDArray[np.bool_]]:
    """The windows with a larger spread inside bodies that hold a lesion, and which those are.

    Without it the border of a lesion is a better endplate than the endplate.
    """
    inside = {(disc, part): _inside(layout, window, x, part) for disc, window in windows.items() for part in (0, 1)}
    values = [
        np.concatenate(
            [windows[disc].hu[inside[disc, part]] for disc, part in ((body, 1), (body + 1, 0)) if disc in windows]
            or [np.zeros(0)]
        )
        for body in range(layout.bodies)
    ]
    known = [one for one in values if len(one) >= FEWEST_INSIDE]
    if len(known) < FEWEST_BODIES:
        return windows, np.zeros(layout.bodies, dtype=bool)
    middle = float(np.median([np.median(one) for one in known]))
    uneven = np.array([_unevenness(one, middle) if len(one) >= FEWEST_INSIDE else np.nan for one in values])
    times = np.nan_to_num(uneven / np.nanmedian(uneven), nan=1.0)
    times = np.where(times > LESION, np.minimum(times, MOST_UNEVEN), 1.0)
    out = {}
    for disc, window in windows.items():
        spread = window.spread.copy()
        for part in (0, 1):
            spread[inside[disc, part]] = times[window.above + part]
        out[disc] = replace(window, spread=spread)
    return out, times > 1.0


def _inside(layout: Layout, window: Window, x: Floats, part: int) -> NDArray[np.bool_]:
    """(columns, slices): voxels well within the body above (0) or below (1) a disc, as it was outlined."""
    top, bottom = (
        (window.terms[2 * part + end] @ x[layout.surface(window.above + part, end)])[:, None] for end in (0, 1)
    )
    return np.asarray((window.t_mm < top - WELL_WITHIN_MM) & (window.t_mm > bottom + WELL_WITHIN_MM))


def _unevenness(hu: Floats, usual_hu: float) -> float:
    """Spread of attenuation (by its quartiles), or its distance from the usual where that is larger, HU."""
    low, middle, high = np.percentile(hu, (25.0, 50.0, 75.0))
    return float(max((high - low) / 1.35, abs(middle - usual_hu)))
