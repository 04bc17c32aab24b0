"""Which series are measured, and why: ``decide`` for all series of a study at once."""

from node.routing.decide import decide, phantoms_for
from node.routing.scanner import scan_date, scanner_key

__all__ = ["decide", "phantoms_for", "scan_date", "scanner_key"]
