"""PNG previews: the spine from the side with its vertebrae named, and L1 and L2 from below with VOI and rods.

The captions hold measurements and warnings only, nothing that identifies a patient.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.domain.findings import Findings
from node.domain.phantom import RodReading
from node.domain.spine import Vertebra
from node.domain.volume import Volume
from node.report.canvas import Canvas, Colour
from node.report.outline import Raster, outlines

_NOTICE = "Automatic, not verified. Not for diagnosis."
_BONE_WINDOW_HU = (300.0, 1500.0)
_CLOSE_UP_WINDOW_HU = (250.0, 1000.0)
_BODY_WINDOW_HU = (150.0, 900.0)
_NAMED: Colour = (120, 200, 255)
_MEASURED: Colour = (255, 214, 70)
_VOI: Colour = (255, 96, 96)
_ROD: Colour = (110, 235, 130)
_AXIAL_LEVELS = ("L1", "L2")
_INSET_MM = 70.0
_MARGIN_MM = 100.0
_MOST_WARNINGS = 3


def previews(volume: Volume, findings: Findings, out_dir: Path) -> tuple[Path, ...]:
    """Draw what was found into ``out_dir``; the files in the order sagittal, axial from head to foot."""
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = [_sagittal(volume, findings, out_dir / "sagittal.png")]
    for vertebra in _shown(findings):
        paths.append(_axial(volume, findings, vertebra, out_dir / f"axial-{vertebra.level}.png"))
    return tuple(paths)


def _shown(findings: Findings) -> list[Vertebra]:
    """The vertebrae that a reader asks for: L1 and L2, those of the mean, or else the lowest two with a VOI."""
    levels = [v for v in findings.vertebrae if v.level in findings.vois]
    return [v for v in levels if v.level in _AXIAL_LEVELS or v.level in findings.mean_levels] or levels[-2:]


def _sagittal(volume: Volume, findings: Findings, path: Path) -> Path:
    hu, raster = _around_spine(*_sagittal_plane(volume, findings), findings)
    canvas = Canvas(hu, raster, _BONE_WINDOW_HU, (900, 1000))
    shown = {vertebra.level for vertebra in _shown(findings)}
    for vertebra in findings.vertebrae:
        colour = _MEASURED if vertebra.level in shown else _NAMED
        loops = outlines(volume, vertebra.body, raster)
        for loop in loops[:1]:
            canvas.outline(loop, colour)
        if vertebra.level in shown:
            for loop in outlines(volume, findings.vois[vertebra.level].mask, raster):
                canvas.outline(loop, _VOI)
        _name(canvas, vertebra, loops, colour)
    canvas.sides(*_letters(raster))
    canvas.save(path, _captions(findings), 640)
    return path


def _around_spine(hu: NDArray[np.int16], raster: Raster, findings: Findings) -> tuple[NDArray[np.int16], Raster]:
    """The part of the picture in front of and behind the spine that a reader needs: the spine becomes larger."""
    if not findings.vertebrae:
        return hu, raster
    columns = raster.pixels(np.array([v.frame.centre_lps_mm for v in findings.vertebrae]))[:, 0]
    margin = _MARGIN_MM / float(np.linalg.norm(raster.along_row_mm))
    low = int(np.clip(np.floor(columns.min() - margin), 0, raster.columns - 1))
    high = int(np.clip(np.ceil(columns.max() + margin), low + 1, raster.columns))
    origin = raster.lps_mm(np.array([low, 0.0]))
    part = Raster(origin, raster.along_row_mm, raster.along_column_mm, raster.rows, high - low)
    return hu[:, low:high], part


def _sagittal_plane(volume: Volume, findings: Findings) -> tuple[NDArray[np.int16], Raster]:
    """The reformat nearest to the vertebrae, else a plain cut through them or through the middle."""
    centres = np.array([v.frame.centre_lps_mm for v in findings.vertebrae]).reshape(-1, 3)
    for reformat in findings.reformats:
        rasters = [_raster(reformat.affine_lps_mm, reformat.hu.shape, n) for n in range(reformat.hu.shape[0])]
        away = [np.abs((centres - r.origin_lps_mm) @ r.normal).mean() if len(centres) else 0.0 for r in rasters]
        best = int(np.argmin(away)) if len(centres) else len(rasters) // 2
        return reformat.hu[best], rasters[best]
    _, _, columns = volume.hu.shape
    i = round(float(np.median(volume.index_kji(centres)[:, 2]))) if len(centres) else columns // 2
    i = min(max(i, 0), columns - 1)
    hu = volume.hu[::-1, :, i]
    k = volume.hu.shape[0] - 1
    down, right = -volume.affine_lps_mm[:3, 0], volume.affine_lps_mm[:3, 1]
    return hu, Raster(volume.lps_mm([k, 0, i]), right.copy(), down, hu.shape[0], hu.shape[1])


def _raster(affine: NDArray[np.float64], shape: tuple[int, ...], image: int) -> Raster:
    return Raster((affine @ [image, 0, 0, 1])[:3], affine[:3, 2].copy(), affine[:3, 1].copy(), shape[1], shape[2])


def _letters(raster: Raster) -> tuple[str, str, str, str]:
    """What lies at the left, right, top and bottom edge (PS3.3 C.7.6.1.1.1)."""

    def letter(direction: NDArray[np.float64]) -> str:
        axis = int(np.argmax(np.abs(direction)))
        return ("LR", "PA", "HF")[axis][0 if direction[axis] > 0 else 1]

    row, column = raster.along_row_mm, raster.along_column_mm
    return letter(-row), letter(row), letter(-column), letter(column)


def _name(canvas: Canvas, vertebra: Vertebra, loops: tuple[NDArray[np.float64], ...], colour: Colour) -> None:
    """The vertebra's name in front of its body."""
    if loops:
        edge = canvas.place(loops[0] - 0.5)
        spot = float(edge[:, 0].min()) - 8, float(edge[:, 1].mean())
    else:
        x, y = canvas.place_lps(vertebra.frame.centre_lps_mm)
        spot = float(x), float(y)
    spot = max(spot[0], 44.0), spot[1]
    canvas.label(spot, vertebra.level, colour, 18, "rm")


def _axial(volume: Volume, findings: Findings, vertebra: Vertebra, path: Path) -> Path:
    voi = findings.vois[vertebra.level]
    k = round(float(volume.index_kji(voi.centre_lps_mm)[0]))
    k = min(max(k, 0), volume.hu.shape[0] - 1)
    rows, columns = volume.hu.shape[1:]
    step = volume.affine_lps_mm
    whole = Raster(volume.lps_mm([k, 0, 0]), step[:3, 2].copy(), step[:3, 1].copy(), rows, columns)
    canvas = Canvas(volume.hu[k], whole, _BODY_WINDOW_HU, (700, 700))
    _draw_axial(canvas, volume, findings, vertebra, whole, 1.5)
    if findings.phantom is not None:
        for reading in findings.phantom.rods:
            centre = _rod_centre(reading, whole)
            canvas.circle(centre, reading.radius_mm, _ROD)
            x, y = canvas.place_lps(centre + np.array([0.0, reading.radius_mm + 3.0, 0.0]))
            canvas.label((float(x), float(y)), reading.rod.name, _ROD, 13, "mt")
    canvas.sides(*_letters(whole))
    legend = [("Vertebral body", _MEASURED), ("Volume of interest", _VOI)]
    legend += [("Calibration rods", _ROD)] if findings.phantom is not None else []
    canvas.beside(_close_up(volume, findings, vertebra, whole, k), legend)
    canvas.save(path, [(_level_caption(findings, vertebra.level), 17), *_captions(findings)[-1:]])
    return path


def _close_up(volume: Volume, findings: Findings, vertebra: Vertebra, whole: Raster, k: int) -> Canvas:
    """The vertebra alone, larger."""
    half = np.array([_INSET_MM / 2 / np.linalg.norm(step) for step in (whole.along_row_mm, whole.along_column_mm)])
    centre = whole.pixels(np.asarray(vertebra.frame.centre_lps_mm))
    limits = [whole.columns, whole.rows]
    low = np.clip(np.floor(centre - half).astype(int), 0, np.array(limits) - 1)
    high = np.maximum(np.clip(np.ceil(centre + half).astype(int), 0, limits), low + 1)
    part = Raster(
        whole.lps_mm(low.astype(np.float64)),
        whole.along_row_mm,
        whole.along_column_mm,
        int(high[1] - low[1]),
        int(high[0] - low[0]),
    )
    canvas = Canvas(volume.hu[k, low[1] : high[1], low[0] : high[0]], part, _CLOSE_UP_WINDOW_HU, (380, 380))
    _draw_axial(canvas, volume, findings, vertebra, part, 1.5)
    canvas.label((8.0, 14.0), vertebra.level, _MEASURED, 18)
    return canvas


def _draw_axial(
    canvas: Canvas, volume: Volume, findings: Findings, vertebra: Vertebra, raster: Raster, width: float
) -> None:
    for loop in outlines(volume, vertebra.body, raster)[:1]:
        canvas.outline(loop, _MEASURED, width)
    for loop in outlines(volume, findings.vois[vertebra.level].mask, raster):
        canvas.outline(loop, _VOI, width)


def _rod_centre(reading: RodReading, raster: Raster) -> NDArray[np.float64]:
    """Where a rod was read nearest to a plane."""
    centres = np.asarray(reading.slice_centres_lps_mm, dtype=np.float64).reshape(-1, 3)
    if not len(centres):
        return np.asarray(reading.centre_lps_mm, dtype=np.float64)
    away = np.abs((centres - raster.origin_lps_mm) @ raster.normal)
    nearest: NDArray[np.float64] = centres[int(np.argmin(away))]
    return nearest


def _unit(findings: Findings) -> str:
    return f"mg/cm³ {findings.calibration.material}" if findings.calibration is not None else "mg/cm³"


def _level_caption(findings: Findings, level: str) -> str:
    voi, density = findings.vois[level], findings.densities.get(level)
    attenuation = f"{voi.hu_mean:.0f} HU (SD {voi.hu_sd:.0f})"
    if density is None or findings.refusal is not None:
        return f"{level}: {attenuation}; no density"
    out = "" if density.included_in_mean else f" Not in the mean: {density.exclusion_reason or 'excluded'}."
    value, uncertainty = density.vbmd_mg_cm3, density.expanded_uncertainty_mg_cm3
    return f"{level}: {value:.1f} ± {uncertainty:.1f} {_unit(findings)} (k = 2); {attenuation}.{out}"


def _captions(findings: Findings) -> list[tuple[str, int]]:
    """What was found, in a few lines; the notice is the last."""
    lines: list[tuple[str, int]] = []
    if findings.refusal is not None:
        lines.append((f"Not measured: {findings.refusal.message}", 19))
    elif findings.mean_vbmd_mg_cm3 is not None:
        uncertainty = findings.mean_expanded_uncertainty_mg_cm3
        spread = "" if uncertainty is None else f" ± {uncertainty:.1f}"
        mean = f"Mean of {', '.join(findings.mean_levels)}: {findings.mean_vbmd_mg_cm3:.1f}{spread} {_unit(findings)}"
        lines.append((f"{mean}; category: {findings.category.replace('-', ' ')}", 19))
        lines += [(line, 16) for line in _other_values(findings)]
    lines += [(_level_caption(findings, vertebra.level), 16) for vertebra in _shown(findings)]
    lines += [(line, 15) for line in _calibration_caption(findings)]
    gravest_first = sorted(findings.cautions, key=lambda caution: caution.effect == "warn")
    lines += [(f"Warning: {caution.message}", 15) for caution in gravest_first[:_MOST_WARNINGS]]
    if len(gravest_first) > _MOST_WARNINGS:
        lines.append((f"and {len(gravest_first) - _MOST_WARNINGS} more warnings in the report", 15))
    return [*lines, (_NOTICE, 14)]


def _other_values(findings: Findings) -> list[str]:
    """The mean expressed in other ways, each under its own name."""
    named = {
        "K2HPO4 equivalent by the site's cross-calibration": findings.mean_k2hpo4,
        "Estimate without contrast medium (Toelly 2017)": findings.mean_native_estimate,
    }
    return [
        f"{name}: {value.vbmd_mg_cm3:.1f} ± {value.expanded_uncertainty_mg_cm3:.1f} mg/cm³ (k = 2)"
        for name, value in named.items()
        if value is not None
    ]


def _calibration_caption(findings: Findings) -> list[str]:
    """Where the calibration comes from, and how good it is."""
    line = findings.calibration
    if line is None or findings.refusal is not None:
        return []
    text = f"HU = {line.sigma_ct:.3f} × density {'+' if line.beta_ct >= 0 else '−'} {abs(line.beta_ct):.1f}"
    if line.kind == "asynchronous":
        return [f"Asynchronous calibration, no phantom in this scan: {text}"]
    model = findings.phantom.phantom.model if findings.phantom is not None else "phantom"
    quality = "" if line.r_squared is None else f"; r² {line.r_squared:.5f}"
    spread = "" if findings.slope_cv_percent is None else f"; slopes differ by {findings.slope_cv_percent:.1f} % (CV)"
    return [f"Calibration by {model}: {text}{quality}{spread}"]
