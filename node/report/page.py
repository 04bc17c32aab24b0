"""The summary page: all that a radiologist wants of one study, on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from node.domain.findings import Findings, Refusal
from node.domain.prior import PriorResult
from node.domain.settings import CategoryLimits, PageSettings
from node.domain.volume import Volume
from node.report import charts, views
from node.report.canvas import FINER
from node.report.charts import ACCENT, INK, QUIET, Bar, Box, Point
from node.report.cuts import shown, unreliable
from node.report.sheet import Sheet
from node.report.typeset import Colour, Language, Type, font_problem
from node.report.words import Words, material_name, number_of

WIDTH, HEIGHT = 1280, 1600
"""Pixels; the smallest letters are still readable when a PACS shows the page 1024 pixels high."""
MARGIN = 40
GUTTER = 36
LEFT_WIDTH = 560
TEXT, SMALL = 23.0, 20.0
MOST_WARNINGS = 5
COLOURS: dict[str, Colour] = {
    "normal": (112, 208, 146),
    "low-bone-mass": (245, 200, 96),
    "osteoporosis": (244, 128, 108),
    "not-classified": (178, 184, 194),
}
REFUSED: Colour = (245, 178, 92)


@dataclass(frozen=True, slots=True)
class Heading:
    """Who and what: the lines at the top, as text."""

    patient: str = ""
    patient_line: str = ""
    study_line: str = ""
    scan_line: str = ""
    study_date: date | None = None
    made_by: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """How a page is written."""

    language: Language = "en"
    font_file: str | None = None
    limits: CategoryLimits = field(default_factory=CategoryLimits)


def language_of(settings: PageSettings) -> Language:
    """The configured language where it can be written on this machine, else English."""
    return settings.language if font_problem(settings.language, settings.font) is None else "en"


def page(
    findings: Findings,
    volume: Volume | None,
    priors: Sequence[PriorResult] = (),
    language: Language = "en",
    heading: Heading | None = None,
    style: Style | None = None,
) -> NDArray[np.uint8]:
    """Return the page as (HEIGHT, WIDTH, 3). The same arguments give the same pixels, fonts being the same.

    ``volume`` is None where the series was refused before it was read. ``priors``: oldest first.
    """
    style = replace(style or Style(), language=language)
    return np.asarray(_Page(findings, volume, tuple(priors), heading or Heading(), style).drawn())


class _Page(Sheet):
    def __init__(
        self,
        findings: Findings,
        volume: Volume | None,
        priors: tuple[PriorResult, ...],
        heading: Heading,
        style: Style,
    ) -> None:
        super().__init__((WIDTH, HEIGHT), MARGIN, style.language, style.font_file)
        self.findings, self.volume, self.priors, self.heading, self.style = findings, volume, priors, heading, style
        self.words = Words(style.language)

    def drawn(self) -> Image.Image:
        """Everything, as seen."""
        top = self._header()
        bottom = self._foot()
        right = MARGIN + LEFT_WIDTH + GUTTER
        self._spine((MARGIN, top, MARGIN + LEFT_WIDTH, bottom))
        y = self._result((right, top, WIDTH - MARGIN, bottom))
        y = self._densities((right, y, WIDTH - MARGIN, bottom))
        low = bottom - 350
        self._axials((right, y, WIDTH - MARGIN, low - 24))
        half = (WIDTH - MARGIN - right - 28) / 2
        self._calibration((right, low, right + half, bottom))
        self._trend((right + half + 28, low, WIDTH - MARGIN, bottom))
        return self.sheet.reduce(FINER)

    def _header(self) -> float:
        words, heading, across = self.words, self.heading, WIDTH - 2 * MARGIN
        self.write(MARGIN, 34, words.say("title"), self.type(25, ACCENT, bold=True))
        self.write(MARGIN, 70, heading.patient, self.type(36, INK, bold=True), width=across)
        self.write(MARGIN, 120, heading.patient_line, self.type(TEXT), width=across)
        self.write(MARGIN, 152, heading.study_line, self.type(TEXT), width=across)
        self.write(MARGIN, 186, heading.scan_line, self.type(SMALL, QUIET), width=across)
        self.rule(220)
        return 238

    def _foot(self) -> float:
        """Warnings and the notice, from below; returns where the upper part ends."""
        words = self.words
        kind = self.type(TEXT)
        said = [words.caution(one) for one in self.findings.cautions]
        lines = [line for one in said for line in self._bullet(one, kind)]
        if len(lines) > MOST_WARNINGS:
            kept = 0
            lines = []
            for one in said:
                more = self._bullet(one, kind)
                if len(lines) + len(more) > MOST_WARNINGS - 1:
                    break
                lines, kept = lines + more, kept + 1
            lines.append((False, words.say("and_more", count=len(said) - kept)))
        step = kind.line_height / FINER
        notice = HEIGHT - 44
        top = notice - 26 - max(len(lines), 1) * step - 40
        self.rule(top - 16)
        self.write(MARGIN, top, words.say("warnings"), self.type(TEXT, REFUSED if lines else QUIET, bold=True))
        y = top + 38
        for first, line in lines or [(False, words.say("no_warnings"))]:
            if first:
                x, middle = MARGIN + 6, y + 0.42 * TEXT
                dot = [(x - 4) * FINER, (middle - 4) * FINER, (x + 4) * FINER, (middle + 4) * FINER]
                self.draw.ellipse(dot, fill=REFUSED)
            self.write(MARGIN + 22 if lines else MARGIN, y, line, kind if lines else self.type(TEXT, QUIET))
            y += step
        self.write(MARGIN, notice, words.say("notice"), self.type(SMALL, QUIET), width=760)
        self.write(WIDTH - MARGIN, notice, self.heading.made_by, self.type(SMALL, QUIET), "rt", width=420)
        return top - 36

    def _bullet(self, text: str, kind: Type) -> list[tuple[bool, str]]:
        lines = kind.wrapped(text, (WIDTH - 2 * MARGIN - 22) * FINER)
        return [(n == 0, line) for n, line in enumerate(lines)]

    def _spine(self, box: Box) -> None:
        left, top, right, bottom = box
        words, findings = self.words, self.findings
        self.write(left, top, words.say("spine"), self.type(TEXT, ACCENT, bold=True))
        self.write(right, top + 2, words.say("heights"), self.type(SMALL, QUIET), "rt", width=330)
        low = bottom - 66
        if self.volume is None or not findings.vertebrae:
            text = words.say("none_seen")
            if self.volume is not None:
                canvas = views.sagittal(self.volume, findings, (int(right - left), int(low - top - 40)))
                self.sheet.paste(canvas.picture, (round(left * FINER), round((top + 36) * FINER)))
            self.write(left, low + 8, text, self.type(TEXT, QUIET))
            return
        size = int(right - left), int(low - top - 40)
        picture = views.with_heights(self.volume, findings, size, words, SMALL)
        self.sheet.paste(picture, (round(left * FINER), round((top + 36) * FINER)))
        low = top + 36 + picture.height / FINER
        judged = [v for v in findings.vertebrae if v.deformity is not None]
        review = [f"{v.level} {said}" for v in judged if (said := words.deformity(findings, v.level, confidence=True))]
        if review:
            text = words.say("fracture_one", levels=", ".join(review))
            self.paragraph(left, low + 12, text, self.type(TEXT, REFUSED, bold=True), right - left, 2)
        elif judged and not unreliable(findings):
            text = words.say("fracture_none", count=len(judged))
            self.paragraph(left, low + 12, text, self.type(TEXT), right - left, 2)
        elif not judged:
            self.paragraph(left, low + 12, words.say("fracture_unknown"), self.type(TEXT, QUIET), right - left, 2)

    def _result(self, box: Box) -> float:
        left, top, right, _ = box
        words, findings, limits = self.words, self.findings, self.style.limits
        if findings.refusal is not None or findings.mean_vbmd_mg_cm3 is None:
            self.write(left, top, words.say("not_measured"), self.type(50, REFUSED, bold=True))
            if findings.refusal is None:
                return top + 76
            y = self.paragraph(left, top + 76, words.refusal(findings.refusal), self.type(26), right - left, 6)
            for line in _readings(findings.refusal, words):
                self.write(left, y, line, self.type(TEXT), width=right - left)
                y += 34
            return y + 10
        title = words.say("mean_of", levels=", ".join(findings.mean_levels))
        self.write(left, top, title, self.type(TEXT, ACCENT, bold=True))
        number = self.type(88, INK, bold=True)
        value = f"{findings.mean_vbmd_mg_cm3:.1f}"
        self.write(left, top + 114, value, number, "ls")
        x = left + number.length(value) / FINER + 16
        if findings.mean_expanded_uncertainty_mg_cm3 is not None:
            spread = f"± {findings.mean_expanded_uncertainty_mg_cm3:.1f}"
            self.write(x, top + 76, spread, self.type(36), "ls")
        unit = "mg/cm³" + (f" {material_name(findings.calibration.material)}" if findings.calibration else "")
        self.write(x, top + 114, unit, self.type(28, QUIET), "ls", width=right - x)
        category = self.type(34, COLOURS[findings.category], bold=True)
        self.write(left, top + 136, words.say(findings.category), category, width=right - left)
        valid = findings.category != "not-classified"
        low, high = number_of(limits.osteoporosis_below_mg_cm3), number_of(limits.normal_above_mg_cm3)
        key = "limits" if valid else "limits_void"
        said = words.say(key, low=low, high=high, material=material_name(limits.material))
        self.write(left, top + 182, said, self.type(SMALL, QUIET), width=right - left)
        y = top + 212
        for name, one in (("converted", findings.mean_k2hpo4), ("native", findings.mean_native_estimate)):
            if one is not None:
                text = words.say(name, value=one.vbmd_mg_cm3, spread=one.expanded_uncertainty_mg_cm3)
                self.write(left, y, text, self.type(SMALL), width=right - left)
                y += 30
        return y + 12

    def _densities(self, box: Box) -> float:
        left, top, right, _ = box
        words, findings = self.words, self.findings
        if findings.refusal is not None or not findings.densities:
            y = top
            for vertebra in shown(findings):
                voi = findings.vois[vertebra.level]
                text = words.say("no_density", level=vertebra.level, hu=voi.hu_mean, sd=voi.hu_sd)
                self.write(left, y, text, self.type(TEXT), width=right - left)
                y += 34
            return y + 14
        bars = self._bars()
        title = words.say("densities" if findings.mean_k2hpo4 is None else "in_material", material="K₂HPO₄")
        self.write(left, top, title, self.type(TEXT, ACCENT, bold=True))
        self.write(right, top + 2, words.say("uncertainty"), self.type(SMALL, QUIET), "rt", width=400)
        bottom = top + 40 + 40 * len(bars) + 34
        valid = findings.category != "not-classified"
        charts.densities(self.draw, (left, top + 38, right, bottom), bars, self.style.limits, valid, self.type(TEXT))
        return bottom + 20

    def _bars(self) -> list[Bar]:
        """The mean and its vertebrae, in the unit that the limits are for where that is known."""
        findings, words = self.findings, self.words
        bars = []
        if findings.mean_vbmd_mg_cm3 is not None:
            mean, spread = findings.mean_vbmd_mg_cm3, findings.mean_expanded_uncertainty_mg_cm3 or 0.0
            if findings.mean_k2hpo4 is not None:
                mean, spread = findings.mean_k2hpo4.vbmd_mg_cm3, findings.mean_k2hpo4.expanded_uncertainty_mg_cm3
            bars.append(Bar(words.say("mean"), mean, spread, True, True))
        wanted = {v.level for v in shown(findings)}
        for level, one in findings.densities.items():
            if level in wanted or one.included_in_mean:
                said = one if findings.mean_k2hpo4 is None or one.k2hpo4 is None else one.k2hpo4
                why = "" if one.included_in_mean else words.exclusion(one.exclusion_reason)
                value, spread = said.vbmd_mg_cm3, said.expanded_uncertainty_mg_cm3
                bars.append(Bar(level, value, spread, one.included_in_mean, remark=why))
        return bars[:6]

    def _axials(self, box: Box) -> None:
        left, top, right, bottom = box
        if self.volume is None:
            return
        vertebrae = shown(self.findings)[:2]
        width = (right - left - 28) / 2
        tall = bottom - top - 32
        for n, vertebra in enumerate(vertebrae):
            x = left + n * (width + 28)
            canvas = views.axial_with_rods(self.volume, self.findings, vertebra, (int(width), int(tall)))
            spare = (width - canvas.size[0]) / 2
            self.sheet.paste(canvas.picture, (round((x + spare) * FINER), round(top * FINER)))
            voi = self.findings.vois[vertebra.level]
            text = f"{vertebra.level}  {self.words.say('attenuation', hu=voi.hu_mean, sd=voi.hu_sd)}"
            self.write(x, top + canvas.size[1] + 8, text, self.type(SMALL), width=width)

    def _calibration(self, box: Box) -> None:
        left, top, right, bottom = box
        words, fit, line = self.words, self.findings.phantom, self.findings.calibration
        self.write(left, top, words.say("calibration"), self.type(TEXT, ACCENT, bold=True))
        said = []
        if fit is not None:
            charts.rods(self.draw, (left, top + 38, right, bottom - 156), fit, line, self.type(TEXT))
            serial = words.say("serial", serial=fit.phantom.serial) if fit.phantom.serial else words.say("no_serial")
            said += [fit.phantom.model, serial]
        elif line is None or line.source is None:
            self.write(left, top + 44, words.say("no_phantom"), self.type(TEXT, QUIET))
        else:
            source = words.say("asynchronous", source=line.source)
            self.paragraph(left, top + 40, source, self.type(SMALL), right - left, 5)
        if line is not None:
            said.append(words.say("line", sigma=line.sigma_ct, beta=line.beta_ct))
            if line.r_squared is not None and line.rms_residual_hu is not None:
                said.append(words.say("fit", r_squared=line.r_squared, rms=line.rms_residual_hu))
        if self.findings.slope_cv_percent is not None:
            said.append(words.say("slope_cv", cv=self.findings.slope_cv_percent))
        for n, text in enumerate(said):
            self.write(left, bottom - 146 + 29 * n, text, self.type(SMALL), width=right - left)

    def _trend(self, box: Box) -> None:
        left, top, right, bottom = box
        words = self.words
        self.write(left, top, words.say("trend"), self.type(TEXT, ACCENT, bold=True))
        points = self._points()
        if len(points) < 2:
            self.paragraph(left, top + 44, words.say("no_prior"), self.type(TEXT, QUIET), right - left, 3)
            return
        charts.trend(self.draw, (left, top + 38, right, bottom - 156), points, self.style.limits, self.type(TEXT))
        self.paragraph(left, bottom - 146, self._change(), self.type(SMALL), right - left, 5)

    def _points(self) -> list[Point]:
        findings = self.findings
        if findings.mean_vbmd_mg_cm3 is None or findings.calibration is None or self.heading.study_date is None:
            return []
        points = [
            Point(prior.study_date, prior.mean_vbmd_mg_cm3, None, self._comparable(prior))
            for prior in self.priors
            if prior.mean_vbmd_mg_cm3 is not None and prior.study_date < self.heading.study_date
        ]
        spread = findings.mean_expanded_uncertainty_mg_cm3
        return [*points, Point(self.heading.study_date, findings.mean_vbmd_mg_cm3, spread, True, True)]

    def _comparable(self, prior: PriorResult) -> bool:
        """As the measurement judged it; a result that it did not judge is not compared."""
        return any(one.prior == prior and not one.not_comparable for one in self.findings.changes)

    def _change(self) -> str:
        """Since the last result that may be compared."""
        words = self.words
        judged = [one for one in self.findings.changes if one.change_mg_cm3 is not None]
        if not judged:
            return self._why_not()
        last = max(judged, key=lambda one: one.prior.study_date)
        parts = [words.say("change", change=last.change_mg_cm3, date=last.prior.study_date.isoformat())]
        if last.percent_per_year is not None:
            parts.append(words.say("rate", rate=last.percent_per_year))
        if last.least_significant_change_mg_cm3 is not None:
            key = "significant" if last.significant else "not_significant"
            parts.append(words.say(key, least=last.least_significant_change_mg_cm3))
        if last.differences:
            parts.append(words.say("differences", differences=words.differences(last)))
        return " ".join(parts)

    def _why_not(self) -> str:
        """Of the latest result, the reasons."""
        last = next(iter(self.findings.changes), None)
        if last is None:
            return ""
        reasons = self.words.not_comparable(last)
        return self.words.say("not_comparable", date=last.prior.study_date.isoformat(), reasons=reasons)


def _readings(refusal: Refusal, words: Words) -> list[str]:
    """Where names are in doubt: what each way of naming would give, unless the reason itself says so."""
    found = refusal.evidence.get("readings")
    if not isinstance(found, list) or "probability" in words.refusal(refusal):
        return []
    lines = []
    for reading in found[:3]:
        levels = reading.get("levels", {})
        calibrated = bool(levels) and all("vbmd_mg_cm3" in one for one in levels.values())
        key, unit = ("vbmd_mg_cm3", "mg/cm³") if calibrated else ("hu", "HU")
        values = ", ".join(f"{name} {one[key]:.1f} {unit}" for name, one in levels.items())
        lines.append(words.say("reading", percent=round(100 * reading["probability"]), values=values))
    return lines
