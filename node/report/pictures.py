"""PNG previews: the spine from the side and from the front with its vertebrae named, and L1 and L2 from below.

The captions hold measurements and warnings only, nothing that identifies a patient.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from node.domain.findings import Findings
from node.domain.settings import PageSettings
from node.domain.spine import Vertebra
from node.domain.volume import Volume
from node.report import views
from node.report.canvas import FINER, captioned, save_png
from node.report.cuts import shown
from node.report.key_images import key_images
from node.report.page import Style, language_of, page
from node.report.views import MEASURED, ROD, VOI
from node.report.words import Words

_NOTICE = "Automatic, not verified. Not for diagnosis."
_MOST_WARNINGS = 3
_NARROWEST = 640


def previews(volume: Volume, findings: Findings, out_dir: Path) -> tuple[Path, ...]:
    """Draw what was found into ``out_dir``: from the side, from the front, then axial from head to foot."""
    out_dir.mkdir(parents=True, exist_ok=True)
    captions = _captions(findings)
    side, front = views.sagittal(volume, findings, (900, 1000)), views.coronal(volume, findings, (900, 1000))
    paths = [
        save_png(captioned(side.picture, captions, _NARROWEST), out_dir / "sagittal.png"),
        save_png(captioned(front.picture, captions[-1:], _NARROWEST), out_dir / "coronal.png"),
    ]
    for vertebra in shown(findings):
        paths.append(_axial(volume, findings, vertebra, out_dir / f"axial-{vertebra.level}.png"))
    return tuple(paths)


def render(volume: Volume, findings: Findings, out_dir: Path, settings: PageSettings) -> tuple[Path, ...]:
    """Draw all views there are: the previews, the labelled images, the curved ones with contours, and the page.

    The page has no heading: nothing in these files identifies a patient.
    """
    language = language_of(settings)
    words = Words(language)
    paths = list(previews(volume, findings, out_dir))
    for number, picture in enumerate(key_images(findings, volume, words), 1):
        paths.append(save_png(Image.fromarray(picture), out_dir / f"labelled-{number}.png"))
    for reformat in findings.curved:
        canvas = views.bent(volume, findings, reformat, (900, 1200))
        paths.append(save_png(canvas.picture.reduce(FINER), out_dir / f"{reformat.name}.png"))
    drawn = page(findings, volume, (), language, None, Style(language, settings.font))
    paths.append(save_png(Image.fromarray(drawn), out_dir / "summary.png"))
    return tuple(paths)


def _axial(volume: Volume, findings: Findings, vertebra: Vertebra, path: Path) -> Path:
    canvas = views.axial(volume, findings, vertebra, (700, 700))
    legend = [("Vertebral body", MEASURED), ("Volume of interest", VOI)]
    legend += [("Calibration rods", ROD)] if findings.phantom is not None else []
    canvas.beside(views.close_up(volume, findings, vertebra, (380, 380)), legend)
    return save_png(captioned(canvas.picture, [(_level_caption(findings, vertebra.level), 17), (_NOTICE, 14)]), path)


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
    lines += [(_level_caption(findings, vertebra.level), 16) for vertebra in shown(findings)]
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
