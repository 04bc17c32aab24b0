"""What every engine does."""

from __future__ import annotations

from typing import Protocol

from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.imaging.body import Scene


class Segmenter(Protocol):
    """Finds the vertebrae of a volume and names them. The same volume gives the same answer."""

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        ...

    def segment(self, volume: Volume, scene: Scene | None = None) -> SpineMap:
        """Vertebrae head to foot, each with its name, how sure that is, its place, axes and size.

        Raises ``StudyRefused`` where there is no spine, ``SegmenterFailed`` where the engine could not answer.
        """
        ...

    def problem(self) -> str | None:
        """Why the engine cannot be used on this machine, in a sentence; ``None`` when it can."""
        ...
