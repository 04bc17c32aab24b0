"""Records of scanners for tests: QA scans and patients with chosen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from node.domain.phantom import Material
from node.domain.quality import InsertReading, QualityRecord, RecordedScan, Resolution, ScannerKey, ScanRecord

KEY = ScannerKey("SN-1001", 120.0, "standard")
START = date(2025, 1, 6)
ESP = (("L1", 50.0), ("L2", 100.0), ("L3", 200.0))


def insert(name: str, nominal: float, measured: float | None, hu: float = 140.0) -> InsertReading:
    return InsertReading(name, nominal, "CaHA", measured, hu, 8.0, 0.2, 500, (0.0, 0.0, 0.0), 14.0)


def qa_scan(
    when: date = START,
    densities: Sequence[float] = (49.0, 98.0, 196.0),
    *,
    sigma: float = 1.42,
    beta: float = 0.5,
    key: ScannerKey = KEY,
    phantom: str = "mindways",
    material: Material = "K2HPO4",
) -> ScanRecord:
    """An ESP on a calibration phantom."""
    inserts = tuple(insert(name, nominal, value) for (name, nominal), value in zip(ESP, densities, strict=True))
    covariance = ((1e-5, 0.0), (0.0, 0.1))
    return ScanRecord(
        "qa", key, when, "B30f", "CT1", phantom, material, sigma, beta, covariance, 1.0, "esp", inserts
    )  # fmt: skip


def patient(when: date = START, *, sigma: float = 1.42, beta: float = 0.5, key: ScannerKey = KEY) -> ScanRecord:
    return replace(qa_scan(when, sigma=sigma, beta=beta, key=key), kind="patient", qa_phantom=None, inserts=())


def recorded(*scans: ScanRecord, resolutions: tuple[Resolution, ...] = ()) -> QualityRecord:
    lines = tuple(RecordedScan(n, 0.0, f"1.2.{n}", scan) for n, scan in enumerate(scans, start=1))
    return QualityRecord(lines, resolutions)


def resolution(when: date, after_scan: int, *, new_baseline: bool = False) -> Resolution:
    return Resolution(1, 0.0, KEY.scanner, when, after_scan, new_baseline, "physicist", "cause found")


def series(
    count: int, seed: int = 1, *, shift_from: int = 10**6, shift: float = 0.0, per_scan: float = 0.0
) -> list[ScanRecord]:
    """Monthly ESP scans that repeat to 0.6 mg/cm³, 0.4 % of slope and 0.8 HU; a step and a drift in mg/cm³."""
    rng = np.random.default_rng(seed)
    scans = []
    for n in range(count):
        off = (shift if n >= shift_from else 0.0) + per_scan * n
        densities = [nominal * 0.98 + off + 0.6 * rng.standard_normal() for _, nominal in ESP]
        slope, zero = 1.42 * (1 + 0.004 * rng.standard_normal()), 0.8 * rng.standard_normal()
        scans.append(qa_scan(START + timedelta(days=30 * n), densities, sigma=float(slope), beta=float(zero)))
    return scans
