"""What the rules may know of a series: one value for each attribute of ``node.config.rules.ATTRIBUTES``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from node.domain.instance import InstanceHeader, Plane, Series
from node.routing.kernels import kernel_class

Value = str | float | tuple[str, ...] | None

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "ct",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced-ct",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy-converted-enhanced-ct",
}
_NO_CONTRAST = {"NONE", "NO", "N", "NATIVE", "WITHOUT", "W/O", "NO CONTRAST", "UNENHANCED", "OHNE", "NEIN", "-", "0"}
_TEXTS = (
    "modality",
    "transfer_syntax_uid",
    "body_part_examined",
    "study_description",
    "series_description",
    "protocol_name",
    "manufacturer",
    "manufacturer_model_name",
    "station_name",
    "device_serial_number",
    "software_versions",
    "patient_position",
    "convolution_kernel",
    "contrast_bolus_agent",
)
_NUMBERS = (
    "series_number",
    "acquisition_number",
    "kvp",
    "exposure_mas",
    "slice_thickness_mm",
    "reconstruction_diameter_mm",
    "gantry_detector_tilt_deg",
    "rows",
    "columns",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A series as the rules see it."""

    series_instance_uid: str
    values: Mapping[str, Value]
    """``None``: the series does not have it."""

    def text(self, attribute: str) -> str | None:
        value = self.values[attribute]
        return value if isinstance(value, str) else None

    def number(self, attribute: str) -> float | None:
        value = self.values[attribute]
        return value if isinstance(value, float) else None

    @property
    def image_type(self) -> tuple[str, ...]:
        value = self.values["image_type"]
        return value if isinstance(value, tuple) else ()

    @property
    def effective_thickness_mm(self) -> float | None:
        """The larger of slice thickness and slice spacing, as far as they are known."""
        known = [self.number(name) for name in ("slice_thickness_mm", "slice_spacing_mm")]
        return max((value for value in known if value is not None), default=None)

    @property
    def label(self) -> str:
        """How to name the series in a sentence."""
        number, description = self.number("series_number"), self.text("series_description")
        name = f"series {number:g}" if number is not None else "the series"
        return f'{name} "{description}"' if description else name


UNEVEN, MOSTLY = 0.1, 0.6
"""Values within a tenth of their median are alike; so must be most of them (a few slices may be missing)."""


def facts_of(series: Series) -> Facts:
    """Facts of the slices of a series, or of all its objects when none is a slice.

    Where images differ the most frequent text and the median number count.
    """
    everything = [instance.header for instance in series.instances]
    headers = [header for header in everything if is_slice(header)] or everything
    values: dict[str, Value] = {name: _commonest(getattr(h, name) for h in headers) for name in _TEXTS}
    values |= {name: _middle(getattr(h, name) for h in headers) for name in _NUMBERS}
    planes = [plane for header in headers for plane in header.planes]
    spacing, coverage = _spacing_and_coverage(planes)
    values |= {
        "sop_class": _commonest(CT_CLASSES.get(h.sop_class_uid, h.sop_class_uid or None) for h in headers),
        "image_type": _commonest_tuple(h.image_type for h in headers),
        "kernel_class": kernel_class(_as_text(values["manufacturer"]), _as_text(values["convolution_kernel"])),
        "contrast": _contrast(_as_text(values["contrast_bolus_agent"])),
        "orientation": _orientation(planes),
        "sender": series.sender,
        "slice_thickness_mm": _usual(h.slice_thickness_mm for h in headers),
        "slice_spacing_mm": spacing,
        "coverage_mm": coverage,
        "field_of_view_mm": _field_of_view(headers, planes),
        "slices": float(sum(len(h.planes) or h.number_of_frames for h in headers)),
    }
    return Facts(series.series_instance_uid, values)


def is_slice(header: InstanceHeader) -> bool:
    """Whether an object is a CT image that may be part of a stack."""
    ct = header.sop_class_uid in CT_CLASSES or (not header.sop_class_uid and header.modality == "CT")
    return ct and "LOCALIZER" not in header.image_type


def _commonest(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def _commonest_tuple(values: Iterable[tuple[str, ...]]) -> tuple[str, ...] | None:
    counts = Counter(value for value in values if value)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def _usual(values: Iterable[float | None]) -> float | None:
    """The median; of a mixture the smallest, so that geometry refuses the series for what it is."""
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return None
    usual = float(np.median(known))
    return usual if np.mean(np.abs(known - usual) <= UNEVEN * usual) >= MOSTLY else float(known.min())


def _as_text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _contrast(agent: str | None) -> Literal["yes", "no"] | None:
    if agent is None:
        return None
    return "no" if agent.upper() in _NO_CONTRAST else "yes"


def _orientation(planes: list[Plane]) -> str | None:
    """By the commonest image normal; within 35 degrees of an axis of the body it is named after the plane."""
    counts = Counter(plane.image_orientation_patient for plane in planes)
    if not counts:
        return None
    cosines = np.array(counts.most_common(1)[0][0])
    normal = np.cross(cosines[:3], cosines[3:])
    length = float(np.linalg.norm(normal))
    if length < 0.5:
        return None
    axis = int(np.argmax(np.abs(normal)))
    if abs(normal[axis]) / length < np.cos(np.radians(35.0)):
        return "oblique"
    return ("sagittal", "coronal", "axial")[axis]


def _spacing_and_coverage(planes: list[Plane]) -> tuple[float | None, float | None]:
    """Distance between slices, and from first to last."""
    if not planes:
        return None, None
    cosines = np.array(planes[0].image_orientation_patient)
    normal = np.cross(cosines[:3], cosines[3:])
    along = np.unique(np.round(np.array([plane.image_position_patient_mm for plane in planes]) @ normal, 2))
    if len(along) < 2:
        return None, 0.0
    spacing = _usual(np.diff(along).tolist())
    return None if spacing is None else round(spacing, 3), round(float(along[-1] - along[0]), 2)


def _field_of_view(headers: list[InstanceHeader], planes: list[Plane]) -> float | None:
    columns = _middle(header.columns for header in headers)
    if columns is not None and planes:
        return round(columns * float(median(plane.pixel_spacing_mm[1] for plane in planes)), 1)
    return _middle(header.reconstruction_diameter_mm for header in headers)
