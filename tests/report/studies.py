"""Every kind of study with every kind of output, in both classes of SR: what validators and readers are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from node.domain.findings import Findings
from node.domain.instance import StoredInstance
from node.domain.job import Kind, OutgoingObject
from node.domain.settings import Output, ReportSettings
from node.report import write
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.fixtures import Written

CHINESE = "Chinese name"
NAMES = (*CASES, CHINESE)
SrClass = Literal["comprehensive", "comprehensive-3d"]
CLASSES: tuple[SrClass, ...] = ("comprehensive", "comprehensive-3d")
REPORTS: tuple[Kind, ...] = ("sr", "heights")
WITHOUT_GROUPS = "refused, never read"
"""The only study whose report holds no measurement at all."""

_ALL: tuple[Output, ...] = get_args(Output)
_OF_3D: tuple[Output, ...] = ("bone-density", "segmentation", "sagittal", "heights")
"""Pictures do not depend on the class of the reports."""


@dataclass(frozen=True)
class Study:
    """One study, and all that was written for it."""

    name: str
    sr_class: SrClass
    stored: tuple[StoredInstance, ...]
    findings: Findings
    objects: tuple[OutgoingObject, ...]

    def paths(self, *kinds: Kind) -> list[Path]:
        """Files of these kinds."""
        return [one.path for one in self.objects if one.kind in kinds]


def written(name: str, sr_class: SrClass, series: Written, folder: Path) -> Study:
    """Write all outputs of a study of that name."""
    if name == CHINESE:
        patient = fixtures.Patient("GB18030", "Wang^XiaoDong=王^小东", "腹部平扫")
        series = fixtures.single_frames(folder / "source", patient=patient)
    findings, volume = CASES["measured" if name == CHINESE else name](series)
    settings = ReportSettings(outputs=_ALL if sr_class == "comprehensive" else _OF_3D, sr_class=sr_class)
    objects = write(findings, volume, fixtures.job(series[0], folder / "out", report=settings))
    return Study(name, sr_class, series[0], findings, objects)
