"""What falsifies a density: seen in the header and in the image, named, and answered as the configuration says."""

from node.imaging.confounders.everything import Seen, find, random_error

__all__ = ["Seen", "find", "random_error"]
