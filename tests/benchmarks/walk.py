"""How long one large study takes and what it needs: 400 slices of 512², last C-STORE to report in the PACS.

    python -m tests.benchmarks.walk [--slices 400] [--study FOLDER]

Prints the time of each stage of the measurement (in this process), then the walk through a running node into Orthanc
(the quiet period taken off) with the peak memory of all processes of the node, then the receive rate beside storescp.
Targets: below 30 s and 3 GiB on 2 cores.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from node import offline, report
from node.dicom import read
from node.imaging import body, calibration, morphometry, phantom, reformat, spine, voi
from node.synthetic import dicom, torso
from node.synthetic.presets import presets
from tests import running
from tests.benchmarks import receive

RULES = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
max_slice_thickness_mm = 5.0
"""
STAGES: tuple[tuple[ModuleType, str], ...] = (
    (read, "volume"),
    (body, "separate"),
    (phantom, "find"),
    (calibration, "fit"),
    (spine, "locate"),
    (spine, "delineate"),
    (morphometry, "deformities"),
    (voi, "sample"),
    (reformat, "sagittal"),
    (report, "previews"),
    (report, "write"),
)
QUIET_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--study", type=Path, help="measure this folder instead of a synthetic trunk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vbmd-walk-") as scratch:
        folder = Path(scratch)
        study = arguments.study or _synthetic(folder / "study", arguments.slices)
        with running.orthanc(folder / "pacs") as archive:
            config = running.configuration(folder / "node", archive.port, RULES, QUIET_S)
            _stages(study, config, folder / "offline")
            _walk(study, config)
    sys.argv = ["receive", "--slices", "200", "--rounds", "1"]
    receive.main()


def _synthetic(folder: Path, slices: int) -> Path:
    spec = presets(matrix=512, spacing_mm=1.25)["abdomen-mindways"]
    case = torso.make(replace(spec, top=("T4", 0.0), spacing_mm=1.25 * 362 / slices))
    print(f"synthetic trunk: {len(dicom.write(case, folder))} slices of 512 x 512")
    return folder


def _stages(study: Path, config: Any, out_dir: Path) -> None:
    """Time each stage inside one offline measurement."""
    spent: dict[str, float] = {}
    kept = [(module, name, getattr(module, name)) for module, name in STAGES]
    for module, name, function in kept:
        setattr(module, name, _timed(function, f"{module.__name__.removeprefix('node.')}.{name}", spent))
    begun = time.perf_counter()
    try:
        entries = list(offline.measure([study], config, out_dir))
    finally:
        for module, name, function in kept:
            setattr(module, name, function)
    total = time.perf_counter() - begun
    for stage, seconds in spent.items():
        print(f"{stage:34s} {seconds:6.2f} s")
    print(f"{'headers, digests and the rest':34s} {total - sum(spent.values()):6.2f} s")
    print(
        f"{'all':34s} {total:6.2f} s   {[one.outcome.status for one in entries if isinstance(one, offline.Measured)]}"
    )


def _timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def measured(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun

    return measured


def _walk(study: Path, config: Any) -> None:
    with running.serving(config) as node, _peak_memory(node.pid) as peak:
        begun = time.perf_counter()
        running.dcmsend(config, study)
        sent = time.perf_counter()
        rows = running.wait_until_ended(config, 1)
        ended = time.perf_counter()
    print(f"dcmsend {sent - begun:.1f} s; last C-STORE to report accepted {ended - sent - QUIET_S:.1f} s (target 30)")
    print(f"peak memory of all processes of the node {peak[0] / 2**20:.0f} MiB (target 3072)")
    print({row.state.value: row.reason for row in rows.values()})


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[float]]:
    """Sample the resident memory of a process and its children; the largest sum, in bytes."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        parent = psutil.Process(pid)
        while not done.wait(0.1):
            total = 0
            for process in (parent, *parent.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
