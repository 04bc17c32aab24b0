"""The vertebral column: found, named, delineated."""

from node.imaging.spine.bodies import delineate
from node.imaging.spine.locate import locate

__all__ = ["delineate", "locate"]
