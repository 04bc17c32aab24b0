"""The door out: results are stored to PACS until they are accepted."""

from node.delivery.deliverer import Deliverer

__all__ = ["Deliverer"]
