"""The vertebral column: found, named, delineated."""

from node.imaging.spine.bodies import delineate
from node.imaging.spine.locate import locate
from node.imaging.spine.prior import keep_naming

__all__ = ["delineate", "keep_naming", "locate"]
