"""Watching the node: alarms, metrics, health, and what may be removed when."""

from node.admin.watch import Watch, machine

__all__ = ["Watch", "machine"]
