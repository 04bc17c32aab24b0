"""Who may store here: deny by default."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from node.domain.settings import Sender


def admitted(senders: Sequence[Sender], ae_title: str, host: str) -> Sender | None:
    """Return the first configured sender that matches a calling AE title and an address, or ``None``.

    AE titles are compared without leading and trailing spaces, which are not significant (PS3.5 table 6.2-1).
    """
    return next((sender for sender in senders if _matches(sender, ae_title.strip(), host)), None)


def _matches(sender: Sender, ae_title: str, host: str) -> bool:
    if sender.ae_title is not None and sender.ae_title.strip() != ae_title:
        return False
    return sender.host is None or _within(sender.host, host)


def _within(network: str, host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return network == host
