"""Which engines a configuration asks for, and what they say together."""

from __future__ import annotations

from node.domain.findings import Caution
from node.domain.settings import SegmenterSettings
from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.errors import MeasurementFailed, SegmenterFailed, StudyRefused
from node.imaging.body import Scene
from node.segmenters import builtin, totalsegmentator
from node.segmenters.builtin import BuiltIn
from node.segmenters.onnx_model import Onnx
from node.segmenters.opinion import weigh
from node.segmenters.protocol import Segmenter
from node.segmenters.totalsegmentator import TotalSegmentator


def engines(settings: SegmenterSettings) -> tuple[Segmenter, ...]:
    """The engine that is used, then those beside it. Raises ``KeyError`` for a name that no engine has."""
    return tuple(_engine(name, settings) for name in (settings.use, *settings.beside))


def _engine(name: str, settings: SegmenterSettings) -> Segmenter:
    if name == builtin.NAME:
        return BuiltIn()
    if name == totalsegmentator.NAME:
        return TotalSegmentator(settings.totalsegmentator, settings.timeout_s, settings.trust)
    models = {model.name: model for model in settings.models}
    return Onnx(models[name], settings.timeout_s, settings.trust)


def problems(settings: SegmenterSettings) -> dict[str, str]:
    """Why engines that are asked for cannot be used here, by name; empty when all can."""
    return {one.name: why for one in engines(settings) if (why := one.problem()) is not None}


def find(volume: Volume, scene: Scene | None, settings: SegmenterSettings) -> tuple[SpineMap, tuple[Caution, ...]]:
    """The vertebrae by the engine that is used, weighed against the others, and what the reader must know of it.

    An engine beside that does not answer is a caution; the used one that does not answer ends the measurement: a
    result by another method than the configured one would look the same. Raises ``StudyRefused``.
    """
    used, *beside = engines(settings)
    try:
        spine = used.segment(volume, scene)
    except SegmenterFailed as failed:
        raise MeasurementFailed(f"The engine {used.name} did not find the vertebrae: {failed}") from failed
    cautions: tuple[Caution, ...] = ()
    for other in beside:
        try:
            opinion = other.segment(volume, scene)
        except (SegmenterFailed, StudyRefused) as failed:
            message = failed.message if isinstance(failed, StudyRefused) else str(failed)
            cautions += (Caution("second-opinion-missing", f"No second opinion from {other.name}: {message}"),)
            continue
        spine, differences = weigh(spine, opinion, other.name, used.name)
        cautions += differences
    return spine, cautions
