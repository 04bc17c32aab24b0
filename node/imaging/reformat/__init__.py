"""What an axial reading misses: sagittal and coronal images along the vertebral column.

straight   a stack of parallel sagittal images with true positions
curved     images bent along the body centres
sampling   the mean of a slab at given points
"""

from node.imaging.reformat.curved import curved
from node.imaging.reformat.straight import sagittal

__all__ = ["curved", "sagittal"]
