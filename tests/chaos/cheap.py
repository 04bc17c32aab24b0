"""A measurement that costs nothing, for studies that are no bodies: the real writers of SR are not part of it.

It reads every slice of the job (so a lost or torn file is noticed) and leaves an image and a report with UIDs that
follow from the job, as the real one does. The report says how many slices it is about and which reports it replaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from node.domain.job import MeasureJob, MeasureOutcome, OutgoingObject
from tests.intake import objects


def report_uid(job_id: str) -> str:
    """SOP Instance UID of the report of a job."""
    return objects.uid(9, int(job_id.replace("-", ""), 16), 2)


def measure(job: MeasureJob) -> MeasureOutcome:
    """Read every slice; leave one image and one report."""
    job_id, digest = job.out_dir.parent.name, hashlib.sha256()
    study = job.series.study_instance_uid
    for instance in job.series.instances:
        digest.update(bytes(pydicom.dcmread(instance.path).PixelData))
    made = []
    for number, sop_class, kind in ((1, objects.SECONDARY_CAPTURE, "sagittal"), (2, objects.COMPREHENSIVE_SR, "sr")):
        uid, series = (
            objects.uid(9, int(job_id.replace("-", ""), 16), number),
            objects.uid(8, int(job_id[:12], 16), number),
        )
        fields: dict[str, Any] = {
            "SOPClassUID": sop_class,
            "SOPInstanceUID": uid,
            "SeriesInstanceUID": series,
            "StudyInstanceUID": study,
        }
        if kind == "sr":
            fields |= {"Modality": "SR", "PixelData": None, "PredecessorDocumentsSequence": _replaced(job)}
            fields["SeriesDescription"] = str(len(job.series.instances))
        path = objects.write(objects.ct_slice(1, 900, number, **fields), job.out_dir / f"{number}.dcm")
        made.append(OutgoingObject(path, sop_class, uid, kind, number, series))  # type: ignore[arg-type]
    result = job.out_dir / "result.json"
    result.write_text(
        json.dumps({"status": "measured", "instances": len(job.series.instances), "pixels": digest.hexdigest()})
    )
    return MeasureOutcome("measured", None, result, tuple(made), ())


def _replaced(job: MeasureJob) -> list[Dataset]:
    """The reports that this one replaces (PS3.3 C.17.2)."""
    items = []
    for predecessor in job.predecessors:
        item = Dataset()
        item.SOPInstanceUID = predecessor.sop_instance_uid
        items.append(item)
    return items


def slowly(job: MeasureJob) -> MeasureOutcome:
    """The same after a while: there is time to be killed in it."""
    time.sleep(float(os.environ.get("VBMD_TEST_SLOWLY_S", "3")))
    return measure(job)
