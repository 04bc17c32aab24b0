"""One measurement to be done, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from node.domain.findings import Refusal
from node.domain.instance import Series
from node.domain.phantom import PhantomModel
from node.domain.prior import PriorResult
from node.domain.quality import Quality, ScannerKey, ScanRecord
from node.domain.settings import MeasurementSettings, PageSettings, ReportSettings


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result: enough to make it again."""

    software_version: str
    config_digest: str


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A structured report about fewer instances of the same series, that this job's report replaces (PS3.3 C.17.2)."""

    kind: str
    """Of what it is: "sr" is the bone-density report."""
    study_instance_uid: str
    series_instance_uid: str
    """Of the report."""
    sop_class_uid: str
    sop_instance_uid: str


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
    report: ReportSettings = field(default_factory=ReportSettings)
    page: PageSettings = field(default_factory=PageSettings)
    priors: tuple[PriorResult, ...] = ()
    """Earlier results of the patient, oldest first."""
    prior_reports: tuple[Path, ...] = ()
    """Files that may be earlier reports of the patient, from the node's own ledger and from an archive."""
    priors_incomplete: bool = False
    """An archive should have been asked for earlier reports, and could not be, or not to the end."""
    predecessors: tuple[Predecessor, ...] = ()
    """Reports about the series as it was before late instances came: this job's name them as predecessors."""
    qa_phantoms: tuple[PhantomModel, ...] = ()
    """Those by which a scan without a patient is recognised."""
    scanner: ScannerKey | None = None
    """Under which this scan's calibration is recorded; ``None`` where the series does not tell."""


Kind = Literal[
    "sagittal", "segmentation", "curved", "key-image", "summary", "summary-pdf", "heights", "sr", "withdrawal"
]
"""What an object is; "sr" is the bone-density report, "withdrawal" a note that takes objects back."""


@dataclass(frozen=True, slots=True)
class OutgoingObject:
    """A DICOM file to be delivered. ``order``: smaller first (images before the reports that cite them)."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    kind: Kind
    order: int
    series_instance_uid: str | None = None
    not_for: tuple[str, ...] = ()
    """Destinations that do not take this kind of object."""


@dataclass(frozen=True, slots=True)
class MeasureOutcome:
    """What a measurement left in its ``out_dir``."""

    status: Literal["measured", "refused"]
    refusal: Refusal | None
    result_json: Path
    """One entry of ``results`` of the documented JSON."""
    objects: tuple[OutgoingObject, ...]
    previews: tuple[Path, ...]
    scan_record: ScanRecord | None = None
    """What the scan says of its scanner, for the record of quality assurance."""
    priors_left_out: tuple[str, ...] = ()
    """Why files of ``prior_reports`` were not used, a slug for each."""
