"""Routing rules as data: what may be asked of a series, and how. Nothing here is ever evaluated as code.

A condition is a table in TOML, one of

* ``{ all = [...] }``, ``{ any = [...] }``, ``{ not = {...} }`` over other conditions;
* ``{ attribute = "...", <test> }`` with one test: ``equals``, ``in`` (list), ``matches`` (regular expression, found
  anywhere), ``min`` and/or ``max`` (inclusive), ``present`` (true or false). Upper and lower case are alike.

An attribute that the series does not have makes its test false, or true with ``missing = "accept"``; it never breaks
the rule. Attributes with several values (image_type) meet a test when one of them does.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from node.config.tables import NotEmpty, Slug, Strings, Table, suggestion
from node.domain.settings import Output, ReportSettings

Kind = Literal["text", "texts", "number"]

ATTRIBUTES: dict[str, tuple[Kind, str]] = {
    "modality": ("text", "Modality (0008,0060)"),
    "sop_class": ("text", "ct, enhanced-ct, legacy-converted-enhanced-ct, or the UID of another class"),
    "transfer_syntax_uid": ("text", "Transfer Syntax UID"),
    "image_type": ("texts", "each value of Image Type (0008,0008)"),
    "body_part_examined": ("text", "Body Part Examined (0018,0015)"),
    "study_description": ("text", "Study Description (0008,1030)"),
    "series_description": ("text", "Series Description (0008,103E)"),
    "protocol_name": ("text", "Protocol Name (0018,1030)"),
    "manufacturer": ("text", "Manufacturer (0008,0070)"),
    "manufacturer_model_name": ("text", "Manufacturer's Model Name (0008,1090)"),
    "station_name": ("text", "Station Name (0008,1010)"),
    "device_serial_number": ("text", "Device Serial Number (0018,1000)"),
    "software_versions": ("text", "Software Versions (0018,1020)"),
    "patient_position": ("text", "Patient Position (0018,5100): HFS, FFP, ..."),
    "convolution_kernel": ("text", "Convolution Kernel (0018,1210)"),
    "kernel_class": ("text", "standard, sharp or unknown, from manufacturer and kernel"),
    "contrast_bolus_agent": ("text", "Contrast/Bolus Agent (0018,0010)"),
    "contrast": ("text", "yes or no; missing when the scanner recorded nothing"),
    "orientation": ("text", "axial, sagittal, coronal or oblique, from Image Orientation (Patient)"),
    "sender": ("text", "calling AE title that sent it; missing for files measured offline"),
    "series_number": ("number", "Series Number (0020,0011)"),
    "acquisition_number": ("number", "Acquisition Number (0020,0012)"),
    "kvp": ("number", "KVP (0018,0060)"),
    "exposure_mas": ("number", "Exposure (0018,1152), median of the images"),
    "slice_thickness_mm": ("number", "Slice Thickness (0018,0050)"),
    "slice_spacing_mm": ("number", "distance between slices, from their positions"),
    "field_of_view_mm": ("number", "columns times pixel spacing"),
    "reconstruction_diameter_mm": ("number", "Reconstruction Diameter (0018,1100)"),
    "gantry_detector_tilt_deg": ("number", "Gantry/Detector Tilt (0018,1120)"),
    "rows": ("number", "Rows (0028,0010)"),
    "columns": ("number", "Columns (0028,0011)"),
    "slices": ("number", "number of images or frames"),
    "coverage_mm": ("number", "distance from the first slice to the last"),
}
"""What a condition may ask of a series: kind, and where it comes from."""

MAX_PATTERN_LENGTH = 500


class AttributeTest(Table):
    """A test of one attribute."""

    tag: ClassVar[str] = "<test>"

    attribute: str
    equals: str | float | None = None
    one_of: Annotated[tuple[str | float, ...] | None, Field(alias="in", strict=False)] = None
    matches: str | None = None
    min: float | None = None
    max: float | None = None
    present: bool | None = None
    missing: Literal["reject", "accept"] = "reject"

    @field_validator("attribute")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ATTRIBUTES:
            raise ValueError(f'"{name}" is not a known attribute. {suggestion(name, ATTRIBUTES)}')
        return name

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            if len(pattern) > MAX_PATTERN_LENGTH:
                raise ValueError(f"the regular expression is longer than {MAX_PATTERN_LENGTH} characters")
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"this is not a regular expression: {error}") from error
        return pattern

    @field_validator("one_of")
    @classmethod
    def _not_empty(cls, values: tuple[str | float, ...] | None) -> tuple[str | float, ...] | None:
        if values is not None and not values:
            raise ValueError("an empty list is never met")
        return values

    @model_validator(mode="after")
    def _one_fitting_test(self) -> AttributeTest:
        bounds = self.min is not None or self.max is not None
        others = [self.equals, self.one_of, self.matches, self.present]
        given = bounds + sum(value is not None for value in others)
        if given != 1:
            raise ValueError(
                "give one of equals, in, matches, min and/or max, present" + (", not several" if given else "")
            )
        self._check_kind(ATTRIBUTES[self.attribute][0] == "number", bounds)
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"no value is at least {self.min:g} and at most {self.max:g}")
        if self.present is not None and self.missing == "accept":
            raise ValueError('"missing" has no meaning beside "present"')
        return self

    def _check_kind(self, numeric: bool, bounds: bool) -> None:
        values = [value for value in (self.equals, *(self.one_of or ())) if value is not None]
        if numeric and (self.matches is not None or any(isinstance(value, str) for value in values)):
            raise ValueError(f"{self.attribute} is a number: use equals, in, min or max with numbers")
        if not numeric and (bounds or any(not isinstance(value, str) for value in values)):
            raise ValueError(f"{self.attribute} is text: use equals, in or matches with text")


class AllOf(Table):
    """Met when every condition is; met when there are none."""

    tag: ClassVar[str] = "<all>"

    all: Annotated[tuple[Condition, ...], Field(strict=False)]


class AnyOf(Table):
    """Met when at least one condition is."""

    tag: ClassVar[str] = "<any>"

    any: Annotated[tuple[Condition, ...], Field(strict=False), NotEmpty]


class Not(Table):
    """Met when the condition is not: also when its attribute is missing."""

    tag: ClassVar[str] = "<not>"

    negated: Condition = Field(alias="not")


def _which(value: Any) -> str | None:
    if isinstance(value, Table):
        return value.tag
    if not isinstance(value, dict):
        return None
    return next((f"<{key}>" for key in ("all", "any", "not") if key in value), AttributeTest.tag)


Condition = Annotated[
    Annotated[AllOf, Tag("<all>")]
    | Annotated[AnyOf, Tag("<any>")]
    | Annotated[Not, Tag("<not>")]
    | Annotated[AttributeTest, Tag("<test>")],
    Discriminator(_which),
]
AllOf.model_rebuild()
AnyOf.model_rebuild()
Not.model_rebuild()


class Rule(Table):
    """Which series are measured, with what, and where the result goes."""

    name: Slug
    when: Condition = AllOf(all=())
    phantoms: Strings = ()
    """Ids of those that may lie under the patient; empty: those of the scanner."""
    template: Slug = "bone_density"
    destinations: Strings = ()
    outputs: Annotated[tuple[Output, ...], Field(strict=False), NotEmpty] = ReportSettings().outputs
    """What is made of a measured series."""
    report_refusals: bool = True
    """Whether a refusal is sent as a report that says why there is no measurement."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Higher is measured sooner, and preferred when several rules want series of one study."""
    max_slice_thickness_mm: Annotated[float, Field(gt=0, le=5)] = 3.0
    """Of slice thickness and of slice spacing. Above 3 mm partial volume at the endplates grows; 5 mm is the limit."""
    shadow: bool = False
    """Measure and keep, send nothing until it is released: for a rule on trial."""
    allow_derived: bool = False
    """Whether derived axial images (averages, multiplanar reformats) may be measured."""
    every_series: bool = False
    """Whether all series of a study that meet it are measured, not the best one: for QA scans at several kVp."""
    asynchronous: bool = False
    """Whether a scan without a phantom may be measured by the calibration of the scanner's QA scans."""


class Scanner(Table):
    """A scanner and the phantoms that may lie in it."""

    name: Slug
    when: Condition
    phantoms: Annotated[Strings, NotEmpty]
