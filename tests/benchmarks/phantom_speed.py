"""How long the phantom takes in a large scan: seen, named, read and calibrated in 400 slices of 512².

    python -m tests.benchmarks.phantom_speed [--slices 400] [--rounds 3]

Target: below 4 s on 2 cores. A scan without a phantom is looked at longer: single rods and thinner images are tried.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from node.domain.settings import CalibrationLimits
from node.domain.volume import SourceImage, Volume
from node.errors import PhantomNotFound
from node.imaging import calibration, phantom
from node.imaging.body import Scene, separate
from node.imaging.phantom.rows import find_rows
from tests.imaging.phantom.models import shipped_models
from tests.imaging.phantom.scenes import Recipe, Scanner, Slab, build

EACH = 10
"""Slices made of one that is drawn, with noise of their own: drawing 400 takes minutes."""
NOISE_HU = 20.0
MODELS = tuple(model for model in shipped_models().values() if model.kind == "patient")


def large(recipe: Recipe) -> Volume:
    """Draw a scan and repeat its slices."""
    drawn = build(recipe).volume
    rng = np.random.default_rng(1)
    hu = np.repeat(drawn.hu, EACH, axis=0)
    for plane in hu:
        plane += rng.normal(0.0, NOISE_HU, plane.shape).astype(np.int16)
    affine = drawn.affine_lps_mm.copy()
    affine[:3, 0] /= EACH
    return Volume(hu, affine, "1.2.3", tuple(SourceImage("1.2", f"1.2.{k}") for k in range(len(hu))))


def timed(volume: Volume, scene: Scene) -> tuple[float, float, str]:
    """Seconds until the rods are seen, seconds until they are calibrated, and which phantom it is."""
    started = time.perf_counter()
    rows = find_rows(volume)
    seen = time.perf_counter()
    try:
        found = phantom.find(volume, Scene(scene.coarse, scene.patient, scene.couch_side, rows), MODELS)
        calibration.fit(found, CalibrationLimits())
        name = found.phantom.id
    except PhantomNotFound:
        name = "none"
    return seen - started, time.perf_counter() - seen, name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    scanner = Scanner(matrix=512, pixel_mm=0.9, spacing_mm=1.25 * EACH, slices=arguments.slices // EACH, noise_hu=1.0)
    for name in ("mindways-model3-4541a", "siemens-osteo-nominal", None):
        model = shipped_models()[name] if name else None
        volume = large(Recipe(model, scanner, slab=Slab(base_hu=1.0)))
        scene = separate(volume, "HFS")
        rounds = [timed(volume, scene) for _ in range(arguments.rounds)]
        seen, read, found = min(rounds)
        print(f"| {found} | {seen:.1f} | {read:.1f} | **{seen + read:.1f}** |", flush=True)


if __name__ == "__main__":
    main()
