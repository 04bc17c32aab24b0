"""Late slices: the same set makes no second report, a changed set one that names its predecessor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from node.domain.job import MeasureJob, MeasureOutcome
from node.ledger import Ledger
from node.ledger.records import Arrival, Attempt
from node.ledger.states import DeliveryState
from tests.ledger.arrivals import Clock, arrival, choose, outcome, plan, quiet_study, receive


def reported(number: int) -> MeasureOutcome:
    """An outcome whose report has UIDs of its own."""
    made = outcome()
    (report,) = made.objects
    uids = {"sop_instance_uid": f"9.{number}.1", "series_instance_uid": f"9.{number}"}
    return replace(made, objects=(replace(report, **uids),))  # type: ignore[arg-type]


def measured(ledger: Ledger, number: int, *, sent: bool = True) -> str:
    """Take the only quiet study to a report, and the report to its destination."""
    job_id = plan(ledger)
    assert ledger.begin_job(job_id) is not None
    ledger.finish_job(job_id, reported(number), {"status": "measured"})
    if sent:
        shipment = ledger.due_shipment("A")
        assert shipment is not None
        ledger.record_attempt(shipment, f"9.{number}.1", Attempt(DeliveryState.STORED, 0, None, None))
    return job_id


def test_the_first_report_has_no_predecessor(ledger: Ledger) -> None:
    receive(ledger)
    assert ledger.job(measured(ledger, 1)).predecessors == ()


def test_a_report_on_more_slices_names_its_predecessor(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measured(ledger, 1)
    clock.now += 60
    receive(ledger, 1, first=3)
    (predecessor,) = ledger.job(measured(ledger, 2)).predecessors
    assert (predecessor.kind, predecessor.study_instance_uid) == ("sr", "1.2")
    assert (predecessor.series_instance_uid, predecessor.sop_instance_uid) == ("9.1", "9.1.1")


def test_each_report_names_the_one_before(ledger: Ledger, clock: Clock) -> None:
    found = []
    for number in range(1, 4):
        receive(ledger, 1, first=number)
        found.append(ledger.job(measured(ledger, number)).predecessors)
        clock.now += 60
    assert [[one.sop_instance_uid for one in many] for many in found] == [[], ["9.1.1"], ["9.2.1"]]


def test_the_same_set_again_makes_no_second_report(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    job_id = measured(ledger, 1)
    receive(ledger)
    assert ledger.quiet_studies(0.0) == []
    clock.now += 60
    receive(ledger, 1, series="1.2.9")
    study = quiet_study(ledger)
    ledger.settle(study, "config-2", choose(study))
    assert [one.job_id for one in ledger.lineage.of(study.series[0].key)] == [job_id]
    assert len(ledger.unfinished_jobs()) == 1


def test_the_ledger_shows_which_report_is_current(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    first = measured(ledger, 1)
    clock.now += 60
    receive(ledger, 1, first=3)
    second = measured(ledger, 2)
    (row,) = ledger.status()
    lineage = ledger.lineage.of(row.series_key)
    assert [(one.job_id, one.predecessor, one.current) for one in lineage] == [
        (first, None, False),
        (second, first, True),
    ]
    assert row.replaces == first


def test_a_report_that_nobody_was_given_is_no_predecessor(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measured(ledger, 1, sent=False)
    clock.now += 60
    receive(ledger, 1, first=3)
    assert ledger.job(measured(ledger, 2)).predecessors == ()


def test_a_measurement_overtaken_by_late_slices_is_no_predecessor(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    overtaken = plan(ledger)
    ledger.begin_job(overtaken)
    receive(ledger, 1, first=3)
    ledger.finish_job(overtaken, reported(1), {"status": "measured"})
    clock.now += 60
    assert ledger.job(measured(ledger, 2)).predecessors == ()


def test_a_known_uid_with_other_bytes_is_counted(ledger: Ledger) -> None:
    receive(ledger)
    ledger.record_arrival(arrival(0, digest="other"))
    (row,) = ledger.status()
    assert (row.instances, row.variants) == (3, 1)


def of_patient(number: int, study: str, patient: str | None) -> Arrival:
    made = arrival(number, study=study, series=f"{study}.7")
    return replace(made, header=replace(made.header, patient_key=patient))


def report_of(ledger: Ledger, study: str, patient: str | None, clock: Clock) -> MeasureJob:
    """Receive and measure a study; return the job as it began."""
    clock.now += 60
    ledger.record_arrival(of_patient(0, study, patient))
    job_id = plan(ledger)
    assert ledger.begin_job(job_id) is not None
    begun = ledger.job(job_id)
    made = outcome()
    (report,) = made.objects
    named = replace(report, path=Path(f"/outbox/{study}"), sop_instance_uid=f"{study}.99")
    ledger.finish_job(job_id, replace(made, objects=(named,)), {"status": "measured"})
    return begun


def test_a_later_study_of_the_patient_finds_the_earlier_report(ledger: Ledger, clock: Clock) -> None:
    report_of(ledger, "1.5", "p", clock)
    assert report_of(ledger, "1.6", "p", clock).prior_reports == (Path("/outbox/1.5"),)


def test_another_patient_does_not(ledger: Ledger, clock: Clock) -> None:
    report_of(ledger, "1.5", "p", clock)
    assert report_of(ledger, "1.6", "q", clock).prior_reports == ()


def test_patients_without_identity_are_never_the_same(ledger: Ledger, clock: Clock) -> None:
    report_of(ledger, "1.5", None, clock)
    assert report_of(ledger, "1.6", None, clock).prior_reports == ()
