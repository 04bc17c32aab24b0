"""Watching the node: alarms, metrics, health, the audit trail, and what may be removed when."""
