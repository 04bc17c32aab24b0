"""Stored values → Hounsfield units as int16, with what was not reconstructed marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.dicom.pixels import Frame
from node.domain.volume import OUTSIDE_FIELD_HU

NEVER_MEASURED_HU = -1500
"""Nothing in a body reads so low: scanners fill what they did not reconstruct with -2000, -3024 or -8192."""
AIR_HU = -900
"""Padding that reads as more would be tissue: such a declaration is ignored, ..."""
WRAPPED_HU = 30000
"""... unless it reads as more than this: a negative number stored as an unsigned one."""


def write_hu(frame: Frame, out: NDArray[np.int16]) -> None:
    """Convert one image into ``out`` (rows, columns).

    Values beyond int16 are clipped. ``OUTSIDE_FIELD_HU`` replaces values below ``NEVER_MEASURED_HU`` and declared
    padding. Padding that reads as air (-1024 HU, say) counts only where it reaches in from the image's edge without a
    break, since air in the scan field can have the same value.
    """
    stored = frame.stored
    if frame.slope == 1 and frame.intercept_hu.is_integer():
        _shift(stored, int(frame.intercept_hu), out)
    else:
        hu = np.multiply(stored, frame.slope, dtype=np.float32)
        hu += np.float32(frame.intercept_hu)
        np.clip(np.rint(hu, out=hu), -32768, 32767, out=hu)
        out[...] = hu
    if int(out.min()) < NEVER_MEASURED_HU:
        np.copyto(out, OUTSIDE_FIELD_HU, where=out < NEVER_MEASURED_HU)
    if frame.padding is not None:
        _mark_padding(frame, frame.padding, out)


def mark_outside_circle(hu: NDArray[np.int16]) -> None:
    """Mark the corners of images that were reconstructed in a circle and filled with one air value, undeclared.

    ``hu``: (slices, rows, columns), changed in place. Nothing happens unless every voxel outside the inscribed circle
    has one and the same value, not above -1000 HU (real air has noise).
    """
    slices, rows, columns = hu.shape
    y, x = np.ogrid[:rows, :columns]
    radius = min(rows, columns) / 2 + 1
    corners = np.flatnonzero((y - (rows - 1) / 2) ** 2 + (x - (columns - 1) / 2) ** 2 > radius**2)
    value = int(hu[0, 0, 0])
    if value > -1000 or value == OUTSIDE_FIELD_HU:
        return
    flat = hu.reshape(slices, -1)
    for image in flat:
        if not (image[corners] == value).all():
            return
    for image in flat:
        image[corners] = OUTSIDE_FIELD_HU


def _shift(stored: NDArray[Any], intercept: int, out: NDArray[np.int16]) -> None:
    lowest, highest = int(stored.min()) + intercept, int(stored.max()) + intercept
    if stored.itemsize == 2 and lowest >= -32768 and highest <= 32767 and abs(intercept) < 32768:
        stored = stored if stored.dtype.isnative else stored.astype(stored.dtype.newbyteorder("="))
        np.add(stored.view(np.int16), np.int16(intercept), out=out)  # modulo 2^16, exact since the result fits
    else:
        out[...] = np.clip(stored.astype(np.int64) + intercept, -32768, 32767)


def _mark_padding(frame: Frame, padding: tuple[int, int], out: NDArray[np.int16]) -> None:
    hu = frame.slope * padding[0] + frame.intercept_hu
    if AIR_HU < hu < WRAPPED_HU:
        return
    if padding[0] == padding[1]:
        padded = frame.stored == padding[0]
    else:
        padded = (frame.stored >= padding[0]) & (frame.stored <= padding[1])
    if NEVER_MEASURED_HU < hu <= AIR_HU:
        padded = _from_edge(padded)
    np.copyto(out, OUTSIDE_FIELD_HU, where=padded)


def _from_edge(padded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those that are joined to the left, right, upper or lower edge by an unbroken straight run."""
    left = np.logical_and.accumulate(padded, axis=1)
    right = np.logical_and.accumulate(padded[:, ::-1], axis=1)[:, ::-1]
    top = np.logical_and.accumulate(padded, axis=0)
    bottom = np.logical_and.accumulate(padded[::-1], axis=0)[::-1]
    return left | right | top | bottom
