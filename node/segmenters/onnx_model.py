"""A model in an ONNX file as a ``Segmenter``: fed patch by patch as the configuration describes it."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.domain.settings import OnnxModel
from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.errors import SegmenterFailed
from node.imaging.body import Scene
from node.segmenters import images, labels

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Onnx:
    """One model file; runs on the processor, in this process, with the time looked at between patches."""

    model: OnnxModel
    timeout_s: float
    trust: float

    @property
    def name(self) -> str:
        """As configured."""
        return self.model.name

    def problem(self) -> str | None:
        """What is missing: the runtime, or the file."""
        if importlib.util.find_spec("onnxruntime") is None:
            return "The package onnxruntime is not installed: pip install 'vbmd-node[onnx]'."
        if not Path(self.model.file).is_file():
            return f"There is no model file {self.model.file}."
        try:
            self._session()
        except SegmenterFailed as failed:
            return str(failed)
        return None

    def segment(self, volume: Volume, scene: Scene | None = None) -> SpineMap:
        """Label the volume on the model's own grid and read vertebrae out of it.

        Raises ``SegmenterFailed``, ``SpineNotFound``.
        """
        deadline = time.monotonic() + self.timeout_s
        session = self._session()
        hu, affine = images.resampled(volume, self.model.spacing_mm, self.model.orientation)
        low, high = self.model.window_hu
        fed = (np.clip(hu, low, high) - np.float32(self.model.offset_hu)) / np.float32(self.model.scale_hu)
        found = _Session(session, self.model).labels(fed.astype(np.float32), deadline)
        names = {int(number): name for number, name in self.model.labels.items()}
        image = images.as_labels(found, affine, self.model.orientation, names)
        return labels.spine_of(image, self.model.name, self.trust, image)

    def _session(self) -> Any:
        """The loaded model, checked against its description."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise SegmenterFailed("The package onnxruntime is not installed: pip install 'vbmd-node[onnx]'.")
        onnxruntime = importlib.import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
        options.use_deterministic_compute = True
        try:
            session = onnxruntime.InferenceSession(self.model.file, options, providers=["CPUExecutionProvider"])
        except _errors() as error:
            first = str(error).splitlines()[0]
            raise SegmenterFailed(f"The model {self.model.file} cannot be loaded: {first}") from error
        for kind, wanted, tensors in (
            ("input", self.model.input, session.get_inputs()),
            ("output", self.model.output, session.get_outputs()),
        ):
            names = [tensor.name for tensor in tensors]
            if wanted is None and len(names) != 1:
                raise SegmenterFailed(f"The model {self.model.name} has several {kind}s, name one: {', '.join(names)}.")
            if wanted is not None and wanted not in names:
                raise SegmenterFailed(f"The model {self.model.name} has no {kind} {wanted}, only {', '.join(names)}.")
        return session


def _errors() -> tuple[type[Exception], ...]:
    """Every exception of onnxruntime: they have no common base but ``Exception``."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception))


class _Session:
    """A loaded model and the patches it is fed."""

    def __init__(self, session: Any, model: OnnxModel) -> None:
        self._session, self._model = session, model
        self._input = model.input or session.get_inputs()[0].name
        self._output = model.output or session.get_outputs()[0].name

    def labels(self, fed: NDArray[np.float32], deadline: float) -> NDArray[np.int16]:
        """Label of every voxel: the highest mean score over the patches it lies in, their middles weighing most.

        ``fed``: (D, H, W), at least as large as a patch after padding with its lowest value.
        """
        patch = self._model.patch
        shape = fed.shape
        short = [(0, max(p - n, 0)) for n, p in zip(shape, patch, strict=True)]
        fed = np.pad(fed, short, constant_values=float(fed.min()))
        weight = _weight(patch)
        total: NDArray[np.float16] | None = None
        nearest = np.zeros(fed.shape, dtype=np.float32)
        chosen = np.zeros(fed.shape, dtype=np.int16)
        for box in _boxes(fed.shape, patch, self._model.overlap):
            if time.monotonic() > deadline:
                raise SegmenterFailed(f"The model {self._model.name} did not finish in its time limit.")
            scores = self._scores(fed[box])
            if scores.shape[0] == 1:
                better = weight > nearest[box]
                chosen[box][better] = np.rint(scores[0][better]).astype(np.int16)
                nearest[box][better] = weight[better]
                continue
            if total is None:
                total = np.zeros((scores.shape[0], *fed.shape), dtype=np.float16)
            total[(slice(None), *box)] += (scores * weight).astype(np.float16)
        whole = chosen if total is None else total.argmax(axis=0).astype(np.int16)
        return whole[: shape[0], : shape[1], : shape[2]]

    def _scores(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(labels, D, H, W) of one patch; one channel means that it holds the labels themselves."""
        try:
            found = np.asarray(self._session.run([self._output], {self._input: patch[None, None]})[0])
        except _errors() as error:
            raise SegmenterFailed(f"The model {self._model.name} failed: {str(error).splitlines()[0]}") from error
        found = found.reshape(found.shape[found.ndim - 4 :]) if found.ndim >= 4 else found[None]
        if found.shape[1:] != patch.shape:
            raise SegmenterFailed(
                f"The model {self._model.name} answers a patch of {patch.shape} with one of {found.shape[1:]}."
            )
        if found.shape[0] == 1:
            return found.astype(np.float32)
        powers: NDArray[np.float32] = np.exp((found - found.max(axis=0, keepdims=True)).astype(np.float32))
        chances: NDArray[np.float32] = powers / powers.sum(axis=0, keepdims=True)
        return chances


def _boxes(shape: tuple[int, ...], patch: tuple[int, int, int], overlap: float) -> Iterator[Box]:
    """Places of the patches: evenly spaced, overlapping by at least ``overlap``."""
    starts = []
    for n, p in zip(shape, patch, strict=True):
        steps = int(np.ceil((n - p) / max(p * (1.0 - overlap), 1.0))) if n > p else 0
        starts.append(sorted({round(place) for place in np.linspace(0, n - p, steps + 1)}))
    for corner in itertools.product(*starts):
        k, j, i = (slice(start, start + p) for start, p in zip(corner, patch, strict=True))
        yield k, j, i


def _weight(patch: tuple[int, int, int]) -> NDArray[np.float32]:
    """A Gaussian about the middle, an eighth of the patch wide, never zero."""
    profiles = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in patch]
    weight = profiles[0][:, None, None] * profiles[1][None, :, None] * profiles[2][None, None, :]
    floor: NDArray[np.float32] = np.maximum(weight, 1e-4).astype(np.float32)
    return floor
