"""Durable work: jobs planned in the ledger are measured, whatever dies meanwhile."""

from node.workflow.engine import Engine

__all__ = ["Engine"]
