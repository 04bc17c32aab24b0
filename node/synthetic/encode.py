"""Part 10 files in every transfer syntax that an installed encoder can write."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import gdcm
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}
"""Names that ``write`` takes."""
_GDCM = {JPEGLosslessSV1: "JPEGLosslessProcess14_1", JPEG2000Lossless: "JPEG2000Lossless"}
_SPACE = uuid.UUID("6f0e1d52-6f0c-5d1e-9d53-3b3c4a5e9f01")


def uid(*parts: object) -> UID:
    """A UID under 2.25 that depends on nothing but its parts."""
    return UID(f"2.25.{uuid.uuid5(_SPACE, '/'.join(str(part) for part in parts)).int}")


def meta(ds: Dataset, syntax: UID) -> FileMetaDataset:
    """File Meta Information of an object (PS3.10 7.1)."""
    out = FileMetaDataset()
    out.MediaStorageSOPClassUID = ds.SOPClassUID
    out.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    out.TransferSyntaxUID = syntax
    out.ImplementationClassUID = uid("implementation")
    return out


def save(ds: Dataset, path: Path, syntax: str = "explicit") -> Path:
    """Write ``ds``, whose pixels are native little endian, in a transfer syntax of ``SYNTAXES``.

    Raises ``KeyError`` for an unknown name and ``RuntimeError`` when the encoder fails.
    """
    target = SYNTAXES[syntax]
    ds.file_meta = meta(ds, ExplicitVRLittleEndian)
    if "PixelData" in ds:
        if target == ExplicitVRBigEndian:
            ds["PixelData"].value = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
        elif target in _GDCM:
            _compress(ds, target)
        elif target.is_compressed and target != DeflatedExplicitVRLittleEndian:
            ds.compress(target, generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = target
    ds.save_as(path, enforce_file_format=True)
    return path


def _compress(ds: Dataset, target: UID) -> None:
    """Replace native pixels by what GDCM encodes."""
    with tempfile.TemporaryDirectory() as folder:
        native = Path(folder) / "native.dcm"
        ds.save_as(native, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(native))
        if not reader.Read():
            raise RuntimeError("GDCM cannot read the native image")
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, _GDCM[target])))
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise RuntimeError(f"GDCM cannot encode {target.name}")
        coded = Path(folder) / "coded.dcm"
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(coded))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise RuntimeError(f"GDCM cannot write {target.name}")
        pixels = dcmread(coded)["PixelData"]
    ds["PixelData"] = pixels
