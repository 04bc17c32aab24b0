"""TotalSegmentator (Wasserthal 2023, doi 10.1148/ryai.230024) as a ``Segmenter``.

The public program ``TotalSegmentator`` of the package ``totalsegmentator`` runs in a process of its own, with a time
limit, on weights that the site has installed. It would fetch missing weights and send usage statistics by itself;
here neither happens: weights are looked for first, and the process gets settings of its own and no way out.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.domain.settings import TotalSegmentatorSettings
from node.domain.spine import SpineMap
from node.domain.volume import Volume
from node.errors import SegmenterFailed
from node.imaging.body import Scene
from node.segmenters import images, labels
from node.segmenters.images import LabelImage

NAME = "totalsegmentator"

_THORACIC_UP = [f"vertebrae_T{n}" for n in range(12, 0, -1)]
_CERVICAL_UP = [f"vertebrae_C{n}" for n in range(7, 0, -1)]
_TOTAL = ["sacrum", "vertebrae_S1", *(f"vertebrae_L{n}" for n in range(5, 0, -1)), *_THORACIC_UP, *_CERVICAL_UP]
_RIBS = [f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)]
_BODIES = [*_CERVICAL_UP[::-1], *_THORACIC_UP[::-1], *(f"vertebrae_L{n}" for n in range(1, 6))]

CLASSES: Mapping[str, Mapping[int, str]] = {
    "total": {**dict(enumerate(_TOTAL, 25)), **dict(enumerate(_RIBS, 92))},
    "vertebrae_pp": dict(enumerate(_BODIES, 1)),
    "vertebrae_pp_refined": dict(enumerate(_BODIES, 1)),
    "vertebrae_body": {1: "vertebrae_body"},
}
"""Task → label number → name, of version 2.18 (``map_to_binary.class_map``); the file's own table wins over it."""
NAMING = ("total", "vertebrae_pp", "vertebrae_pp_refined")

WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "total": (291, 292, 293, 294, 295),
    "total fast": (297,),
    "vertebrae_pp": (803,),
    "vertebrae_pp_refined": (803, 305),
    "vertebrae_body": (305,),
}
"""Task → numbers of the data sets whose weights it loads (``map_tasks_config``); folders are called Dataset<n>_..."""


@dataclass(frozen=True, slots=True)
class TotalSegmentator:
    """The installed program."""

    settings: TotalSegmentatorSettings
    timeout_s: float
    trust: float
    name: str = NAME

    def problem(self) -> str | None:
        """What is missing: the program, or weights."""
        if self._program() is None:
            return (
                f"The program {self.settings.command} is not installed: pip install 'vbmd-node[totalsegmentator]', "
                "or name its full path as segmenter.totalsegmentator.command."
            )
        folder = self._weights()
        for task in self.settings.tasks:
            missing = [n for n in WEIGHTS[self._kind(task)] if not any(folder.glob(f"Dataset{n}_*"))]
            if missing:
                numbers = ", ".join(map(str, missing))
                return (
                    f"Weights of the task {task} are missing in {folder} (data sets {numbers}): install them with "
                    "totalseg_download_weights or totalseg_import_weights. They are never fetched from here."
                )
        return None

    def segment(self, volume: Volume, scene: Scene | None = None) -> SpineMap:
        """Run every task and read vertebrae out of the label images. Raises ``SegmenterFailed``, ``SpineNotFound``."""
        if problem := self.problem():
            raise SegmenterFailed(problem)
        deadline = time.monotonic() + self.timeout_s
        with tempfile.TemporaryDirectory(prefix="vbmd-second-opinion-") as folder:
            source = Path(folder) / "ct.nii"
            images.save(volume, source)
            found = {task: self._run(task, source, Path(folder), deadline) for task in self.settings.tasks}
        naming = next(found[task] for task in self.settings.tasks if task in NAMING)
        bodies = found.get("vertebrae_body")
        if bodies is not None and bodies.labels.shape != naming.labels.shape:
            raise SegmenterFailed("Two tasks of TotalSegmentator gave label images on different grids.")
        return labels.spine_of(naming, "TotalSegmentator", self.trust, bodies)

    def _run(self, task: str, source: Path, folder: Path, deadline: float) -> LabelImage:
        target = folder / f"{task}.nii.gz"
        command = [str(self._program()), "-i", str(source), "-o", str(target), "--ml", "--quiet"]
        command += ["--task", task, "--device", self.settings.device, "--nr_thr_saving", "1"]
        if self._kind(task) == "total fast":
            command.append("--fast")
        said = _finish(command, self._environment(folder), max(deadline - time.monotonic(), 0.0), task)
        if not target.is_file():
            raise SegmenterFailed(f"TotalSegmentator left no result for the task {task}: {said}")
        return images.read_labels(target, CLASSES[task])

    def _kind(self, task: str) -> str:
        return "total fast" if task == "total" and self.settings.fast else task

    def _program(self) -> Path | None:
        """A full path, or a program beside the interpreter or on PATH."""
        command = Path(self.settings.command)
        if command.is_absolute():
            return command if os.access(command, os.X_OK) else None
        beside = Path(sys.executable).parent / command
        if os.access(beside, os.X_OK):
            return beside
        found = shutil.which(self.settings.command)
        return Path(found) if found else None

    def _weights(self) -> Path:
        if self.settings.weights:
            return Path(self.settings.weights)
        if "TOTALSEG_WEIGHTS_PATH" in os.environ:
            return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
        home = os.environ.get("TOTALSEG_HOME_DIR")
        return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"

    def _environment(self, folder: Path) -> dict[str, str]:
        """Settings of its own (no statistics are sent) and a proxy that leads nowhere (nothing is fetched)."""
        home = folder / "home"
        home.mkdir(exist_ok=True)
        said = {"totalseg_id": "none", "send_usage_stats": False, "prediction_counter": 0}
        (home / "config.json").write_text(json.dumps(said | {"statistics_disclaimer_shown": True}))
        nowhere = "http://127.0.0.1:9"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere)
        own = {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(self._weights()), "no_proxy": ""}
        return {**os.environ, **proxies, **own}


def _finish(command: list[str], environment: Mapping[str, str], timeout_s: float, task: str) -> str:
    """Run to the end; the whole group of processes is ended when time is up. Returns the last line it said."""
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise SegmenterFailed(f"TotalSegmentator cannot be started: {error}") from error
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise SegmenterFailed(f"TotalSegmentator did not finish the task {task} in its time limit.") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    lines = output.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:300] if lines else "no word"
    if process.returncode != 0:
        raise SegmenterFailed(f"TotalSegmentator ended with status {process.returncode} in the task {task}: {last}")
    return last
