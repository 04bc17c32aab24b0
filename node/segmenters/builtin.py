"""The built-in engine as a ``Segmenter``."""

from __future__ import annotations

from dataclasses import dataclass

from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.imaging import spine
from node.imaging.body import Scene

NAME = "builtin"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Anatomy and image processing; needs nothing but the volume."""

    name: str = NAME

    def segment(self, volume: Volume, scene: Scene | None = None) -> SpineMap:
        """As ``imaging.spine.locate``."""
        return spine.locate(volume, scene)

    def problem(self) -> str | None:
        """None: it is part of the program."""
        return None
