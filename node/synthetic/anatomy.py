"""Mean dimensions of vertebrae and ribs of an adult of 172 cm: one table, rounded from published morphometry.

Widths, depths, canal and pedicles after Panjabi 1991 and 1992; heights after CT norms (L5: 30 mm in front, 26 behind).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """One vertebra and the disc below it; mm and degrees."""

    name: str
    label: int
    width: float
    depth: float
    anterior: float
    posterior: float
    disc: float
    tilt: float
    """Of the body's axis in the sagittal plane: positive leans back going up."""
    pedicle: tuple[float, float]
    """Full width and height."""
    canal: tuple[float, float]
    """Full width and depth."""
    transverse: float
    """From the midline to the tip."""
    spinous: tuple[float, float]
    """Reach of the tip behind the body, and how far the tip lies below the body's middle."""


def _level(name: str, label: int, *n: float) -> Level:
    width, depth, anterior, posterior, disc, tilt = n[:6]
    return Level(
        name, label, width, depth, anterior, posterior, disc, tilt, (n[6], n[7]), (n[8], n[9]), n[10], (n[11], n[12])
    )


LEVELS: tuple[Level, ...] = (
    #      name label width depth ant  post disc tilt   pedicle  canal   tp   spinous
    _level("C7", 7, 27, 18.0, 14.5, 15.0, 5.0, -22, 6.5, 7.5, 24, 15, 31, 40, 14),
    _level("T1", 8, 29, 18.5, 15.5, 16.5, 4.5, -24, 8.0, 9.5, 22, 16, 37, 42, 18),
    _level("T2", 9, 28, 19.5, 16.5, 17.5, 4.0, -21, 7.5, 11.5, 19, 15, 34, 41, 22),
    _level("T3", 10, 27, 21.5, 17.0, 18.0, 4.0, -17, 6.0, 12.0, 18, 15, 31, 40, 25),
    _level("T4", 11, 27, 23.0, 17.5, 18.6, 4.0, -13, 5.0, 12.0, 17, 15, 30, 38, 28),
    _level("T5", 12, 27.5, 24.5, 18.0, 19.2, 4.0, -9, 5.0, 12.0, 17, 15, 30, 37, 32),
    _level("T6", 13, 28.5, 26.0, 18.6, 20.0, 4.2, -5, 5.0, 12.0, 17, 15, 30, 36, 34),
    _level("T7", 14, 29.5, 27.5, 19.2, 20.8, 4.4, -1, 5.3, 12.5, 17, 15, 30, 36, 34),
    _level("T8", 15, 31, 28.5, 19.9, 21.6, 4.7, 2, 5.6, 13.0, 17.5, 15, 30, 36, 32),
    _level("T9", 16, 32.5, 29.5, 20.8, 22.4, 5.0, 5, 6.2, 13.8, 18, 15, 29, 37, 29),
    _level("T10", 17, 34.5, 30.5, 22.0, 23.6, 5.5, 7.5, 6.8, 14.8, 18.5, 15.5, 27, 38, 24),
    _level("T11", 18, 37.5, 31.5, 23.0, 25.0, 6.3, 9.5, 8.5, 16.5, 20, 16, 24, 40, 18),
    _level("T12", 19, 41, 32.5, 24.4, 26.4, 7.2, 11, 8.6, 16.6, 22, 17.5, 23, 44, 13),
    _level("L1", 20, 43, 33.5, 26.2, 27.4, 8.4, 10.5, 8.0, 15.6, 23.5, 17.5, 36, 50, 11),
    _level("L2", 21, 44.5, 34.5, 27.2, 27.6, 9.4, 7.0, 8.4, 15.2, 23.8, 17.0, 41, 53, 11),
    _level("L3", 22, 46, 35.0, 27.8, 27.4, 10.4, 1.0, 9.8, 14.8, 24.2, 16.8, 46, 54, 11),
    _level("L4", 23, 48.5, 35.5, 28.0, 26.6, 11.2, -8.0, 12.4, 14.8, 25, 17, 43, 51, 11),
    _level("L5", 24, 51, 35.5, 29.2, 24.8, 10.4, -21.0, 17.0, 14.5, 27, 17, 44, 42, 9),
    _level("S1", 26, 50, 31, 30.0, 26.0, 2.2, -39.0, 0, 0, 30, 16, 0, 26, 4),
    _level("S2", 29, 37, 20, 24.0, 22.0, 1.6, -33.0, 0, 0, 24, 12, 0, 20, 2),
    _level("S3", 30, 29, 14, 20.0, 19.0, 1.2, -20.0, 0, 0, 18, 9, 0, 16, 2),
    _level("S4", 31, 23, 11, 17.0, 17.0, 1.0, -2.0, 0, 0, 13, 6, 0, 11, 1),
    _level("S5", 32, 18, 9, 14.0, 15.0, 3.0, 18.0, 0, 0, 9, 4, 0, 7, 0),
)
COCCYX_TILT_DEG = 38.0

DENSITY_RELATIVE_TO_L1 = {
    "C7": 1.70, "T1": 1.45, "T2": 1.40, "T3": 1.38, "T4": 1.36, "T5": 1.33, "T6": 1.28, "T7": 1.25, "T8": 1.22,
    "T9": 1.20, "T10": 1.16, "T11": 1.10, "T12": 1.05, "L1": 1.0, "L2": 0.97, "L3": 0.95, "L4": 0.97, "L5": 1.03,
    "L6": 1.03, "S1": 1.0, "S2": 0.75, "S3": 0.6, "S4": 0.5, "S5": 0.5,
}  # fmt: skip
"""Usual course of trabecular density; thoracic levels lie some 20 % above lumbar ones (Budoff 2010)."""


@dataclass(frozen=True, slots=True)
class Rib:
    """One pair of ribs: how far round the cage it runs and how far it descends; mm and degrees."""

    reach: float
    """Azimuth of the tip around the cage, from the back's midline."""
    drop: float
    """Descent of the tip below the head."""
    radii: tuple[float, float]
    """Half height and half thickness of its section."""


RIBS: tuple[Rib, ...] = (
    Rib(146, 34, (7.5, 2.8)),
    Rib(149, 52, (6.0, 3.2)),
    Rib(148, 70, (6.0, 3.6)),
    Rib(146, 84, (6.3, 3.8)),
    Rib(144, 95, (6.6, 3.9)),
    Rib(140, 104, (6.8, 4.0)),
    Rib(134, 110, (7.0, 4.1)),
    Rib(124, 110, (7.0, 4.1)),
    Rib(115, 104, (6.8, 4.0)),
    Rib(106, 94, (6.6, 3.9)),
    Rib(84, 72, (6.0, 3.7)),
    Rib(52, 48, (5.2, 3.4)),
)
LUMBAR_RIB = Rib(30, 18, (4.2, 3.0))
LUMBAR_RIB_MM = 52.0
"""Its length from the head; some 30 mm stand clear of the transverse process."""
