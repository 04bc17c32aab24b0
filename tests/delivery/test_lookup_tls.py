"""Earlier reports come over TLS from an archive that speaks nothing else, and never in the clear."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.delivery import Lookup
from node.demo.pacs import AE_TITLE, Orthanc
from node.domain.job import MeasureJob
from node.domain.settings import ArchiveSettings, Destination, PriorArchive, ReceiverSettings, TlsSettings
from node.intake import Receiver
from node.ledger import Ledger, sqlite_url
from tests.certificates import Authority, authority
from tests.delivery.test_lookup import OURS, ask, job_of, report, years
from tests.intake.objects import ct_slice
from tests.peers import peer


@dataclass
class SecureArchive:
    """An Orthanc that speaks TLS only, and the certificates that it trusts and shows."""

    port: int
    trusted: Authority
    ledger: Ledger

    def looking(self, own: TlsSettings | None, method: str = "get") -> Lookup:
        """From a node with this certificate."""
        there = Destination("pacs", AE_TITLE, "127.0.0.1", self.port, timeout_s=10.0, tls=True)
        settings = replace(ArchiveSettings(), method=method)
        return Lookup(PriorArchive(there, settings, (OURS,)), "NODE", self.ledger.objects_at, own)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureArchive]:
    folder = tmp_path_factory.mktemp("secure")
    trusted = authority(folder / "trusted")
    node, own = replace(trusted.issue("node"), port=0), trusted.issue("archive")
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    settings = ReceiverSettings("NODE", 0, folder / "spool", "127.0.0.1", open_to_all=True, disk_reserve_mb=1, tls=node)
    receiver = Receiver(settings, ledger)
    receiver.start()
    orthanc = Orthanc(
        peer("Orthanc"),
        folder,
        settings={
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(own.certificate),
            "DicomTlsPrivateKey": str(own.key),
            "DicomTlsTrustedCertificates": str(trusted.certificate),
            "DicomModalities": {
                "node": {"AET": "NODE", "Host": "127.0.0.1", "Port": receiver.tls_port, "UseDicomTls": True}
            },
        }
        | {f"DicomAlwaysAllow{verb}": True for verb in ("Find", "Get", "Move")},
    )
    try:
        report("2024", "20240105").save_as(folder / "held.dcm", enforce_file_format=True)
        tls = ("+tls", own.key, own.certificate, "+cf", trusted.certificate)
        command = (peer("storescu"), *tls, "-R", "-aec", AE_TITLE, "127.0.0.1", orthanc.port, folder / "held.dcm")
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)
        yield SecureArchive(orthanc.port, trusted, ledger)
    finally:
        orthanc.close()
        receiver.stop()
        ledger.close()


@pytest.fixture
def job(tmp_path: Path) -> MeasureJob:
    image = ct_slice(1, 1, 1)
    image.PatientID, image.PatientBirthDate, image.StudyDate = "P1", "19500101", "20260105"
    return job_of(image, tmp_path)


@pytest.mark.peer
@pytest.mark.parametrize("method", ["get", "move"])
def test_reports_come_over_tls(secure: SecureArchive, job: MeasureJob, method: str) -> None:
    found = ask(secure.looking(secure.trusted.issue(f"node-{method}"), method), job)
    assert years(found) == ["SR 2024"]
    assert not found.priors_incomplete


@pytest.mark.peer
def test_an_archive_of_another_authority_is_not_asked(secure: SecureArchive, job: MeasureJob, tmp_path: Path) -> None:
    stranger = authority(tmp_path / "other").issue("node")
    found = ask(secure.looking(stranger), job)
    assert (found.prior_reports, found.priors_incomplete) == ((), True)


@pytest.mark.peer
def test_without_a_certificate_nothing_is_asked_in_the_clear(secure: SecureArchive, job: MeasureJob) -> None:
    found = ask(secure.looking(None), job)
    assert (found.prior_reports, found.priors_incomplete) == ((), True)
