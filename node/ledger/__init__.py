"""What arrived and what became of it. ``Ledger`` is the door; the only SQL of the node is behind it."""

from node.ledger.database import LedgerUnavailable, driver_url, sqlite_url
from node.ledger.ledger import Ledger

__all__ = ["Ledger", "LedgerUnavailable", "driver_url", "sqlite_url"]
