"""The vertebral column: found, named, delineated."""

from node.imaging.spine.locate import locate

__all__ = ["locate"]
