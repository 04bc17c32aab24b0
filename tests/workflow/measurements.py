"""Measurements for tests: real functions, imported by the child process by name."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pydicom

from node.domain.findings import Refusal
from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject
from tests.intake import objects


def _uid(job_id: str, number: int) -> str:
    return objects.uid(9, int(job_id.replace("-", ""), 16), number)


def report_uid(job_id: str) -> str:
    """SOP Instance UID of the report of a job."""
    return _uid(job_id, 2)


def _object(job: MeasureJob, number: int, sop_class: str) -> OutgoingObject:
    name = job.out_dir.parent.name
    dataset = objects.ct_slice(1, 900, number, SOPClassUID=sop_class, SOPInstanceUID=_uid(name, number))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = job.series.study_instance_uid, _uid(name, 0)
    path = objects.write(dataset, job.out_dir / f"{number}.dcm")
    report = sop_class == objects.COMPREHENSIVE_SR
    return OutgoingObject(
        path, sop_class, dataset.SOPInstanceUID, "sr" if report else "sagittal", 1 if report else 0, _uid(name, 0)
    )


def _outcome(job: MeasureJob, refusal: Refusal | None = None) -> MeasureOutcome:
    status = "refused" if refusal else "measured"
    result = job.out_dir / "result.json"
    result.write_text(json.dumps({"status": status, "instances": len(job.series.instances)}))
    outgoing = (_object(job, 2, objects.COMPREHENSIVE_SR), _object(job, 1, objects.SECONDARY_CAPTURE))
    if refusal and not job.report_refusals:
        outgoing = ()
    return MeasureOutcome("refused" if refusal else "measured", refusal, result, outgoing, ())


def succeed(job: MeasureJob) -> MeasureOutcome:
    return _outcome(job)


def refuse(job: MeasureJob) -> MeasureOutcome:
    return _outcome(job, Refusal("phantom-not-found", "No calibration phantom lies in the scan.", {"searched_mm": 400}))


def tell_priors(job: MeasureJob) -> MeasureOutcome:
    outcome = _outcome(job)
    seen = [path.read_text() for path in job.prior_reports]
    outcome.result_json.write_text(json.dumps({"seen": seen, "incomplete": job.priors_incomplete}))
    return replace(outcome, priors_left_out=("other-patient",))


def crash(job: MeasureJob) -> MeasureOutcome:
    raise ValueError("this study is poison")


def die(job: MeasureJob) -> MeasureOutcome:
    os.kill(os.getpid(), 11)
    return _outcome(job)


def hang(job: MeasureJob) -> MeasureOutcome:
    time.sleep(600)
    return _outcome(job)


def devour(job: MeasureJob) -> MeasureOutcome:
    hoard = [bytearray(os.urandom(1 << 20) * 50) for _ in range(40)]
    time.sleep(600)
    return _outcome(job) if hoard else succeed(job)


def slowly(job: MeasureJob) -> MeasureOutcome:
    """Note the start beside the job's folder, wait, then succeed."""
    with (job.out_dir.parent.parent / "starts.log").open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(3)
    return _outcome(job)


def crash_once(job: MeasureJob) -> MeasureOutcome:
    marker = Path(f"{job.out_dir.parent}.crashed")
    if not marker.exists():
        marker.touch()
        os._exit(3)
    return _outcome(job)


def hang_with_helper(job: MeasureJob) -> MeasureOutcome:
    helper = subprocess.Popen(["sleep", "600"])
    (job.out_dir / "helper.pid").write_text(str(helper.pid))
    return hang(job)


def crash_at_three(job: MeasureJob) -> MeasureOutcome:
    return crash(job) if len(job.series.instances) == 3 else succeed(job)


def by_description(job: MeasureJob) -> MeasureOutcome:
    """Succeed, or crash as the series' description says, quoting the patient's name as libraries do."""
    first = pydicom.dcmread(job.series.instances[0].path)
    print(first.PatientName)
    if "poison" in str(first.SeriesDescription):
        raise ValueError(f"Invalid value: {first.PatientName}")
    if "refused" in str(first.SeriesDescription):
        return refuse(job)
    return succeed(job)


def lose_result(job: MeasureJob) -> MeasureOutcome:
    outcome = _outcome(job)
    outcome.result_json.unlink()
    return outcome


def no_room_at_first(job: MeasureJob) -> MeasureOutcome:
    marker = job.out_dir.parent / "tried"
    if not marker.exists():
        marker.touch()
        raise OSError(errno.ENOSPC, "no space left on device")
    return _outcome(job)
