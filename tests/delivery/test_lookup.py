"""Earlier reports come from a real archive, by C-GET and by C-MOVE, and whatever an archive does ends in time."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from structlog.testing import capture_logs

from node.delivery import Lookup
from node.demo.pacs import AE_TITLE, Orthanc, free_port
from node.domain.instance import InstanceHeader, Series, StoredInstance
from node.domain.job import MeasureJob, Provenance
from node.domain.settings import ArchiveSettings, Destination, MeasurementSettings, PriorArchive, ReceiverSettings
from node.intake import Receiver
from node.ledger import Ledger, sqlite_url
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write
from tests.peers import peer

OURS = "Bone density (QCT)"
COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
DOSE = "1.2.840.10008.5.1.4.1.1.88.67"
NOTE = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass
class Archive:
    """An Orthanc, and the node that it may store to."""

    orthanc: Orthanc
    receiver: Receiver
    ledger: Ledger

    def looking(self, **changes: object) -> Lookup:
        settings = replace(ArchiveSettings(), **changes)  # type: ignore[arg-type]
        return Lookup(PriorArchive(_at(self.orthanc.port), settings, (OURS,)), "NODE", self.ledger.objects_at)


def _at(port: int, timeout_s: float = 5.0) -> Destination:
    return Destination("pacs", AE_TITLE, "127.0.0.1", port, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    receiver = Receiver(
        ReceiverSettings("NODE", 0, folder / "spool", "127.0.0.1", open_to_all=True, disk_reserve_mb=1), ledger
    )
    receiver.start()
    allowed = {f"DicomAlwaysAllow{verb}": True for verb in ("Find", "Get", "Move")}
    known = {"DicomModalities": {"node": ["NODE", "127.0.0.1", receiver.port]}}
    orthanc = Orthanc(peer("Orthanc"), folder, settings=allowed | known)
    try:
        _store(orthanc, folder / "held", _held())
        yield Archive(orthanc, receiver, ledger)
    finally:
        orthanc.close()
        receiver.stop()
        ledger.close()


def _held() -> dict[str, Dataset]:
    """What the archive holds, by what is expected of it."""
    return {
        "wanted, 2024": report("2024", "20240105"),
        "wanted, 2023": report("2023", "20230105"),
        "note, 2023": report("2023", "20230105", series="9", sop_class=NOTE, modality="KO", description="Withdrawn"),
        "other description": report("2023", "20230105", series="2", description="Radiologist's report"),
        "dose report": report("2023", "20230105", series="3", sop_class=DOSE, description=OURS),
        "other birth date": report("2022", "20220105", born="19550505"),
        "too old": report("2010", "20100105"),
        "later": report("2027", "20270105"),
        "other patient": report("2021", "20210105", patient="P2"),
    }


def report(
    study: str,
    day: str,
    *,
    series: str = "1",
    patient: str = "P1",
    born: str = "19500101",
    sop_class: str = COMPREHENSIVE,
    modality: str = "SR",
    description: str = OURS,
) -> Dataset:
    made = Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.PatientID, made.PatientBirthDate, made.PatientName = patient, born, "Doe^Jane"
    made.StudyInstanceUID, made.SeriesInstanceUID = (
        f"1.2.3.{patient[1:]}.{study}",
        f"1.2.3.{patient[1:]}.{study}.{series}",
    )
    made.StudyDate, made.Modality, made.SeriesDescription = day, modality, description
    return made


def _store(orthanc: Orthanc, folder: Path, held: dict[str, Dataset]) -> None:
    folder.mkdir()
    for number, one in enumerate(held.values()):
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    command = [peer("storescu"), "-R", "-aec", AE_TITLE, "127.0.0.1", str(orthanc.port), "+sd", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def job(tmp_path: Path) -> MeasureJob:
    image = ct_slice(1, 1, 1)
    image.PatientID, image.PatientBirthDate, image.StudyDate = "P1", "19500101", "20260105"
    return job_of(image, tmp_path)


def job_of(image: Dataset, folder: Path) -> MeasureJob:
    path = write(image, folder / "image.dcm")
    header = InstanceHeader(uid(1), uid(1, 1), uid(1, 1, 1), CT_IMAGE, ExplicitVRLittleEndian)
    return MeasureJob(
        series=Series(uid(1), uid(1, 1), (StoredInstance(path, header, "0" * 64),)),
        rule="trunk",
        phantoms=(),
        settings=MeasurementSettings(),
        template=folder / "template.toml",
        report_refusals=True,
        out_dir=folder / "job",
        provenance=Provenance("test", "v1"),
    )


def years(job: MeasureJob) -> list[str]:
    found = [pydicom.dcmread(path) for path in job.prior_reports]
    return sorted(f"{one.Modality} {one.StudyDate[:4]}" for one in found)


def ask(lookup: Lookup, job: MeasureJob, turn: int = 0) -> MeasureJob:
    return lookup(job, turn, threading.Event())


@pytest.mark.peer
@pytest.mark.parametrize("method", ["get", "move"])
def test_the_patients_reports_of_the_last_years_come(archive: Archive, job: MeasureJob, method: str) -> None:
    found = ask(archive.looking(method=method), job)
    assert years(found) == ["KO 2023", "SR 2023", "SR 2024"]
    assert not found.priors_incomplete


@pytest.mark.peer
def test_the_latest_studies_count(archive: Archive, job: MeasureJob) -> None:
    assert years(ask(archive.looking(max_studies=1), job)) == ["SR 2024"]


@pytest.mark.peer
def test_another_issuer_of_the_same_number_is_another_patient(archive: Archive, tmp_path: Path) -> None:
    image = ct_slice(1, 1, 1)
    image.PatientID, image.PatientBirthDate, image.StudyDate = "P1", "19500102", "20260105"
    assert years(ask(archive.looking(), job_of(image, tmp_path))) == []


@pytest.mark.peer
def test_a_number_is_no_pattern(archive: Archive, tmp_path: Path) -> None:
    image = ct_slice(1, 1, 1)
    image.PatientID, image.PatientBirthDate, image.StudyDate = "P*", "19500101", "20260105"
    assert years(ask(archive.looking(), job_of(image, tmp_path))) == []


def test_without_birth_date_nobody_is_asked(tmp_path: Path) -> None:
    image = ct_slice(1, 1, 1)
    image.PatientID, image.PatientBirthDate = "P1", ""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        job = job_of(image, tmp_path)
        assert ask(_lookup(silent.getsockname()[1]), job) == job


@pytest.mark.peer
def test_what_came_is_kept_with_the_job(archive: Archive, job: MeasureJob) -> None:
    first = ask(archive.looking(), job)
    assert ask(_lookup(free_port()), job) == first


@pytest.mark.peer
def test_a_later_turn_completes_what_was_incomplete(archive: Archive, job: MeasureJob) -> None:
    dead = _lookup(free_port())
    assert ask(dead, job).priors_incomplete
    assert ask(archive.looking(), job).priors_incomplete
    assert not ask(archive.looking(), job, turn=1).priors_incomplete


@pytest.mark.peer
def test_move_to_a_title_that_the_archive_does_not_know_is_incomplete(archive: Archive, job: MeasureJob) -> None:
    lookup = Lookup(
        PriorArchive(_at(archive.orthanc.port), ArchiveSettings(method="move"), (OURS,)),
        "STRANGER",
        archive.ledger.objects_at,
    )
    found = ask(lookup, job)
    assert (found.prior_reports, found.priors_incomplete) == ((), True)


def _lookup(port: int, clock: Callable[[], float] = time.monotonic, **changes: object) -> Lookup:
    settings = replace(ArchiveSettings(), **({"time_limit_s": 1.0} | changes))  # type: ignore[arg-type]
    return Lookup(PriorArchive(_at(port, 30.0), settings, (OURS,)), "NODE", lambda _uids: {}, clock=clock)


def test_a_dead_archive_is_said_to_be_incomplete_and_rests(job: MeasureJob, tmp_path: Path) -> None:
    now = [1000.0]
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        lookup = _lookup(silent.getsockname()[1], lambda: now[0], rest_s=60.0)
        begun = time.monotonic()
        assert ask(lookup, job).priors_incomplete
        assert time.monotonic() - begun < 3.0
        begun = time.monotonic()
        assert ask(lookup, replace(job, out_dir=tmp_path / "next")).priors_incomplete
        assert time.monotonic() - begun < 0.5
        now[0] += 61.0
        begun = time.monotonic()
        assert ask(lookup, replace(job, out_dir=tmp_path / "third")).priors_incomplete
        assert time.monotonic() - begun > 0.9


def test_a_node_that_stops_keeps_nothing(job: MeasureJob) -> None:
    stopping = threading.Event()
    stopping.set()
    _lookup(free_port())(job, 0, stopping)
    assert not (job.out_dir / "priors" / "index.json").exists()


def test_a_damaged_list_is_made_again(job: MeasureJob) -> None:
    folder = job.out_dir / "priors"
    folder.mkdir(parents=True)
    (folder / "index.json").write_text("{")
    ask(_lookup(free_port()), job)
    assert json.loads((folder / "index.json").read_text())["complete"] is False


def test_a_folder_that_cannot_be_written_stops_no_measurement(job: MeasureJob, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = ask(_lookup(free_port()), replace(job, out_dir=tmp_path / "file" / "job"))
    assert (found.prior_reports, found.priors_incomplete) == ((), True)


def test_without_an_archive_jobs_stay_as_they_are(job: MeasureJob) -> None:
    assert ask(Lookup(None, "NODE", lambda _uids: {}), job) == job


@pytest.mark.peer
def test_no_patient_is_in_the_log(archive: Archive, job: MeasureJob, tmp_path: Path) -> None:
    with capture_logs() as logged:
        ask(archive.looking(), job)
        ask(_lookup(free_port()), replace(job, out_dir=tmp_path / "next"))
    said = str(logged)
    assert "priors-looked-up" in said
    assert not any(word in said for word in ("P1", "19500101", "Doe", "1.2.3."))
    shutil.rmtree(job.out_dir)
