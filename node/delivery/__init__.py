"""The door out: results are stored to PACS until they are accepted, and earlier reports fetched from one."""

from node.delivery.deliverer import Deliverer
from node.delivery.lookup import Lookup

__all__ = ["Deliverer", "Lookup"]
