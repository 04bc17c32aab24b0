"""C-STORE to one destination over one association (PS3.4 annex B, PS3.7 section 9.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from node.domain.settings import Destination
from node.errors import DeliveryFailed

_MAX_CONTEXTS = 128
"""Presentation context identifiers are the odd numbers of one byte (PS3.8 section 9.3.2.2)."""
_VERIFICATION = "1.2.840.10008.1.1"
_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class Unreachable(DeliveryFailed):
    """No association, or one that ended before the answer: it is not known whether the object was stored."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file to be stored."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the destination said to one object. ``status`` is ``None`` when it could not even be offered."""

    accepted: bool
    warning: bool
    status: int | None
    comment: str | None


def judge(status: int, comment: str | None = None) -> Answer:
    """Sort a C-STORE status (PS3.4 table B.2-1): 0000 stored, Bxxx stored with a warning, anything else refused."""
    warning = status & 0xF000 == 0xB000
    return Answer(accepted=status == 0 or warning, warning=warning, status=status, comment=comment)


@contextmanager
def association(destination: Destination, own_ae_title: str, parcels: Sequence[Parcel]) -> Iterator[Carrier]:
    """Open an association for these files. Raises ``Unreachable`` when there is none to be had."""
    entity = AE(ae_title=destination.calling_ae_title or own_ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = destination.timeout_s
    entity.connection_timeout = destination.timeout_s
    entity.requested_contexts = [build_context(cls, list(syntaxes)) for cls, syntaxes in _proposals(parcels)]
    try:
        link = entity.associate(destination.host, destination.port, ae_title=destination.ae_title)
    except OSError as error:
        raise Unreachable(f"the host cannot be reached ({error.strerror})") from error
    try:
        if not link.is_established:
            raise Unreachable(_why_not(link))
        yield Carrier(link)
    finally:
        if link.is_established:
            link.release()


class Carrier:
    """An open association."""

    def __init__(self, link: Association) -> None:
        self._link = link

    def store(self, parcel: Parcel) -> Answer:
        """Send one file. Raises ``Unreachable`` when the association ends before the answer.

        A file that cannot be read, or a SOP class that the destination did not accept, is an ``Answer`` without status.
        """
        if not self._link.is_established:
            raise Unreachable("the association was ended by the destination")
        try:
            reply = self._link.send_c_store(dcmread(parcel.path))
        except ValueError:
            return Answer(False, False, None, "the destination does not accept this SOP class and transfer syntax")
        except (OSError, InvalidDicomError, AttributeError) as error:
            return Answer(False, False, None, f"the file cannot be read ({type(error).__name__})")
        except RuntimeError as error:
            raise Unreachable("the association was ended by the destination") from error
        if "Status" not in reply:
            raise Unreachable("the destination ended the association, or did not answer in time")
        return judge(int(reply.Status), _comment(reply))


def _proposals(parcels: Sequence[Parcel]) -> list[tuple[UID, list[UID]]]:
    """One context for each SOP class and transfer syntax; uncompressed files may go as either little endian syntax."""
    wanted: dict[tuple[str, str], list[UID]] = {}
    for parcel in parcels:
        syntax = _transfer_syntax(parcel.path)
        if syntax in _UNCOMPRESSED:
            for choice in _UNCOMPRESSED:
                wanted[parcel.sop_class_uid, choice] = [choice]
        elif syntax is not None:
            wanted[parcel.sop_class_uid, syntax] = [syntax]
        else:
            wanted[parcel.sop_class_uid, ExplicitVRLittleEndian] = [ExplicitVRLittleEndian]
    return [(UID(sop_class), syntaxes) for (sop_class, _), syntaxes in wanted.items()][:_MAX_CONTEXTS]


def _transfer_syntax(path: Path) -> UID | None:
    try:
        meta = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).file_meta
    except (OSError, InvalidDicomError):
        return None
    return UID(meta.TransferSyntaxUID) if "TransferSyntaxUID" in meta else None


def _why_not(link: Association) -> str:
    if link.is_rejected:
        answer: Any = link.acceptor.primitive
        codes = f"result {answer.result}, source {answer.result_source}, reason {answer.diagnostic}"
        return f"the association was rejected ({codes})"
    if link.rejected_contexts:
        return "none of the SOP classes and transfer syntaxes was accepted"
    return "no connection, or the association was aborted while it was negotiated"


def _comment(reply: Any) -> str | None:
    text = getattr(reply, "ErrorComment", None)
    return str(text)[:64] if text else None


def echo(destination: Destination, own_ae_title: str) -> bool:
    """Whether the destination answers a C-ECHO."""
    entity = AE(ae_title=destination.calling_ae_title or own_ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = destination.timeout_s
    entity.connection_timeout = destination.timeout_s
    entity.add_requested_context(_VERIFICATION)
    link = entity.associate(destination.host, destination.port, ae_title=destination.ae_title)
    if not link.is_established:
        return False
    reply = link.send_c_echo()
    link.release()
    return "Status" in reply and reply.Status == 0
