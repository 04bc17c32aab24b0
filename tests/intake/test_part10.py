from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from node.intake import part10

UIDS = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2.4.70"


def test_another_reader_finds_the_same_file_meta_information() -> None:
    meta = dcmread(BytesIO(part10.prefix(*UIDS, "CT1"))).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == UIDS
    assert meta.SourceApplicationEntityTitle == "CT1"
    assert meta.ImplementationVersionName == part10.IMPLEMENTATION_VERSION_NAME


def test_the_group_length_counts_what_follows() -> None:
    prefix = part10.prefix(*UIDS, "ODD")
    meta = dcmread(BytesIO(prefix)).file_meta
    assert meta.FileMetaInformationGroupLength == len(prefix) - 128 - 4 - 12


@pytest.mark.parametrize("ae_title", ["", "A", "SIXTEEN_LETTERS_", "Umläut"])
def test_any_ae_title_can_be_written(ae_title: str, tmp_path: Path) -> None:
    assert "SourceApplicationEntityTitle" in dcmread(BytesIO(part10.prefix(*UIDS, ae_title))).file_meta
