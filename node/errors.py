"""Every error the node raises on purpose.

::

    NodeError
    ├── ConfigError            the configuration is wrong: every problem at once
    ├── StudyRefused           this series will never be measured as it is; each has a stable reason
    │   ├── NoSuitableSeries, UnsuitableSeries, IncompleteSeries, IrregularSeries, ImageUndecodable
    │   ├── PhantomNotFound, PhantomOutOfField, PhantomUnknown, PhantomAmbiguous, PoorCalibration
    │   ├── SpineNotFound, LevelsOutsideScan, LevelsAmbiguous, VertebraNotMeasurable
    │   ├── Confounded         the configuration refuses scans of this kind (contrast medium, noise, tube voltage)
    │   ├── QaScan             no patient but a QA phantom: measured for the scanner's record
    │   └── MeasurementFailed  the measurement crashed or ran out of time or memory
    ├── SegmenterFailed        an engine beside the built-in one is missing, ran out of time, or gave nonsense
    ├── ReportInvalid          what we wrote could not be read back: our bug
    └── DeliveryFailed         the destination did not take it now: try again later
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

Evidence = Mapping[str, object]


class NodeError(Exception):
    """Base of every deliberate error."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration file: where, what, and what to do."""

    file: str
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.message}" + (f" {self.remedy}" if self.remedy else "")


class ConfigError(NodeError):
    """The configuration cannot be used; ``problems`` holds all of them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(eq=False)
class StudyRefused(NodeError):
    """The series is not measured, and never will be as it is.

    ``message`` is a sentence for the radiographer; ``evidence`` holds JSON-serialisable facts.
    """

    message: str
    evidence: Evidence = field(default_factory=dict)
    reason: ClassVar[str] = "refused"

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class NoSuitableSeries(StudyRefused):
    """No series of the study meets any rule."""

    reason = "no-suitable-series"


class UnsuitableSeries(StudyRefused):
    """The series is of a kind that cannot be measured (orientation, modality, units)."""

    reason = "unsuitable-series"


class IncompleteSeries(StudyRefused):
    """Slices are missing."""

    reason = "incomplete-series"


class IrregularSeries(StudyRefused):
    """Slices do not form one regular stack (spacing, orientation, size, frame of reference)."""

    reason = "irregular-series"


class ImageUndecodable(StudyRefused):
    """Pixel data is missing, truncated or in a syntax that cannot be decoded."""

    reason = "image-undecodable"


class PhantomNotFound(StudyRefused):
    """No calibration phantom lies in the scan."""

    reason = "phantom-not-found"


class PhantomOutOfField(StudyRefused):
    """A phantom is there, but cut by the field of view or not beside L1 and L2."""

    reason = "phantom-out-of-field"


class PhantomUnknown(StudyRefused):
    """A phantom is there, but none of those configured for this scanner fits it."""

    reason = "phantom-unknown"


class PhantomAmbiguous(StudyRefused):
    """Two configured phantoms fit equally well."""

    reason = "phantom-ambiguous"


class PoorCalibration(StudyRefused):
    """The rods do not lie on the line they must lie on."""

    reason = "poor-calibration"


class SpineNotFound(StudyRefused):
    """No vertebral column could be found."""

    reason = "spine-not-found"


class LevelsOutsideScan(StudyRefused):
    """L1 and L2 are not, or not wholly, in the scan."""

    reason = "levels-outside-scan"


class LevelsAmbiguous(StudyRefused):
    """Which vertebra is L1 cannot be told."""

    reason = "levels-ambiguous"


class VertebraNotMeasurable(StudyRefused):
    """No permitted vertebra can be measured (metal, cement, fracture, lesion, artefact)."""

    reason = "vertebra-not-measurable"


class Confounded(StudyRefused):
    """Something falsifies the density, and the configuration says to refuse it."""

    reason = "confounded"


class QaScan(StudyRefused):
    """A QA phantom, not a patient: it goes to the scanner's record, and there is no result of a patient."""

    reason = "qa-scan"


class MeasurementFailed(StudyRefused):
    """The measurement crashed, or ran out of its time or memory, as often as is allowed."""

    reason = "measurement-failed"


class SegmenterFailed(NodeError):
    """A learned engine cannot be asked (not installed, no weights), did not answer in time, or not in its own terms."""


class ReportInvalid(NodeError):
    """An object that we wrote does not read back as it should."""


class DeliveryFailed(NodeError):
    """A destination did not accept an object; it is tried again later."""
