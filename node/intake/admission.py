"""Who may store here: deny by default."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

from node.domain.settings import ReceiverSettings, Sender


@dataclass(frozen=True, slots=True)
class Knock:
    """An association request, as far as it says who asks for whom."""

    calling_ae_title: str
    called_ae_title: str
    host: str
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is rejected: a slug; result, source and reason of the A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    reason: str
    result: int
    source: int
    diagnostic: int


UNKNOWN_SENDER = Rejection("unknown-sender", 0x01, 0x01, 0x03)
"""Permanent, service user, calling AE title not recognized."""
IN_THE_CLEAR = Rejection("not-over-tls", 0x01, 0x01, 0x03)
"""The same answer to a sender that is known, and is to come over TLS alone."""
OTHER_CALLED_TITLE = Rejection("called-ae-title-not-recognised", 0x01, 0x01, 0x07)
DISK_WATERMARK = Rejection("disk-watermark", 0x02, 0x03, 0x01)
"""Transient, presentation service provider, temporary congestion: scanners try again."""
TOO_MANY = Rejection("too-many-associations", 0x02, 0x03, 0x02)
"""Transient, local limit exceeded."""

ANYBODY = Sender("anybody")
"""Who is admitted by an open node."""


def judge(settings: ReceiverSettings, knock: Knock) -> Sender | Rejection:
    """Return the first configured sender, or reporter, that a request comes from, or why it is rejected.

    AE titles are compared without leading and trailing spaces, which are not significant (PS3.5 table 6.2-1).
    """
    called = knock.called_ae_title.strip()
    known = [sender for sender in settings.senders if _is_from(sender, knock)]
    if settings.open_to_all:
        known.append(ANYBODY)
    known += [reporter for reporter in settings.reporters if _is_from(reporter, knock)]
    for sender in known:
        if called == (sender.called_ae_title or settings.ae_title).strip():
            return sender
    if known:
        return OTHER_CALLED_TITLE
    over_tls = replace(knock, tls=True)
    return IN_THE_CLEAR if any(_is_from(sender, over_tls) for sender in settings.senders) else UNKNOWN_SENDER


def by_name(senders: Iterable[Sender], name: str) -> Sender | None:
    """Return the sender that a record names, as it is configured now."""
    return next((sender for sender in senders if sender.name == name), None)


def _is_from(sender: Sender, knock: Knock) -> bool:
    if sender.ae_title is not None and sender.ae_title.strip() != knock.calling_ae_title.strip():
        return False
    if sender.tls_only and not knock.tls:
        return False
    return sender.host is None or _within(sender.host, knock.host)


def _within(network: str, host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return network == host
