"""Volumes and label images: as NIfTI files for other programs, and on the grids that models were trained on.

ITK works in LPS as DICOM does and turns to NIfTI's RAS by itself when it reads and writes those files.
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.errors import SegmenterFailed

AIR_HU = -1024
_HEADER_BYTES = 348
_TOWARD = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Letter → (axis of LPS, sign)."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """Numbered voxels in patient coordinates, and what the numbers mean."""

    labels: NDArray[np.integer]
    """(k, j, i): k within 45 degrees of toward the head, j toward the back, i toward the left."""
    affine_lps_mm: NDArray[np.float64]
    """(4, 4): (k, j, i, 1) → LPS mm."""
    names: Mapping[int, str]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along (k, j, i)."""
        dk, dj, di = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return float(dk), float(dj), float(di)

    def lps_mm(self, index_kji: NDArray[np.float64]) -> NDArray[np.float64]:
        """Index coordinates (..., 3) → LPS mm."""
        return index_kji @ self.affine_lps_mm[:3, :3].T + self.affine_lps_mm[:3, 3]


def image_of(volume: Volume) -> sitk.Image:
    """The volume as an ITK image; what was not reconstructed is air."""
    hu = np.where(volume.hu == OUTSIDE_FIELD_HU, np.int16(AIR_HU), volume.hu)
    image = sitk.GetImageFromArray(hu)
    dk, dj, di = volume.spacing_mm
    image.SetSpacing((di, dj, dk))
    axes = volume.affine_lps_mm[:3, :3] / np.array([dk, dj, di])
    image.SetDirection(axes[:, ::-1].ravel().tolist())
    image.SetOrigin(volume.affine_lps_mm[:3, 3].tolist())
    return image


def labels_of(image: sitk.Image, names: Mapping[int, str]) -> LabelImage:
    """An ITK image of labels in any orientation, turned so that its axes run as those of a volume."""
    turned = sitk.DICOMOrient(image, "LPS")
    affine = np.eye(4)
    steps = np.array(turned.GetDirection()).reshape(3, 3) * np.array(turned.GetSpacing())
    affine[:3, :3], affine[:3, 3] = steps[:, ::-1], turned.GetOrigin()
    return LabelImage(sitk.GetArrayFromImage(turned), affine, names)


def save(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI; no identity goes with it."""
    sitk.WriteImage(image_of(volume), str(path))


def read_labels(path: Path, known: Mapping[int, str]) -> LabelImage:
    """Read a label image from NIfTI: names from its own header where it has them (``known`` otherwise).

    Raises ``SegmenterFailed`` when the file is none.
    """
    try:
        image = sitk.ReadImage(str(path))
        names = names_in(path)
    except (RuntimeError, OSError, EOFError, struct.error) as error:
        raise SegmenterFailed(f"The label image cannot be read: {error}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise SegmenterFailed("The label image is not one label for each voxel of a volume.")
    if "float" in image.GetPixelIDTypeAsString():
        image = sitk.Cast(sitk.Round(image), sitk.sitkInt16)
    return labels_of(image, names or known)


def names_in(path: Path) -> dict[int, str]:
    """Label table of the header extension (Caret XML) of a NIfTI-1 file; empty where there is none."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        header = file.read(_HEADER_BYTES + 4)
        order = "<" if struct.unpack("<i", header[:4])[0] == _HEADER_BYTES else ">"
        end = int(struct.unpack(f"{order}f", header[108:112])[0])
        if len(header) < _HEADER_BYTES + 4 or not header[_HEADER_BYTES]:
            return {}
        text = file.read(max(end - _HEADER_BYTES - 4, 0)).decode("utf-8", "replace")
    return {int(n): name for n, name in re.findall(r'<Label Key="(\d+)"[^>]*><!\[CDATA\[(.*?)\]\]>', text)}


def resampled(
    volume: Volume, spacing_mm: tuple[float, float, float], letters: str
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The volume on a coarser or finer grid whose axes run to ``letters``: (array, affine of its axes to LPS mm).

    Linear; axes stay along those of the volume, which lie within 45 degrees of the patient's.
    """
    order = [(2, 1, 0)[_TOWARD[letter][0]] for letter in letters]
    kji_spacing = np.empty(3)
    kji_spacing[order] = spacing_mm
    image = image_of(volume)
    size = [
        max(round(n * old / new), 1)
        for n, old, new in zip(volume.hu.shape, volume.spacing_mm, kji_spacing, strict=True)
    ]
    axes = volume.affine_lps_mm[:3, :3] / np.array(volume.spacing_mm)
    affine = np.eye(4)
    affine[:3, :3] = axes * kji_spacing
    shift = 0.5 * (kji_spacing - np.array(volume.spacing_mm))
    affine[:3, 3] = volume.affine_lps_mm[:3, 3] + axes @ shift
    new = sitk.Resample(
        image,
        [int(n) for n in size[::-1]],
        sitk.Transform(),
        sitk.sitkLinear,
        affine[:3, 3].tolist(),
        kji_spacing[::-1].tolist(),
        image.GetDirection(),
        float(AIR_HU),
        sitk.sitkFloat32,
    )
    return _turned(sitk.GetArrayFromImage(new), affine, order, letters)


def _turned(
    array: NDArray[np.float32], affine: NDArray[np.float64], order: list[int], letters: str
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    array = array.transpose(order)
    turned = affine.copy()
    turned[:3, :3] = affine[:3, :3][:, order]
    for axis, letter in enumerate(letters):
        if _TOWARD[letter][1] < 0:
            array = np.flip(array, axis)
            turned[:3, 3] += turned[:3, axis] * (array.shape[axis] - 1)
            turned[:3, axis] *= -1.0
    return np.ascontiguousarray(array), turned


def as_labels(
    labels: NDArray[np.integer], affine_lps_mm: NDArray[np.float64], letters: str, names: Mapping[int, str]
) -> LabelImage:
    """Labels on a grid whose axes run to ``letters``, laid as a volume is."""
    affine = affine_lps_mm.copy()
    for axis, letter in enumerate(letters):
        if _TOWARD[letter][1] < 0:
            affine[:3, 3] += affine[:3, axis] * (labels.shape[axis] - 1)
            affine[:3, axis] *= -1.0
            labels = np.flip(labels, axis)
    back = [letters.index(next(x for x in letters if _TOWARD[x][0] == axis)) for axis in (2, 1, 0)]
    laid = affine.copy()
    laid[:3, :3] = affine[:3, :3][:, back]
    return LabelImage(np.ascontiguousarray(labels.transpose(back)), laid, names)
