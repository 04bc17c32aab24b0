"""DICOM over TLS at the receiver, against DCMTK's senders and bare sockets."""

from __future__ import annotations

import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from node import tls
from node.domain.settings import Sender, TlsSettings
from node.errors import ConfigError
from tests.certificates import Authority, authority
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import ct_series
from tests.intake.test_receiver import association, wait_for_log
from tests.peers import peer


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def node(trusted: Authority) -> TlsSettings:
    return replace(trusted.issue("node"), port=0)


@pytest.fixture(scope="module")
def scanner(trusted: Authority) -> TlsSettings:
    return trusted.issue("scanner")


@pytest.fixture
def secure(doors: OpenDoors, node: TlsSettings) -> Door:
    return doors.open(tls=node)


def store(door: Door, own: TlsSettings, files: list[Path], program: str = "storescu") -> int:
    command = [peer(program), "+tls", own.key, own.certificate, "+cf", own.authorities, "-aet", "CT1", "-aec", "NODE"]
    return subprocess.run([*map(str, command), "127.0.0.1", str(door.receiver.tls_port), *files]).returncode


@pytest.mark.peer
def test_a_series_is_stored_over_tls(secure: Door, scanner: TlsSettings, tmp_path: Path) -> None:
    assert store(secure, scanner, ct_series(tmp_path)) == 0
    assert secure.ledger.status()[0].instances == 5


@pytest.mark.peer
def test_the_plain_port_is_open_beside(secure: Door, scanner: TlsSettings, tmp_path: Path) -> None:
    files = ct_series(tmp_path)
    subprocess.run([peer("dcmsend"), "-aec", "NODE", "127.0.0.1", str(secure.port), *files], check=True)
    assert store(secure, scanner, files) == 0
    assert secure.ledger.status()[0].instances == 5


@pytest.mark.peer
def test_a_certificate_of_another_authority_is_turned_away(secure: Door, tmp_path: Path) -> None:
    stranger = authority(tmp_path / "other", "other").issue("stranger")
    trusting = replace(stranger, authorities=secure.receiver._settings.tls.authorities)  # type: ignore[union-attr]
    assert store(secure, trusting, ct_series(tmp_path / "ct")) != 0
    wait_for_log(secure, "tls-handshake-failed")


def test_without_a_certificate_nobody_connects(secure: Door, trusted: Authority) -> None:
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 would tell it with the first bytes read
    assert spoken(secure, context) is None


def test_client_certificates_can_be_waived(doors: OpenDoors, node: TlsSettings, trusted: Authority) -> None:
    door = doors.open(tls=replace(node, client_certificates=False))
    assert spoken(door, ssl.create_default_context(cafile=str(trusted.certificate))) == "TLSv1.3"


@pytest.mark.parametrize(
    ("ciphers", "version"),
    [("ECDHE-RSA-AES256-GCM-SHA384", "TLSv1.2"), ("AES256-SHA", None), ("ECDHE-RSA-AES128-SHA256", None)],
)
def test_tls_1_2_is_spoken_with_fit_ciphers_only(
    ciphers: str, version: str | None, secure: Door, scanner: TlsSettings
) -> None:
    context = tls.client_context(scanner)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    assert spoken(secure, context) == version


def test_tls_1_1_is_not_spoken(secure: Door, scanner: TlsSettings) -> None:
    context = tls.client_context(scanner)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert spoken(secure, context) is None


def spoken(door: Door, context: ssl.SSLContext) -> str | None:
    """Return the version that was agreed on, if any was."""
    try:
        with (
            socket.create_connection(("127.0.0.1", door.receiver.tls_port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            return wrapped.version()
    except ssl.SSLError:
        return None


@pytest.mark.peer
def test_who_never_shakes_hands_does_not_hold_up_the_door(secure: Door, scanner: TlsSettings, tmp_path: Path) -> None:
    with socket.create_connection(("127.0.0.1", secure.receiver.tls_port)):
        assert store(secure, scanner, ct_series(tmp_path, count=1)) == 0


@pytest.mark.peer
def test_a_sender_of_tls_only_is_rejected_at_the_plain_port(
    doors: OpenDoors, node: TlsSettings, scanner: TlsSettings, tmp_path: Path
) -> None:
    door = doors.open(tls=node, open_to_all=False, senders=(Sender("ct", "CT1", tls_only=True),))
    with association(door) as link:
        assert link.is_rejected
    assert store(door, scanner, ct_series(tmp_path, count=1)) == 0


def test_a_key_of_another_certificate_is_a_configuration_error(node: TlsSettings, scanner: TlsSettings) -> None:
    with pytest.raises(ConfigError, match=r"tls\.certificate"):
        tls.server_context(replace(node, key=scanner.key))


def test_a_missing_certificate_is_a_configuration_error(node: TlsSettings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        tls.server_context(replace(node, certificate=tmp_path / "absent.pem"))
