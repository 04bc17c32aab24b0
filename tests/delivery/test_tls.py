"""Delivery over TLS: to a listener that wants a certificate, and shows one that is checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.delivery.scu import Parcel, Unreachable, association
from node.domain.settings import Destination, ReceiverSettings, TlsSettings
from node.intake import Receiver
from node.ledger import Ledger, sqlite_url
from tests.certificates import authority
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write


@pytest.fixture
def secure(tmp_path: Path) -> TlsSettings:
    return replace(authority(tmp_path / "trusted").issue("node"), port=0)


def _send(folder: Path, listener: TlsSettings, own: TlsSettings | None) -> bool:
    parcel = Parcel(write(ct_slice(1, 1, 1), folder / "1.dcm"), CT_IMAGE, uid(1, 1, 1))
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    settings = ReceiverSettings("PACS", 0, folder / "spool", "127.0.0.1", open_to_all=True, disk_reserve_mb=1)
    receiver = Receiver(replace(settings, tls=listener), ledger)
    receiver.start()
    there = Destination("pacs", "PACS", "127.0.0.1", receiver.tls_port, timeout_s=5.0, tls=True)
    try:
        with association(there, "NODE", [parcel], own) as carrier:
            return carrier.store(parcel).accepted
    finally:
        receiver.stop()
        ledger.close()


def test_an_object_is_delivered_over_tls(tmp_path: Path, secure: TlsSettings) -> None:
    assert _send(tmp_path, secure, secure)


def test_an_archive_with_a_certificate_of_another_authority_gets_nothing(tmp_path: Path, secure: TlsSettings) -> None:
    other = authority(tmp_path / "other").issue("pacs")
    with pytest.raises(Unreachable):
        _send(tmp_path, replace(other, authorities=secure.authorities, port=0), secure)


def test_without_a_certificate_nothing_is_sent_in_the_clear(tmp_path: Path, secure: TlsSettings) -> None:
    with pytest.raises(Unreachable, match="no certificate"):
        _send(tmp_path, secure, None)
