"""Pictures of the spine of every development CT, real and simulated: from the side and the front, contours and names.

    python -m tests.benchmarks.spine_pictures --out DIR [NAME ...]

What ``vbmd-node render`` draws, and the research files (NIfTI) that it does not read. They are to be looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from node import pipeline, report
from node.config import load
from node.domain.findings import Findings
from node.domain.instance import InstanceHeader
from node.errors import StudyRefused
from tests.benchmarks import spine_cases

FOLDERS = dict.fromkeys(spine_cases.SIMULATED, "S02")
NAMES = (
    *spine_cases.ABDOMEN_A,
    *spine_cases.UNMEASURABLE,
    *spine_cases.RESEARCH_FILES,
    *spine_cases.SIMULATED,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name in arguments.names:
        print(f"{name:34s} {draw(name, arguments.out / name)}", flush=True)


def draw(name: str, folder: Path) -> str:
    """Write the pictures of a case and tell what was found."""
    try:
        research = name in spine_cases.RESEARCH_FILES
        volume = spine_cases.research(name) if research else spine_cases.dicom(name, FOLDERS.get(name, ""))
    except StudyRefused as refused:
        return f"refused: {refused.reason}"
    config = load(None)
    header = InstanceHeader("1.2", "1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    phantoms = tuple(one for one in config.phantoms.values() if one.kind != "qa")
    found = pipeline.measure(volume, header, phantoms, config.measurement)
    report.render(volume, found, folder, config.page)
    return _said(found)


def _said(found: Findings) -> str:
    names = " ".join(one.level if one.complete else f"({one.level})" for one in found.vertebrae) or "no vertebrae"
    return f"{names}{'; ' + found.refusal.reason if found.refusal else ''}"


if __name__ == "__main__":
    main()
