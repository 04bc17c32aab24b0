"""Scans of QA phantoms, without a patient: a body with inserts above a calibration phantom, of known truth.

- ``esp``          European Spine Phantom: three vertebrae with 50, 100 and 200 mg/cm³ HA in cortical shells of
                   0.5, 1.0 and 1.5 mm, arches and processes, in an oval body
- ``ha-cylinder``  a torso slab 40 mm thick with one cylinder of 32 mm and 100 mg/cm³ (for the Chinese four-point slab)
- ``mindways-qa``  a slab with the four rods of the Mindways QA phantom lying on the calibration phantom
- ``water``        a cylinder of water, as scanners are checked with every morning

Sizes are assumed except those given here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from node.domain.phantom import PhantomModel
from node.synthetic import couch, phantoms, scanner
from node.synthetic.canvas import Box, Canvas, Vector, cover
from node.synthetic.column import rotation
from node.synthetic.known import phantom_truth, point
from node.synthetic.phantoms import Slab
from node.synthetic.physics import Physics
from node.synthetic.spec import TorsoSpec
from node.synthetic.truth import Point, SyntheticCase, Truth

Kind = Literal["esp", "ha-cylinder", "mindways-qa", "water"]
CORTICAL_HA_MG_CM3 = 800.0
PLASTIC_HU = 12.0


@dataclass(frozen=True, slots=True)
class QaSpec:
    """What lies in the scanner, and how. Scanner, kVp, kernel, noise and phantom are those of ``scan``."""

    scan: TorsoSpec
    kind: Kind = "esp"
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Pitch, yaw and roll of the QA phantom on the calibration phantom."""
    shift_mm: tuple[float, float] = (0.0, 0.0)
    """Toward the left and the head."""
    margin_mm: float = 12.0
    """Scanned beyond either end of the QA phantom; negative cuts it."""
    fat_ring_mm: float = 0.0
    """Thickness of a ring of fat-equivalent plastic about the body."""
    head_first: bool = True
    """Whether the first insert lies toward the head."""


@dataclass(frozen=True, slots=True)
class InsertTruth:
    """One insert."""

    name: str
    nominal_mg_cm3: float
    hu: float
    centre_lps_mm: Point


@dataclass(frozen=True, slots=True, eq=False)
class QaCase:
    """A scan and what is known about it; ``case`` is written as DICOM like any other."""

    case: SyntheticCase
    inserts: tuple[InsertTruth, ...]
    sigma_ct: float
    """Of the calibration phantom's material; K2HPO4 where there is none."""
    beta_ct: float


@dataclass(frozen=True, slots=True)
class _Vertebra:
    """One ESP vertebra: HA density, shell, half height, place along z."""

    name: str
    density: float
    shell: float
    half: float
    z: float


ESP = (
    _Vertebra("L1", 50.0, 0.5, 11.0, 34.0),
    _Vertebra("L2", 100.0, 1.0, 12.0, 0.0),
    _Vertebra("L3", 200.0, 1.5, 13.0, -36.0),
)
ESP_CENTRE_Y = 22.0
_HALF_LENGTH = {"esp": 75.0, "ha-cylinder": 20.0, "mindways-qa": 90.0, "water": 70.0}
_HALF_SIZE = {
    "esp": (140.0, 90.0),
    "ha-cylinder": (150.0, 100.0),
    "mindways-qa": (110.0, 20.0),
    "water": (100.0, 100.0),
}


def scan_spec(seed: int = 1, phantom: PhantomModel | None = None, **changes: object) -> TorsoSpec:
    """A scan as QA phantoms are scanned; ``changes`` are fields of ``TorsoSpec``."""
    usual: dict[str, object] = {
        "matrix": 256, "spacing_mm": 2.0, "thickness_mm": 2.0, "fov_mm": 420.0, "couch": "flat", "mattress_mm": 2.0,
        "noise_hu": 8.0, "device_serial_number": "SN-1001", "manufacturer": "SIEMENS", "patient_name": "QA^Phantom",
    }  # fmt: skip
    return TorsoSpec(seed=seed, phantom=phantom, **(usual | changes))  # type: ignore[arg-type]


def make(spec: QaSpec) -> QaCase:
    """Render the scan. The same spec gives the same voxels."""
    scan, physics = spec.scan, Physics.of(spec.scan)
    half = _HALF_LENGTH[spec.kind]
    bed, slab = _below(spec, physics)
    frame = _frame(spec)
    affine, slices = _grid(spec, half)
    pixel = scan.fov_mm / scan.matrix
    hu = np.empty((slices, scan.matrix, scan.matrix), dtype=np.int16)
    noise, circle = scanner.Noise(scan, pixel), scanner.outside_circle(scan.matrix)
    step = max(3_000_000 // scan.matrix**2, 1)
    for first in range(0, slices, step):
        last = min(first + step, slices)
        moved = affine.copy()
        moved[:3, 3] += affine[:3, 0] * first
        shape = (last - first, scan.matrix, scan.matrix)
        blank = np.full(shape, -1000.0, dtype=np.float32)
        canvas = Canvas(blank, np.zeros(shape, dtype=np.uint8), moved, pixel, scan.thickness_mm)
        couch.paint(canvas, bed, (-1e4, 1e4))
        if slab is not None:
            phantoms.paint(canvas, slab)
        _paint(canvas.in_frame(np.linalg.inv(frame)), spec, physics)
        hu[first:last] = scanner.finished(canvas.hu, first, scan, noise, pixel, circle)
    material = slab.model.material if slab is not None else "K2HPO4"
    truth = Truth(
        material,
        physics.sigma_ct(material),
        physics.offset_hu,
        {},
        None if slab is None else phantom_truth(slab),
        float("nan"),
        0,
        np.zeros((0, 3)),
    )
    case = SyntheticCase(scan, hu, np.zeros(hu.shape, dtype=np.uint8), affine.astype(np.float64), truth)
    return QaCase(case, _inserts(spec, physics, frame), truth.sigma_ct, truth.beta_ct)


def _frame(spec: QaSpec) -> Vector:
    """(4, 4): coordinates of the QA phantom → LPS."""
    out = np.eye(4)
    out[:3, :3] = rotation(*spec.turn_deg)
    if not spec.head_first:
        out[:3, :3] = out[:3, :3] @ np.diag([-1.0, 1.0, -1.0])
    out[:3, 3] = (spec.shift_mm[0], 0.0, spec.scan.l1_z_mm + spec.shift_mm[1])
    return out


def _below(spec: QaSpec, physics: Physics) -> tuple[couch.Bed, Slab | None]:
    """Couch, and the calibration phantom right under the QA phantom."""
    scan = spec.scan
    contact = _HALF_SIZE[spec.kind][1] + spec.fat_ring_mm + 1.0
    contact += abs(float(np.sin(np.radians(spec.turn_deg[2])))) * _HALF_SIZE[spec.kind][0] * 0.3
    if scan.phantom is None:
        return couch.Bed(scan.couch, contact, scan.mattress_mm, None), None
    loose = phantoms.place(scan.phantom, np.eye(4), physics, mirrored=scan.phantom_reversed)
    half, thick = loose.half[0], 2.0 * loose.half[1]
    bed = couch.Bed(scan.couch, contact, scan.mattress_mm, (half, thick))
    frame = np.eye(4)
    frame[:3, 3] = (scan.phantom_shift_mm, bed.slab_top + thick / 2.0, scan.l1_z_mm)
    return bed, phantoms.place(scan.phantom, frame, physics, mirrored=scan.phantom_reversed)


def _grid(spec: QaSpec, half: float) -> tuple[Vector, int]:
    scan = spec.scan
    pixel = scan.fov_mm / scan.matrix
    low = scan.l1_z_mm + spec.shift_mm[1] - half - spec.margin_mm
    slices = round(2 * (half + spec.margin_mm) / scan.spacing_mm)
    affine = np.eye(4)
    affine[:3, 0] = (0.0, 0.0, scan.spacing_mm)
    affine[:3, 1] = (0.0, pixel, 0.0)
    affine[:3, 2] = (pixel, 0.0, 0.0)
    edge = (scan.matrix - 1) / 2.0 * pixel
    affine[:3, 3] = (-edge, 20.0 - edge, low)
    return affine, slices


def _inserts(spec: QaSpec, physics: Physics, frame: Vector) -> tuple[InsertTruth, ...]:
    def lps(x: float, y: float, z: float) -> Point:
        return point(frame[:3, :3] @ np.array([x, y, z]) + frame[:3, 3])

    if spec.kind == "esp":
        return tuple(
            InsertTruth(one.name, one.density, _ha(physics, one.density), lps(0.0, ESP_CENTRE_Y, one.z)) for one in ESP
        )
    if spec.kind == "ha-cylinder":
        return (InsertTruth("100", 100.0, _ha(physics, 100.0), lps(0.0, ESP_CENTRE_Y, 0.0)),)
    if spec.kind == "mindways-qa":
        model = phantoms.MINDWAYS_QA
        return tuple(
            InsertTruth(rod.name, rod.density_mg_cm3, physics.rod(rod, model.material), lps(x, 0.0, 0.0))
            for rod, x in zip(model.rods, _QA_ROD_X, strict=True)
        )
    return ()


def _ha(physics: Physics, density: float) -> float:
    return physics.sigma_ct("CaHA") * density + physics.offset_hu


_QA_ROD_X = (-69.0, -23.0, 23.0, 69.0)


def _paint(canvas: Canvas, spec: QaSpec, physics: Physics) -> None:
    (hx, hy), hz = _HALF_SIZE[spec.kind], _HALF_LENGTH[spec.kind]
    plastic = (4.0 if spec.kind == "water" else PLASTIC_HU) + physics.offset_hu
    if spec.kind == "mindways-qa":
        _box(canvas, (hx, hy, hz), 25.0 + physics.offset_hu)
        for insert, x in zip(_inserts(spec, physics, np.eye(4)), _QA_ROD_X, strict=True):
            _cylinder(canvas, (x, 0.0), (9.5, 9.5), (-hz, hz), insert.hu)
        return
    if spec.fat_ring_mm:
        ring = spec.fat_ring_mm
        _cylinder(canvas, (0.0, 0.0), (hx + ring, hy + ring), (-hz, hz), -90.0 + physics.offset_hu)
    _cylinder(canvas, (0.0, 0.0), (hx, hy), (-hz, hz), plastic)
    if spec.kind == "esp":
        for one in ESP:
            _vertebra(canvas, one, physics, plastic)
    elif spec.kind == "ha-cylinder":
        _cylinder(canvas, (0.0, ESP_CENTRE_Y), (16.0, 16.0), (-hz, hz), _ha(physics, 100.0))


def _vertebra(canvas: Canvas, one: _Vertebra, physics: Physics, plastic: float) -> None:
    """Body with shell and endplates, an arch about a canal, and processes."""
    bone = _ha(physics, CORTICAL_HA_MG_CM3)
    y, (a, b), z = ESP_CENTRE_Y, (20.0, 16.0), (one.z - one.half, one.z + one.half)
    arch, canal = y + b + 10.0, 10.0
    low, high = one.z - 6.0, one.z + 6.0
    _cylinder(canvas, (0.0, arch), (canal + 4.0, canal + 4.0), (low, high), bone * 0.6)
    _cylinder(canvas, (0.0, arch + 20.0), (3.0, 9.0), (low, high), bone * 0.5)
    for side in (-1.0, 1.0):
        _cylinder(canvas, (side * 26.0, arch), (14.0, 4.0), (low, high), bone * 0.5)
    _cylinder(canvas, (0.0, arch), (canal, canal), (low - 1.0, high + 1.0), plastic)
    _cylinder(canvas, (0.0, y), (a, b), z, bone)
    inner = (z[0] + one.shell, z[1] - one.shell)
    _cylinder(canvas, (0.0, y), (a - one.shell, b - one.shell), inner, _ha(physics, one.density))


def _cylinder(
    canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float], z: tuple[float, float], hu: float
) -> None:
    """Fill an elliptic cylinder along z."""
    (cx, cy), (a, b) = centre, radii
    block = canvas.block(Box((cx - a - 3, cy - b - 3, z[0] - 3), (cx + a + 3, cy + b + 3, z[1] + 3)))
    if block is None:
        return
    u, v = block.x - np.float32(cx), block.y - np.float32(cy)
    level = np.sqrt((u / a) ** 2 + (v / b) ** 2) + np.float32(1e-6)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2) + np.float32(1e-6)
    distance = ((level - 1.0) * level / slope).astype(np.float32)
    middle, half = (z[0] + z[1]) / 2.0, (z[1] - z[0]) / 2.0
    ends = cover((np.abs(block.z - np.float32(middle)) - np.float32(half)).astype(np.float32), canvas.edge_z_mm)
    canvas.fill(block, cover(distance, canvas.edge_xy_mm) * ends, hu)


def _box(canvas: Canvas, half: tuple[float, float, float], hu: float) -> None:
    hx, hy, hz = half
    block = canvas.block(Box((-hx, -hy, -hz), half))
    if block is None:
        return
    sides = [
        cover((np.abs(axis) - np.float32(reach)).astype(np.float32), edge)
        for axis, reach, edge in (
            (block.x, hx, canvas.edge_xy_mm),
            (block.y, hy, canvas.edge_xy_mm),
            (block.z, hz, canvas.edge_z_mm),
        )
    ]
    canvas.fill(block, sides[0] * sides[1] * sides[2], hu)


def drifted(scan: TorsoSpec, slope: float = 1.0, offset_hu: float = 0.0, date: str | None = None) -> TorsoSpec:
    """The same scan on a scanner whose slope and water have moved, on another day."""
    return replace(
        scan,
        scanner_slope=scan.scanner_slope * slope,
        scanner_offset_hu=scan.scanner_offset_hu + offset_hu,
        study_date=date or scan.study_date,
    )
