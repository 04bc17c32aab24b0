"""One received DICOM object and the series it belongs to; attribute names are DICOM keywords in snake case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plane:
    """Position of one image or frame in patient coordinates (PS3.3 C.7.6.2)."""

    image_position_patient_mm: tuple[float, float, float]
    image_orientation_patient: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]
    """(between rows, between columns)."""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What routing, completeness and quality control need of a header. No patient names or identifiers.

    Missing attributes are ``None`` (text and numbers) or empty tuples. JSON-serialisable by
    ``dataclasses.asdict``.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str | None = None
    image_type: tuple[str, ...] = ()
    body_part_examined: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    protocol_name: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    station_name: str | None = None
    device_serial_number: str | None = None
    software_versions: str | None = None
    series_number: int | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    study_date: str | None = None
    patient_key: str | None = None
    """By which earlier studies of the patient are found: a digest of identifier, issuer and date of birth."""
    patient_position: str | None = None
    frame_of_reference_uid: str | None = None
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    kvp: float | None = None
    exposure_mas: float | None = None
    convolution_kernel: str | None = None
    slice_thickness_mm: float | None = None
    reconstruction_diameter_mm: float | None = None
    gantry_detector_tilt_deg: float | None = None
    table_height_mm: float | None = None
    contrast_bolus_agent: str | None = None
    data_collection_center_patient_mm: tuple[float, float, float] | None = None
    """Centre of rotation in patient coordinates, where it is stated (0018,9313)."""
    planes: tuple[Plane, ...] = ()
    """One for each frame; empty where the object has no geometry."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An object on disk (a DICOM Part 10 file)."""

    path: Path
    header: InstanceHeader
    digest: str
    """SHA-256 of the dataset as sent, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Series:
    """All instances of one series that have arrived, in any order."""

    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[StoredInstance, ...]
    sender: str | None = None
    """Calling AE title that sent it; ``None`` for files measured offline."""
