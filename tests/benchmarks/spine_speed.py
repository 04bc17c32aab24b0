"""Time and memory of finding, naming, delineating and measuring vertebrae.

    python -m tests.benchmarks.spine_speed [SLICES ...]

For each number of slices (400 and 1000 unless told) a synthetic trunk of 512 x 512 is made in one process and measured
in another, so that the peak of memory is that of the measurement with the volume. Targets: 12 s and 2 GiB, 25 s. Time
of the processor stands beside the time that passed: on a machine that others use the first says what the method costs.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from node.domain.settings import MeasurementSettings
from node.domain.volume import SourceImage, Volume
from node.imaging import body, morphometry, spine, voi
from node.synthetic.presets import presets
from node.synthetic.torso import make

Result = TypeVar("Result")


@dataclass
class Clock:
    """Seconds passed, and seconds of the processor, of each step."""

    steps: dict[str, tuple[float, float]] = field(default_factory=dict)

    def run(self, name: str, work: Callable[[], Result]) -> Result:
        passed, processor = time.perf_counter(), time.process_time()
        result = work()
        self.steps[name] = time.perf_counter() - passed, time.process_time() - processor
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", type=int, nargs="*", default=[400, 1000])
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        _make(arguments.slices[0], arguments.make)
        return
    if arguments.measure:
        _measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory(prefix="vbmd-speed-") as folder:
        for slices in arguments.slices:
            scan = Path(folder) / f"{slices}.npz"
            for step in ("--make", "--measure"):
                subprocess.run([sys.executable, "-m", __spec__.name, str(slices), step, str(scan)], check=True)
            scan.unlink()


def _make(slices: int, scan: Path) -> None:
    """A chest, abdomen and pelvis, or the trunk below T5, in just so many slices."""
    whole = slices > 600
    top, bottom = (("C7", 10.0), ("S3", 0.0)) if whole else (("T5", 0.0), ("S1", -20.0))
    spacing = (600.0 if whole else 440.0) / slices
    spec = replace(presets(matrix=512)["abdomen-mindways"], top=top, bottom=bottom, spacing_mm=spacing)
    volume = make(replace(spec, thickness_mm=spacing)).volume()
    hu = volume.hu[:slices]
    np.savez(scan, hu=hu, affine=volume.affine_lps_mm)


def _measure(scan: Path) -> None:
    with np.load(scan) as kept:
        hu, affine = kept["hu"], kept["affine"]
    sources = tuple(SourceImage("1.2.840.10008.5.1.4.1.1.2", f"2.25.{n + 1}") for n in range(len(hu)))
    volume, clock, settings = Volume(hu, affine, "2.25.1", sources), Clock(), MeasurementSettings()
    scene = clock.run("patient and couch told apart", lambda: body.separate(volume, "HFS"))
    found = clock.run("found and named", lambda: spine.locate(volume, scene))
    bodies = clock.run("bodies delineated, heights read", lambda: spine.delineate(volume, found))
    judged = clock.run("deformities", lambda: morphometry.deformities(bodies))
    clock.run("volumes of interest", lambda: voi.measure(volume, judged, settings.voi, settings.suitability, None))
    print(f"\n{len(hu)} slices of {hu.shape[1]} x {hu.shape[2]}, {len(judged)} vertebrae\n")
    print("| step | s passed | s of the processor |\n|---|---|---|")
    total = tuple(sum(column) for column in zip(*clock.steps.values(), strict=True))
    for name, (passed, processor) in {**clock.steps, "**all**": total}.items():
        print(f"| {name} | {passed:.1f} | {processor:.1f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory {peak:.0f} MiB, of which the volume {hu.nbytes / 2**20:.0f} MiB.")


if __name__ == "__main__":
    main()
