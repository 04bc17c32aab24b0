"""How long it takes to build all outputs of one large study: 400 slices of 512², chest and abdomen.

    python -m tests.benchmarks.outputs [--slices 400] [--profile]

Prints seconds (on the clock, and of the processor) and bytes for each output, written alone, and for all together, read
back and compared as always. Target: all outputs below 5 s on 2 cores.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from node import offline, report
from node.domain.job import OutgoingObject
from node.domain.settings import Output
from node.synthetic import dicom, torso
from node.synthetic.presets import presets
from tests import running

RULE = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
"""
OUTPUTS: tuple[Output, ...] = (
    "sagittal",
    "curved",
    "key-images",
    "summary",
    "summary-pdf",
    "segmentation",
    "heights",
    "bone-density",
)
NEEDS: dict[Output, tuple[Output, ...]] = {"heights": ("sagittal",)}
"""What cannot be written without another."""

Write = Callable[[Sequence[Output], Path], tuple[OutgoingObject, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--profile", action="store_true", help="list the functions that take longest")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        write = _measured(Path(scratch), asked.slices)
        write(OUTPUTS, Path(scratch) / "warm")
        print(f"{'output':<14}{'objects':>8}{'MB':>8}{'s':>8}{'CPU s':>8}")
        for output in OUTPUTS:
            _line(write, (*NEEDS.get(output, ()), output), output, Path(scratch) / output)
        _line(write, OUTPUTS, "all", Path(scratch) / "all")
        if asked.profile:
            profile = cProfile.Profile()
            profile.runcall(write, OUTPUTS, Path(scratch) / "profile")
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def _line(write: Write, outputs: Sequence[Output], name: str, folder: Path) -> None:
    started, busy = time.perf_counter(), time.process_time()
    objects = write(outputs, folder)
    seconds, of_processor = time.perf_counter() - started, time.process_time() - busy
    size = sum(one.path.stat().st_size for one in objects) / 1e6
    print(f"{name:<14}{len(objects):>8}{size:>8.1f}{seconds:>8.2f}{of_processor:>8.2f}", flush=True)


def _measured(folder: Path, slices: int) -> Write:
    """Measure the study once; what is given back writes its outputs again and again."""
    spec = presets(matrix=512, spacing_mm=1.25)["chest-low-dose"]
    case = torso.make(replace(spec, bottom=("L5", -20.0)))
    dicom.write(case, folder / "study")
    for path in sorted((folder / "study").rglob("*.dcm"))[slices:]:
        path.unlink()
    caught: list[tuple[Any, ...]] = []
    plain = report.write

    def catching(*arguments: Any, **named: Any) -> tuple[OutgoingObject, ...]:
        caught.append(arguments)
        return plain(*arguments, **named)

    report.write = catching
    try:
        (found,) = offline.measure(
            [folder / "study"], running.configuration(folder / "node", 104, RULE), folder / "out"
        )
    finally:
        report.write = plain
    if not isinstance(found, offline.Measured) or found.outcome.status != "measured":
        raise SystemExit(f"the study was not measured: {found}")
    findings, volume, job = caught[0][:3]
    print(f"{len(job.series.instances)} slices, {len(findings.vois)} vertebrae measured")

    def write(outputs: Sequence[Output], out_dir: Path) -> tuple[OutgoingObject, ...]:
        settings = replace(job.report, outputs=tuple(outputs))
        return plain(findings, volume, replace(job, out_dir=out_dir, report=settings))

    return write


if __name__ == "__main__":
    main()
