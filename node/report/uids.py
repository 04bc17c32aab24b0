"""UIDs that follow from the job: the same job gives the same UIDs, on any machine, at any time."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass

from node.domain.job import MeasureJob

_NAMESPACE = uuid.UUID("506a5966-fb65-43e1-ac7e-b3da85243c28")

DEVICE_UID = "2.25.256771257751272799905064428765166001966"
"""The software as an observer (PS3.16 TID 1004); one for all installations."""


@dataclass(frozen=True, slots=True)
class Uids:
    """UIDs of one job's objects, under 2.25 (a UUID as a decimal number, PS3.5 B.2)."""

    identity: str
    """SHA-256 of what the result depends on."""

    def uid(self, *name: str | int) -> str:
        """UID of the thing called ``name`` (series, instance, tracked region)."""
        return f"2.25.{uuid.uuid5(_NAMESPACE, json.dumps([self.identity, *name])).int}"


def of_job(job: MeasureJob, template_digest: str) -> Uids:
    """UIDs of a job's outputs.

    They change with the series, its instances (each one's bytes), the rule, the configuration, the template and
    the software version; not with the order of arrival.
    """
    parts = [
        job.series.series_instance_uid,
        sorted([item.header.sop_instance_uid, item.digest] for item in job.series.instances),
        job.rule,
        template_digest,
        job.provenance.config_digest,
        job.provenance.software_version,
    ]
    return Uids(hashlib.sha256(json.dumps(parts).encode()).hexdigest())
