"""Engines that find and name vertebrae: the built-in one, and learned models that a site may set beside it.

protocol          what every engine does
builtin           anatomy and image processing (``node.imaging.spine``): the default
totalsegmentator  the public package, in a process of its own
onnx_model        a model file described in the configuration
labels            voxels with names → vertebrae with places, axes and sizes
images            volumes and label images as NIfTI, and on other grids
opinion           two engines compared: what disagreement does to confidence

An engine says where each vertebra lies and what it is called. Bodies, axes and heights are delineated by the built-in
engine whichever is used, so that a density never depends on what a model was trained with.
"""

from node.segmenters.choice import engines, find, problems
from node.segmenters.opinion import weigh
from node.segmenters.protocol import Segmenter

__all__ = ["Segmenter", "engines", "find", "problems", "weigh"]
