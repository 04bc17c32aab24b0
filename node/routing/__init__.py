"""Which series are measured, and why: ``decide`` for all series of a study at once."""

from node.routing.decide import decide, phantoms_for
from node.routing.explain import Explanation, explain
from node.routing.scanner import scan_date, scanner_key

__all__ = ["Explanation", "decide", "explain", "phantoms_for", "scan_date", "scanner_key"]
