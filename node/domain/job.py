"""One measurement to be done, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from node.domain.findings import Refusal
from node.domain.instance import Series
from node.domain.phantom import PhantomModel
from node.domain.prior import PriorResult
from node.domain.quality import Quality
from node.domain.settings import MeasurementSettings, PageSettings


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result: enough to make it again."""

    software_version: str
    config_digest: str


@dataclass(frozen=True, slots=True)
class MeasureJob:
    """Measure one series. Plain data, so that it crosses a process border."""

    series: Series
    rule: str
    phantoms: tuple[PhantomModel, ...]
    """Those that may lie under a patient on this scanner."""
    settings: MeasurementSettings
    template: Path
    """A file of ``sr_templates/``."""
    report_refusals: bool
    """Whether a refusal is sent to the PACS as an SR that says so."""
    out_dir: Path
    provenance: Provenance
    quality: Quality = field(default_factory=Quality)
    """What the record of calibrations knows about the scanner."""
    page: PageSettings = field(default_factory=PageSettings)
    priors: tuple[PriorResult, ...] = ()
    """Earlier results of the patient, oldest first."""


Kind = Literal["sagittal", "sr", "curved", "key-image", "summary", "summary-pdf"]
"""What an object is; "sr" is the bone-density report."""


@dataclass(frozen=True, slots=True)
class OutgoingObject:
    """A DICOM file to be delivered. ``order``: smaller first (images before the reports that cite them)."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    kind: Kind
    order: int


@dataclass(frozen=True, slots=True)
class MeasureOutcome:
    """What a measurement left in its ``out_dir``."""

    status: Literal["measured", "refused"]
    refusal: Refusal | None
    result_json: Path
    """One entry of ``results`` of the documented JSON."""
    objects: tuple[OutgoingObject, ...]
    previews: tuple[Path, ...]
