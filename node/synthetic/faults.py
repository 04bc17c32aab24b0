"""Series that arrive damaged or odd, made on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.synthetic.encode import uid

INTERCEPT = -1024

Fault = Literal[
    "missing-slice",
    "missing-block",
    "duplicate-position",
    "duplicate-slices",
    "irregular-spacing",
    "mixed-orientation",
    "mixed-size",
    "mixed-frame-of-reference",
    "shuffled-numbers",
    "equal-numbers",
    "reversed",
    "no-position",
    "no-pixels",
    "truncated-pixels",
    "sparse-header",
]
"""What each does:

missing-slice      one image of the middle is left out; missing-block: five
duplicate-position one image comes again with another UID and number, its pixels a little different
duplicate-slices   every position twice, as two passes of the same series
irregular-spacing  the positions of the second half lie 1.4 times as far apart
mixed-orientation  one more image, sagittal
mixed-size         one image has half the rows and columns
mixed-frame-of-reference  the lower half lies in another frame of reference
shuffled-numbers   instance numbers in no order (harmless: positions are right)
equal-numbers      all instance numbers 1 (harmless)
reversed           acquired from the other end (harmless)
no-position        no image position or orientation
no-pixels          no pixel data
truncated-pixels   half of the pixel data of one image is gone
sparse-header      only what the type 1 and 2 attributes need: no kernel, kVp, descriptions, body part, device
"""


@dataclass(frozen=True, slots=True)
class Plane:
    """One image to be written."""

    pixels: NDArray[np.int16]
    position: tuple[float, float, float]
    orientation: tuple[float, ...]
    instance_number: int
    mark: str = ""
    """The fault that it carries by itself."""


def spoil(planes: list[Plane], faults: tuple[Fault, ...]) -> list[Plane]:
    """Apply the faults that concern which images there are, and their order."""
    out = list(planes)
    middle = len(out) // 2
    for fault in faults:
        if fault == "missing-slice":
            del out[middle]
        elif fault == "missing-block":
            del out[middle : middle + 5]
        elif fault == "duplicate-position":
            again = replace(out[middle], pixels=out[middle].pixels + np.int16(1), instance_number=len(out) + 1)
            out.append(again)
        elif fault == "duplicate-slices":
            out += [replace(plane, instance_number=plane.instance_number + len(out)) for plane in out]
        elif fault == "irregular-spacing":
            out = out[:middle] + [_stretched(plane, out[middle]) for plane in out[middle:]]
        elif fault == "mixed-orientation":
            one = out[middle]
            out.append(replace(one, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0), instance_number=len(out) + 1))
        elif fault in ("mixed-size", "truncated-pixels"):
            out[middle] = replace(out[middle], mark=fault)
        elif fault == "mixed-frame-of-reference":
            out[middle:] = [replace(plane, mark=fault) for plane in out[middle:]]
        elif fault == "shuffled-numbers":
            order = np.random.default_rng(len(out)).permutation(len(out))
            out = [replace(plane, instance_number=int(n) + 1) for plane, n in zip(out, order, strict=True)]
        elif fault == "reversed":
            out = out[::-1]
    return out


def _stretched(plane: Plane, origin: Plane) -> Plane:
    x, y, z = (a + 1.4 * (b - a) for a, b in zip(origin.position, plane.position, strict=True))
    return replace(plane, position=(x, y, z))


def damage(ds: Dataset, plane: Plane, faults: tuple[Fault, ...]) -> None:
    """Apply the faults that concern the attributes of an image."""
    if plane.mark == "mixed-size":
        half = plane.pixels[::2, ::2]
        ds.Rows, ds.Columns = half.shape
        ds.PixelData = (half - np.int16(INTERCEPT)).astype("<i2").tobytes()
    elif plane.mark == "truncated-pixels":
        ds.PixelData = ds.PixelData[: len(ds.PixelData) // 4 * 2]
    elif plane.mark == "mixed-frame-of-reference":
        ds.FrameOfReferenceUID = uid("other frame", ds.FrameOfReferenceUID)
    if "equal-numbers" in faults:
        ds.InstanceNumber = 1
    drop: tuple[str, ...] = ()
    if "no-position" in faults:
        drop += ("ImagePositionPatient", "ImageOrientationPatient", "SliceLocation")
    if "no-pixels" in faults:
        drop += ("PixelData",)
    if "sparse-header" in faults:
        drop += _OPTIONAL
    for name in drop:
        if name in ds:
            delattr(ds, name)


_OPTIONAL = (
    "StationName", "DeviceSerialNumber", "SoftwareVersions", "InstitutionName", "StudyDescription",
    "SeriesDescription", "ProtocolName", "BodyPartExamined", "PatientAge", "PatientSize", "PatientWeight",
    "SpacingBetweenSlices", "ReconstructionDiameter", "DataCollectionDiameter", "GantryDetectorTilt", "TableHeight",
    "RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "FilterType", "ConvolutionKernel", "CTDIvol",
    "CTDIPhantomTypeCodeSequence",
    "SliceLocation", "ManufacturerModelName", "PixelPaddingValue", "RescaleType", "WindowCenter", "WindowWidth",
)  # fmt: skip
