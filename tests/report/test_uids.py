"""UIDs follow from the job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import UID

from node.domain.job import MeasureJob, Provenance
from node.report.uids import of_job
from tests.report import fixtures
from tests.report.conftest import Written


@pytest.fixture
def job(head_first: Written, out_dir: Path) -> MeasureJob:
    return fixtures.job(head_first[0], out_dir)


def uid_of(job: MeasureJob, template: str = "t") -> str:
    return of_job(job, template).uid("series", "sr")


def test_same_job_same_uid(job: MeasureJob) -> None:
    assert uid_of(job) == uid_of(replace(job, out_dir=Path("/elsewhere")))


def test_order_of_arrival_does_not_matter(job: MeasureJob) -> None:
    turned = replace(job, series=replace(job.series, instances=job.series.instances[::-1]))
    assert uid_of(job) == uid_of(turned)


def test_uid_is_valid(job: MeasureJob) -> None:
    uid = UID(uid_of(job))
    assert uid.is_valid
    assert len(uid) <= 64


def test_names_do_not_run_together(job: MeasureJob) -> None:
    uids = of_job(job, "t")
    assert uids.uid("a", "bc") != uids.uid("ab", "c")


@pytest.mark.parametrize("what", ["instances", "bytes", "rule", "template", "software", "configuration"])
def test_another_cause_gives_another_uid(job: MeasureJob, what: str) -> None:
    first, *rest = job.series.instances
    other = {
        "instances": lambda: replace(job, series=replace(job.series, instances=tuple(rest))),
        "bytes": lambda: replace(job, series=replace(job.series, instances=(replace(first, digest="0"), *rest))),
        "rule": lambda: replace(job, rule="other"),
        "template": lambda: job,
        "software": lambda: replace(job, provenance=replace(job.provenance, software_version="0.2.0")),
        "configuration": lambda: replace(job, provenance=Provenance(job.provenance.software_version, "cd")),
    }[what]()
    assert uid_of(other, "other" if what == "template" else "t") != uid_of(job)
