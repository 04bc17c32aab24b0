"""Durable work: jobs planned in the ledger are measured, whatever dies meanwhile."""

from node.workflow.engine import Engine, exclusive
from node.workflow.presence import Presence

__all__ = ["Engine", "Presence", "exclusive"]
