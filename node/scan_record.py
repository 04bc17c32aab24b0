"""What a scan says of its scanner: the line that a patient or a QA phantom adds to the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from node import routing
from node.domain.findings import Findings
from node.domain.instance import InstanceHeader, Series
from node.domain.job import MeasureJob
from node.domain.phantom import Calibration, Material
from node.domain.quality import ScannerKey, ScanRecord
from node.domain.volume import Volume
from node.errors import QaScan
from node.imaging import qa
from node.imaging.qa import Examination


@dataclass(frozen=True, slots=True)
class WithoutPatient:
    """A scan in which no patient lies: never a result, but perhaps a line of the record."""

    refusal: QaScan
    record: ScanRecord | None
    """``None``: nothing that could be recorded; the refusal says why."""


def without_patient(volume: Volume, header: InstanceHeader, job: MeasureJob) -> WithoutPatient | None:
    """Recognise and measure a QA phantom; ``None`` when it is a patient that lies in the scanner."""
    found = qa.examine(
        volume, header.patient_position, job.qa_phantoms, job.phantoms, job.settings.calibration, header.kvp
    )
    if found is None:
        return None
    record, obstacle = _of_qa(found, job)
    return WithoutPatient(QaScan(_sentence(found, record, obstacle), _evidence(found)), record)


def of_patient(findings: Findings, job: MeasureJob) -> ScanRecord | None:
    """The line that a patient's scan adds: slope and intercept of the phantom under him; ``None`` without one."""
    line, when = findings.calibration, routing.scan_date(job.series)
    if line is None or findings.phantom is None or job.scanner is None or when is None:
        return None
    return ScanRecord(
        "patient",
        job.scanner,
        when,
        _kernel(job.series),
        _station(job.series),
        findings.phantom.phantom.id,
        *_line(line),
    )


def _of_qa(found: Examination, job: MeasureJob) -> tuple[ScanRecord | None, str | None]:
    """The line, or why there is none."""
    key, when = job.scanner, routing.scan_date(job.series)
    if key is None:
        return None, "the images do not name one scanner and one kVp"
    if when is None:
        return None, "the images bear no study date"
    if found.qa_phantom is None and (found.calibration is None or found.seen):
        return None, "what lies there is none of the QA phantoms configured"
    return _record(found, key, job, when), None


def _record(found: Examination, key: ScannerKey, job: MeasureJob, when: date) -> ScanRecord:
    return ScanRecord(
        "qa",
        key,
        when,
        _kernel(job.series),
        _station(job.series),
        found.fit.phantom.id if found.fit is not None and found.calibration is not None else None,
        *_line(found.calibration),
        found.qa_phantom.id if found.qa_phantom is not None else None,
        found.inserts,
        believed=found.objection is None,
    )


_Line = tuple[
    Material | None,
    float | None,
    float | None,
    tuple[tuple[float, float], tuple[float, float]] | None,
    float | None,
]


def _line(line: Calibration | None) -> _Line:
    """Material, slope, intercept, covariance and scatter."""
    if line is None:
        return None, None, None, None, None
    c = line.covariance
    covariance = ((float(c[0, 0]), float(c[0, 1])), (float(c[1, 0]), float(c[1, 1])))
    return line.material, line.sigma_ct, line.beta_ct, covariance, line.rms_residual_hu


def _kernel(series: Series) -> str | None:
    return next((one.header.convolution_kernel for one in series.instances if one.header.convolution_kernel), None)


def _station(series: Series) -> str | None:
    header = series.instances[0].header
    return " ".join(filter(None, (header.station_name, header.manufacturer_model_name))) or None


def _sentence(found: Examination, record: ScanRecord | None, obstacle: str | None) -> str:
    what = found.qa_phantom.id if found.qa_phantom is not None else None
    if what is None:
        what = "a calibration phantom alone" if found.calibration and not found.seen else "an unknown object"
    parts = [f"No patient lies in the scanner, but {what}."]
    if record is None:
        parts.append(f"It cannot be recorded for quality assurance: {obstacle}.")
    else:
        parts.append(f"This is a QA scan of scanner {record.key.scanner} at {record.key.kvp:g} kV.")
    read = [one for one in found.inserts if one.measured_mg_cm3 is not None]
    if read:
        values = ", ".join(f"{one.name} {one.measured_mg_cm3:.1f} ({one.nominal_mg_cm3:g})" for one in read)
        parts.append(f"mg/cm³ measured (certificate): {values}.")
    if found.objection is not None:
        whether = "Under a patient it would be refused" if found.calibration else "There is no calibration"
        parts.append(f"{whether}: {found.objection}")
    return " ".join(parts)


def _evidence(found: Examination) -> dict[str, object]:
    line = found.calibration
    return {
        "qa_phantom": found.qa_phantom.id if found.qa_phantom else None,
        "calibration_phantom": found.fit.phantom.id if found.fit else None,
        "sigma_ct": round(line.sigma_ct, 4) if line else None,
        "beta_ct": round(line.beta_ct, 2) if line else None,
        "inserts": [
            {
                "name": one.name,
                "nominal_mg_cm3": one.nominal_mg_cm3,
                "measured_mg_cm3": None if one.measured_mg_cm3 is None else round(one.measured_mg_cm3, 2),
                "hu_mean": round(one.hu_mean, 2),
                "centre_lps_mm": [round(v, 1) for v in one.centre_lps_mm],
            }
            for one in found.inserts
        ],
        "seen": [
            {"hu_mean": round(one.hu_mean, 1), "radius_mm": round(one.radius_mm, 1), "cut_by_the_scan": one.cut}
            for one in found.seen
        ],
    }
