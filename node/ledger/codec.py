"""Domain values to and from JSON columns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from node.domain.decision import RuleVerdict
from node.domain.instance import InstanceHeader
from node.domain.job import MeasureJob
from node.domain.quality import CrossCalibration, ScanRecord

_HEADER = TypeAdapter(InstanceHeader)
_JOB = TypeAdapter(MeasureJob)
_VERDICTS = TypeAdapter(tuple[RuleVerdict, ...])
_SCAN = TypeAdapter(ScanRecord)
_CROSSING = TypeAdapter(CrossCalibration)


def header_text(header: InstanceHeader) -> str:
    """Return a header as JSON text; attributes at their default are left out."""
    return json.dumps(_HEADER.dump_python(header, mode="json", exclude_defaults=True))


def load_header(document: Any) -> InstanceHeader:
    """Return the header that ``header_text`` was given."""
    return _HEADER.validate_python(document)


def dump_job(job: MeasureJob) -> Any:
    """Return a job as JSON-serialisable values, without the instances of its series (they have rows of their own)."""
    return _JOB.dump_python(replace(job, series=replace(job.series, instances=())), mode="json")


def load_job(document: Any) -> MeasureJob:
    """Return the job that ``dump_job`` was given; its series has no instances yet."""
    return _JOB.validate_python(document)


def dump_verdicts(verdicts: tuple[RuleVerdict, ...]) -> Any:
    """Return the verdicts of the rules as JSON-serialisable values."""
    return _VERDICTS.dump_python(verdicts, mode="json")


def dump_scan(record: ScanRecord) -> Any:
    """Return a line of the scanners' record as JSON-serialisable values."""
    return _SCAN.dump_python(record, mode="json")


def load_scan(document: Any) -> ScanRecord:
    """Return the line that ``dump_scan`` was given."""
    return _SCAN.validate_python(document)


def dump_crossing(crossing: CrossCalibration) -> Any:
    """Return a cross-calibration as JSON-serialisable values."""
    return _CROSSING.dump_python(crossing, mode="json")


def load_crossing(document: Any) -> CrossCalibration:
    """Return the cross-calibration that ``dump_crossing`` was given."""
    return _CROSSING.validate_python(document)
