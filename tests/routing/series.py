"""Series made of headers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node.config.rules import Rule
from node.domain.instance import InstanceHeader, Plane, Series, StoredInstance

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def series(
    uid: str = "1.1", slices: int = 100, spacing_mm: float = 2.0, sender: str | None = "CT1", **other: Any
) -> Series:
    """A suitable series; anything of its headers can be changed. ``orientation``: of all images."""
    orientation = other.pop("orientation", AXIAL)
    pixel_mm = other.pop("pixel_mm", 0.8)
    values: dict[str, Any] = {
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "body_part_examined": "ABDOMEN",
        "series_description": "Abdomen 2 B30f",
        "manufacturer": "SIEMENS",
        "station_name": "CT01",
        "series_number": 2,
        "rows": 512,
        "columns": 512,
        "kvp": 120.0,
        "convolution_kernel": "B30f",
        "slice_thickness_mm": 2.0,
    } | other
    study, sop_class = values.pop("study_instance_uid", "1"), values.pop("sop_class_uid", CT)
    normal = (
        orientation[1] * orientation[5] - orientation[2] * orientation[4],
        orientation[2] * orientation[3] - orientation[0] * orientation[5],
        orientation[0] * orientation[4] - orientation[1] * orientation[3],
    )
    instances = []
    for k in range(slices):
        position = tuple(spacing_mm * k * component for component in normal)
        planes = values.get("planes", (Plane(position, orientation, (pixel_mm, pixel_mm)),))
        header = InstanceHeader(
            study, uid, f"{uid}.{k}", sop_class, "1.2.840.10008.1.2.1", **(values | {"planes": planes})
        )
        instances.append(StoredInstance(Path("none"), header, f"{uid}.{k}"))
    return Series(study, uid, tuple(instances), sender)


def rule(name: str = "body", **values: Any) -> Rule:
    """A rule as it is written in TOML."""
    return Rule.model_validate({"name": name} | values)
