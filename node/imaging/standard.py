"""The standard of a scan: its phantom and the lines that follow, a calibration of other scans, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from node.domain.findings import Caution
from node.domain.instance import InstanceHeader
from node.domain.phantom import Calibration, PhantomFit, PhantomModel
from node.domain.quality import CrossCalibration, KernelClass, Quality, ScannerKey, StoredCalibration
from node.domain.settings import CalibrationLimits, ConfounderPolicies, MeasurementSettings
from node.domain.spine import LEVELS, Voi
from node.domain.volume import Volume
from node.errors import PhantomNotFound, PhantomOutOfField, PoorCalibration, StudyRefused
from node.imaging import calibration, phantom
from node.imaging.body import Scene
from node.imaging.rod_levels import MAX_ROD_GAP_MM

SAME_KV = 0.5


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a series was scanned, and what is known about the scanner."""

    header: InstanceHeader
    """Of one image of the series."""
    kernel_class: KernelClass = "unknown"
    quality: Quality = field(default_factory=Quality)


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """The phantom and its calibration, or why there is none."""

    fit: PhantomFit | None = None
    calibration: Calibration | None = None
    refusal: StudyRefused | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The calibration of each vertebra."""

    by_level: Mapping[str, Calibration]
    """Levels that the rods do not reach are absent."""
    refused: Mapping[str, PoorCalibration]
    """Levels at which the rods do not give one."""
    local: bool
    """Whether each is of its own height; not where they are of other scans."""

    def of(self, level: str) -> Calibration:
        """Return the calibration of a vertebra that is to be measured.

        Raises ``PoorCalibration`` or ``PhantomOutOfField`` where there is none.
        """
        if level in self.by_level:
            return self.by_level[level]
        if level in self.refused:
            raise self.refused[level]
        raise PhantomOutOfField(f"The phantom does not lie beside {level}.", {"level": level})


def establish(
    volume: Volume,
    scene: Scene,
    phantoms: tuple[PhantomModel, ...],
    settings: MeasurementSettings,
    circumstances: Circumstances,
) -> Standard:
    """Find and fit the phantom; without one, take the stored calibration where it is given and belongs to this scan."""
    fit: PhantomFit | None = None
    header = circumstances.header
    try:
        fit = phantom.find(volume, scene, phantoms, settings.calibration, header.kvp)
        line = calibration.fit(fit, settings.calibration, kvp=header.kvp, uncertainty=settings.uncertainty)
        return Standard(fit, line)
    except PhantomNotFound as refused:
        known = circumstances.quality.asynchronous
        if known is not None and may_borrow(known, circumstances):
            return Standard(None, calibration.stored(known))
        return Standard(None, None, refused)
    except StudyRefused as refused:
        return Standard(fit, None, refused)


def may_borrow(known: StoredCalibration, circumstances: Circumstances) -> bool:
    """Whether a stored calibration is of this scanner, voltage and kernel class, and valid on the day of the scan."""
    return same_key(known.key, circumstances) and _within(known, circumstances.header.study_date)


def cross_calibration(material: str, circumstances: Circumstances) -> CrossCalibration | None:
    """Return the site's conversion to K2HPO4 equivalents where it is of this scanner and material, and valid."""
    known = circumstances.quality.cross_calibration
    if known is None or known.from_material != material:
        return None
    valid = same_key(known.key, circumstances) and _within(known, circumstances.header.study_date)
    return known if valid else None


def same_key(key: ScannerKey, circumstances: Circumstances) -> bool:
    """Whether a key of the record is that of this scan; nothing is taken for granted where the header is silent."""
    header = circumstances.header
    scanner = (header.device_serial_number or "").strip() or (header.station_name or "").strip()
    return (
        bool(scanner)
        and scanner == key.scanner
        and header.kvp is not None
        and abs(header.kvp - key.kvp) <= SAME_KV
        and circumstances.kernel_class == key.kernel_class
    )


def _within(known: StoredCalibration | CrossCalibration, study_date: str | None) -> bool:
    """Not past its end, and not farther before its measurement than it holds after it; an undated scan never is."""
    scanned = _date(study_date)
    if scanned is None:
        return False
    return known.measured_on - (known.expires_on - known.measured_on) <= scanned <= known.expires_on


def _date(value: str | None) -> date | None:
    try:
        return datetime.strptime((value or "").strip(), "%Y%m%d").date()
    except ValueError:
        return None


def lines(standard: Standard, vois: Mapping[str, Voi], settings: MeasurementSettings, kvp: float | None) -> Lines:
    """Return the calibration at the height of each VOI; an asynchronous one serves all alike."""
    if standard.calibration is None:
        return Lines({}, {}, False)
    if standard.fit is None:
        return Lines(dict.fromkeys(vois, standard.calibration), {}, False)
    heights = {level: voi.centre_lps_mm[2] for level, voi in vois.items()}
    good, poor = calibration.at_levels(
        standard.fit, heights, settings.calibration, kvp=kvp, uncertainty=settings.uncertainty
    )
    return Lines(good, poor, True)


def slope_variation(
    found: Lines, mean_levels: Sequence[str], limits: CalibrationLimits
) -> tuple[float | None, tuple[Caution, ...]]:
    """Return the slopes' coefficient of variation in % over the vertebrae of the mean and their neighbours.

    Neighbours only: along a whole trunk slopes differ because the body does. Raises ``PoorCalibration`` beyond the
    limit.
    """
    if not found.local or not mean_levels:
        return None, ()
    near = {LEVELS[n] for level in mean_levels for n in _beside(LEVELS.index(level))}
    used = {level: line for level, line in found.by_level.items() if level in near}
    cv = calibration.slope_cv_percent(used.values())
    if cv is None or cv <= limits.slope_cv_warning_percent:
        return cv, ()
    slopes = {level: round(line.sigma_ct, 4) for level, line in used.items()}
    sentence = f"The slopes of the calibration differ by {cv:.1f} % (CV) between {', '.join(slopes)}"
    if cv > limits.max_slope_cv_percent:
        raise PoorCalibration(
            f"{sentence}, more than {limits.max_slope_cv_percent:g} %.", {"slope_cv_percent": cv, "slopes": slopes}
        )
    return cv, (Caution("slope-variation", f"{sentence}: more than {limits.slope_cv_warning_percent:g} %."),)


def _beside(index: int) -> range:
    return range(max(index - 1, 0), min(index + 2, len(LEVELS)))


def cautions(
    standard: Standard, vois: Mapping[str, Voi], mean_levels: Sequence[str], policies: ConfounderPolicies
) -> tuple[Caution, ...]:
    """Return what the reader must know about where the calibration comes from."""
    found = []
    line = standard.calibration
    if line is not None and line.kind == "asynchronous":
        sentence = f"No phantom lies in this scan. Asynchronous calibration with larger uncertainty: {line.source}."
        found.append(Caution("asynchronous", sentence, policies.asynchronous))
    if standard.fit is not None:
        gaps = {level: calibration.farthest_gap_mm(standard.fit, vois[level].centre_lps_mm[2]) for level in mean_levels}
        bridged = {level: gap for level, gap in gaps.items() if gap > MAX_ROD_GAP_MM}
        if bridged:
            where = ", ".join(f"{level} ({gap:.0f} mm)" for level, gap in bridged.items())
            sentence = f"Rods could not be read beside {where}: calibrated from the slices above and below."
            found.append(Caution("calibration-bridged", sentence))
    return tuple(found)
