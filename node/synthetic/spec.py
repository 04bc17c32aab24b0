"""What can be asked of the synthetic torso: every input with a default, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node.domain.phantom import PhantomModel

Kernel = Literal["smooth", "standard", "sharp"]
PatientPosition = Literal["HFS", "HFP", "FFS", "FFP"]
Couch = Literal["curved", "cradle", "flat", "none"]
Contrast = Literal["none", "arterial", "portal"]
Lesion = Literal["lytic", "sclerotic", "haemangioma", "diffuse-lytic", "diffuse-sclerotic"]
Lumbosacral = Literal["normal", "lumbarised-S1", "sacralised-L5"]


@dataclass(frozen=True, slots=True)
class Fracture:
    """A deformed vertebral body: the part of its height that is lost where this type loses most."""

    type: Literal["wedge", "biconcave", "crush"]
    loss: float
    """0.20 to 0.25 is Genant grade 1, to 0.40 grade 2, above grade 3."""


@dataclass(frozen=True, slots=True)
class TorsoSpec:
    """A patient, how he lies, and how he is scanned. Lengths in mm, angles in degrees, densities in mg/cm³."""

    seed: int = 1

    # the patient
    sex: Literal["F", "M"] = "M"
    age_years: int = 50
    height_cm: float = 172.0
    bmi: float = 25.0
    vbmd_mg_cm3: float | None = None
    """Trabecular density of L1 in K2HPO4 equivalents; ``None``: the mean of this sex and age."""
    vbmd_by_level: Mapping[str, float] = field(default_factory=dict)
    """Levels that do not follow the usual course along the spine."""
    kyphosis_deg: float = 33.0
    """T1 to T12."""
    lordosis_deg: float = 48.0
    """L1 to S1."""
    scoliosis_cobb_deg: float = 0.0
    scoliosis_apex: str = "L1"
    fractures: Mapping[str, Fracture] = field(default_factory=dict)
    cement: tuple[str, ...] = ()
    """Levels filled with bone cement."""
    screws: tuple[str, ...] = ()
    """Levels with pedicle screws, joined by rods."""
    lesions: Mapping[str, Lesion] = field(default_factory=dict)
    """Levels with a lesion of the body: a focus, or (diffuse) all of its spongiosa."""
    schmorl: tuple[str, ...] = ()
    """Levels with a Schmorl's node in each endplate."""
    bridges: tuple[str, ...] = ()
    """Levels joined with the one below by bone in front of the disc."""
    cortex: float = 1.0
    """Thickness of endplates and side walls, as a part of the usual one (0.5 mm wall, 0.65 mm endplate)."""
    degeneration: float | None = None
    """Osteophytes, worn discs and sclerotic endplates, 0 to 1; ``None``: by age."""
    bone_islands: tuple[str, ...] = ()
    """Levels with a dense spot in the marrow."""
    rib_pairs: int = 12
    """11: none on T12; 13: short ones on L1 too."""
    last_rib_length_mm: float | None = None
    """Length of the lowest pair; ``None``: usual for its level."""
    lumbosacral: Lumbosacral = "normal"
    contrast: Contrast = "none"
    bowel_gas: float = 1.0
    """0 none, 1 usual, 2 much."""
    arms: Literal["raised", "down"] = "raised"

    # how the patient lies
    patient_position: PatientPosition = "HFS"
    roll_deg: float = 0.0
    """About the long axis; positive turns the patient's front toward his left."""
    pitch_deg: float = 0.0
    """About the left-right axis; positive raises the feet end toward the back."""
    yaw_deg: float = 0.0
    """Oblique on the couch."""
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the body in LPS from its usual place (trunk centre at x = y = 0)."""
    l1_z_mm: float = -430.0
    """Where the L1 centroid lies along the couch, before pose and shift."""
    couch: Couch = "curved"
    mattress_mm: float = 12.0

    # the phantom
    phantom: PhantomModel | None = None
    phantom_reversed: bool = False
    """Rods mirrored left to right."""
    phantom_roll_deg: float = 0.0
    phantom_yaw_deg: float = 0.0
    phantom_shift_mm: float = 0.0
    """Toward the left (LPS x)."""
    phantom_z_mm: float | None = None
    """Its middle along z, from the L1 centroid (positive toward the head); ``None``: the middle of the scan."""

    # the scan
    top: tuple[str, float] = ("T9", 16.0)
    """Uppermost slice: a level's body centre and mm above it."""
    bottom: tuple[str, float] = ("S1", -25.0)
    matrix: int = 512
    fov_mm: float = 420.0
    fov_centre_mm: tuple[float, float] | None = None
    """LPS x and y of the image centre; ``None``: such that body and phantom fit as well as they can."""
    spacing_mm: float = 1.5
    thickness_mm: float = 1.5
    gantry_tilt_deg: float = 0.0
    kernel: Kernel = "standard"
    kvp: float = 120.0
    scanner_slope: float = 1.0
    """Factor on the attenuation of bone and of rods per mg/cm³."""
    scanner_offset_hu: float = 0.0
    """Added to every voxel of the scan field (water of this scanner)."""
    cupping_hu: float = 0.0
    """How much the middle of the field reads below its edge (a field that is not uniform)."""
    noise_hu: float | None = None
    """Standard deviation at the middle of an average trunk; ``None``: from ``ctdi_mgy``, kernel, slice and size."""
    ctdi_mgy: float = 8.0
    padding_hu: int | None = -1024
    """Outside the circular field of reconstruction; ``None``: no circle."""

    # where it was scanned
    manufacturer: str = "Example Imaging"
    model_name: str = "Model 64"
    station_name: str = "CT1"
    device_serial_number: str = "10001"
    patient_name: str = "Synthetic^Torso"
    study_date: str = "20250102"
