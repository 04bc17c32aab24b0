"""Which series are measured, and why: ``decide`` for all series of a study at once."""

from node.routing.decide import decide, phantoms_for

__all__ = ["decide", "phantoms_for"]
