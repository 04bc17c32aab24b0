"""C-STORE to one destination over one association (PS3.4 annex B, PS3.7 section 9.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context, build_role

from node import tls as tls_contexts
from node.domain.settings import Destination, TlsSettings
from node.errors import ConfigError, DeliveryFailed

_MAX_CONTEXTS = 128
"""Presentation context identifiers are the odd numbers of one byte (PS3.8 section 9.3.2.2)."""
VERIFICATION = "1.2.840.10008.1.1"
COMPREHENSIVE, COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34"
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


Handlers = Sequence[Any]
Context = tuple[UID, Sequence[UID] | None]
"""Abstract syntax and transfer syntaxes; ``None``: the usual uncompressed ones."""


@contextmanager
def link_to(
    destination: Destination,
    own_ae_title: str,
    contexts: Sequence[Context],
    tls: TlsSettings | None = None,
    handlers: Handlers = (),
    takes: Sequence[UID] = (),
) -> Iterator[Association]:
    """Open an association for these presentation contexts. Raises ``Unreachable`` when there is none to be had.

    ``takes``: SOP classes that the node stores itself when a C-GET sends them (PS3.7 D.3.3.4).
    """
    entity = AE(ae_title=destination.calling_ae_title or own_ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = destination.timeout_s
    entity.connection_timeout = destination.timeout_s
    entity.requested_contexts = [build_context(cls, list(syntaxes or _UNCOMPRESSED)) for cls, syntaxes in contexts]
    try:
        secure = _secure(destination, tls)
        address = (destination.host, destination.port)
        link = entity.associate(
            *address,
            ae_title=destination.ae_title,
            tls_args=secure,
            evt_handlers=cast(Any, list(handlers)),
            ext_neg=[build_role(cls, scp_role=True) for cls in takes],
        )
    except OSError as error:
        raise Unreachable(f"the host cannot be reached ({error.strerror})") from error
    except ConfigError as error:
        raise Unreachable(f"TLS cannot be used: {error}") from error
    try:
        if not link.is_established:
            raise Unreachable(_why_not(link))
        yield link
    finally:
        if link.is_established:
            link.release()


def _secure(destination: Destination, settings: TlsSettings | None) -> Any:
    if not destination.tls:
        return None
    if settings is None:
        raise Unreachable("TLS is wanted, but the node has no certificate")
    return tls_contexts.client_context(settings, check_host=destination.tls_check_host), destination.host


@contextmanager
def association(
    destination: Destination, own_ae_title: str, parcels: Sequence[Parcel], tls: TlsSettings | None = None
) -> Iterator[Carrier]:
    """Open an association for these files. Raises ``Unreachable`` when there is none to be had."""
    proposals = _proposals(parcels, sr_fallback=destination.sr_fallback)
    with link_to(destination, own_ae_title, proposals, tls) as link:
        yield StoreCarrier(link)


class Carrier(Protocol):
    """What takes objects to a destination."""

    def store(self, parcel: Parcel) -> Answer:
        """Send one file. Raises ``Unreachable`` when there is no answer about it."""


class StoreCarrier(Carrier):
    """An open association."""

    def __init__(self, link: Association) -> None:
        self._link = link
        self._accepted = {str(context.abstract_syntax) for context in link.accepted_contexts}

    def store(self, parcel: Parcel) -> Answer:
        """Send one file. Raises ``Unreachable`` when the association ends before the answer.

        A file that cannot be read, or a SOP class that the destination did not accept, is an ``Answer`` without status.
        """
        if not self._link.is_established:
            raise Unreachable("the association was ended by the destination")
        try:
            dataset = dcmread(parcel.path)
            as_other = self._as_comprehensive(dataset, parcel)
            reply = self._link.send_c_store(dataset)
        except ValueError:
            return Answer(False, False, None, "the destination does not accept this SOP class and transfer syntax")
        except (OSError, InvalidDicomError, AttributeError) as error:
            return Answer(False, False, None, f"the file cannot be read ({type(error).__name__})")
        except RuntimeError as error:
            raise Unreachable("the association was ended by the destination") from error
        if "Status" not in reply:
            raise Unreachable("the destination ended the association, or did not answer in time")
        return judge(int(reply.Status), _comment(reply) or ("sent as Comprehensive SR" if as_other else None))

    def _as_comprehensive(self, report: Dataset, parcel: Parcel) -> bool:
        """Relabel a Comprehensive 3D SR for a destination that takes Comprehensive SR alone.

        The latter lacks three-dimensional coordinates (PS3.3 A.35.3.3.1); a report that has some stays what it is.
        """
        if parcel.sop_class_uid != COMPREHENSIVE_3D or COMPREHENSIVE_3D in self._accepted:
            return False
        if COMPREHENSIVE not in self._accepted or _has_3d_coordinates(report):
            return False
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = UID(COMPREHENSIVE)
        return True


def _has_3d_coordinates(item: Dataset) -> bool:
    if item.get("ValueType") == "SCOORD3D":
        return True
    return any(_has_3d_coordinates(child) for child in item.get("ContentSequence", []))


def _proposals(parcels: Sequence[Parcel], *, sr_fallback: bool = False) -> list[Context]:
    """One context for each SOP class and transfer syntax; uncompressed files may go as either little endian syntax."""
    wanted: dict[tuple[str, str], list[UID]] = {}
    if sr_fallback:
        parcels = [*parcels, *(replace(one, sop_class_uid=COMPREHENSIVE) for one in parcels if _is_3d(one))]
    for parcel in parcels:
        syntax = _transfer_syntax(parcel.path)
        if syntax in _UNCOMPRESSED:
            for choice in _UNCOMPRESSED:
                wanted[parcel.sop_class_uid, choice] = [choice]
        elif syntax is not None:
            wanted[parcel.sop_class_uid, syntax] = [syntax]
        else:
            wanted[parcel.sop_class_uid, ExplicitVRLittleEndian] = [ExplicitVRLittleEndian]
    proposed: list[Context] = [(UID(sop_class), syntaxes) for (sop_class, _), syntaxes in wanted.items()]
    return proposed[:_MAX_CONTEXTS]


def _is_3d(parcel: Parcel) -> bool:
    return parcel.sop_class_uid == COMPREHENSIVE_3D


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


def echo(destination: Destination, own_ae_title: str, tls: TlsSettings | None = None) -> bool:
    """Whether the destination answers a C-ECHO."""
    try:
        with link_to(destination, own_ae_title, [(UID(VERIFICATION), None)], tls) as link:
            reply = link.send_c_echo()
            return "Status" in reply and reply.Status == 0
    except Unreachable:
        return False
