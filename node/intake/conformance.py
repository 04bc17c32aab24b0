"""The tables of the DICOM conformance statement that follow from the code of the door in (PS3.2)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from typing import cast

from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts

from node import tls
from node.intake import admission, commitment, part10, storing, tuning
from node.intake.scp import TRANSFER_SYNTAXES, UNCOMPRESSED, VERIFICATION


def tables() -> dict[str, str]:
    """Return each table as Markdown, by the name that docs/conformance.md calls it."""
    return {
        "implementation": _table(("what", "value"), _implementation()),
        "transfer-syntaxes": _table(("transfer syntax", "UID"), ((UID(uid).name, uid) for uid in TRANSFER_SYNTAXES)),
        "storage": _table(("SOP class", "UID"), sorted(_storage())),
        "other": _table(("SOP class", "UID", "role", "transfer syntaxes"), _other()),
        "store-status": _table(("status", "when"), ((f"{one:04X}", why) for one, why in storing.STATUSES.items())),
        "action-status": _table(("status", "when"), _action_statuses()),
        "rejections": _table(("result", "source", "reason", "when"), _rejections()),
        "tls": _table(("cipher suites of TLS 1.2",), sorted(_ciphers())),
    }


def _implementation() -> Iterator[tuple[str, str]]:
    yield "Implementation Class UID", part10.IMPLEMENTATION_CLASS_UID
    yield "Implementation Version Name", part10.IMPLEMENTATION_VERSION_NAME
    yield "Application Context Name", "1.2.840.10008.3.1.1.1"
    yield "Maximum PDU size, announced", f"{tuning.MAXIMUM_PDU_BYTES} bytes"
    yield (
        "Asynchronous operations",
        "not negotiated; C-STORE requests that come before the answer are taken and answered in order",
    )
    yield "Extended negotiation, user identity", "ignored"


def _storage() -> Iterator[tuple[str, str]]:
    for context in AllStoragePresentationContexts:
        uid = cast(UID, context.abstract_syntax)
        yield uid.name, str(uid)


def _other() -> Iterator[tuple[str, str, str, str]]:
    syntaxes = ", ".join(UID(uid).name for uid in UNCOMPRESSED)
    for uid in (UID(VERIFICATION), commitment.STORAGE_COMMITMENT):
        yield uid.name, str(uid), "SCP", syntaxes


def _action_statuses() -> Iterator[tuple[str, str]]:
    for status, when in (
        (commitment.SUCCESS, "the request is recorded; its result follows as N-EVENT-REPORT"),
        (commitment.NO_SUCH_INSTANCE, "not the well-known SOP Instance UID"),
        (commitment.INVALID_ARGUMENT, "no Transaction UID, no references, or they cannot be read"),
        (commitment.NO_SUCH_ACTION, "another Action Type ID than 1"),
        (commitment.RESOURCE_LIMITATION, "the ledger does not answer; ask again later"),
    ):
        yield f"{status:04X}", when


def _rejections() -> Iterator[tuple[str, str, str, str]]:
    results = {1: "1, permanent", 2: "2, transient"}
    sources = {1: "1, service user", 3: "3, service provider (presentation)"}
    for one, when in (
        (admission.UNKNOWN_SENDER, "the calling AE title and address belong to no configured sender"),
        (admission.IN_THE_CLEAR, "the sender is to come over TLS alone, and came to the plain port"),
        (admission.OTHER_CALLED_TITLE, "the called AE title is not the node's"),
        (admission.TOO_MANY, "as many associations are open as are allowed"),
        (admission.DISK_WATERMARK, "more of the disk is in use than the watermark allows"),
    ):
        yield results[one.result], sources[one.source], str(one.diagnostic), when


def _ciphers() -> Iterator[tuple[str]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(tls.CIPHERS)
    return ((str(cipher["name"]),) for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)
