"""Watching the node: alarms, metrics, health, the audit trail, and what may be removed when."""

from node.admin.audit import Auditor, Here
from node.admin.watch import Watch, machine

__all__ = ["Auditor", "Here", "Watch", "machine"]
