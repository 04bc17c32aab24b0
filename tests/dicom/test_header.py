"""Headers from files and from bare datasets, well formed or not."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.header import ObjectUnreadable, read_header
from tests.dicom.writer import ENHANCED_CT, LEGACY_CT, Scan, enhanced, images, pattern, save

SCAN = Scan(pattern())
UNCOMPRESSED = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def encoded(ds: Dataset, *, implicit: bool = False, little: bool = True) -> bytes:
    """A dataset as it comes over an association."""
    sink = BytesIO()
    ds.save_as(sink, implicit_vr=implicit, little_endian=little)
    return sink.getvalue()


def changed(path: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes that must be there once."""
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


@pytest.fixture
def image() -> Dataset:
    return images(SCAN)[3]


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_part_10_file_of_each_syntax(image: Dataset, tmp_path: Path, syntax: str) -> None:
    header = read_header(save(image, tmp_path / "x", syntax))
    assert header.transfer_syntax_uid == syntax
    assert (header.rows, header.columns, header.kvp) == (8, 10, 120.0)
    assert header.planes[0].image_position_patient_mm == (-20.0, -30.0, -94.0)


@pytest.mark.parametrize(
    ("syntax", "implicit", "little"),
    [("1.2.840.10008.1.2", True, True), ("1.2.840.10008.1.2.1", False, True), ("1.2.840.10008.1.2.2", False, False)],
)
def test_bare_dataset_with_the_syntax_of_the_association(
    image: Dataset, syntax: str, implicit: bool, little: bool
) -> None:
    header = read_header(encoded(image, implicit=implicit, little=little), transfer_syntax_uid=syntax)
    assert header.sop_instance_uid == image.SOPInstanceUID
    assert header.instance_number == 4


def test_bare_deflated_dataset(image: Dataset) -> None:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = compressor.compress(encoded(image)) + compressor.flush()
    assert read_header(deflated, transfer_syntax_uid="1.2.840.10008.1.2.1.99").columns == 10


def test_the_part_10_header_wins_over_the_stated_syntax(image: Dataset, tmp_path: Path) -> None:
    path = save(image, tmp_path / "x", ImplicitVRLittleEndian)
    assert read_header(path, transfer_syntax_uid="1.2.840.10008.1.2.1").transfer_syntax_uid == "1.2.840.10008.1.2"


def test_bare_dataset_of_unknown_syntax_is_guessed(image: Dataset) -> None:
    assert read_header(encoded(image, implicit=True)).transfer_syntax_uid == "1.2.840.10008.1.2"


def test_open_stream(image: Dataset, tmp_path: Path) -> None:
    with save(image, tmp_path / "x").open("rb") as stream:
        assert read_header(stream).modality == "CT"


def test_no_patient_data(image: Dataset, tmp_path: Path) -> None:
    everything = str(asdict(read_header(save(image, tmp_path / "x"))))
    assert "Marked" not in everything
    assert "SECRET" not in everything


def test_missing_attributes_are_none(tmp_path: Path) -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.3", "1.2.3.4"
    header = read_header(save(ds, tmp_path / "x"))
    assert header.modality is None
    assert header.kvp is None
    assert header.planes == ()
    assert header.image_type == ()
    assert header.study_instance_uid == ""


def test_uids_of_the_association_stand_in(image: Dataset) -> None:
    del image.SOPClassUID, image.SOPInstanceUID
    header = read_header(
        encoded(image), transfer_syntax_uid=ExplicitVRLittleEndian, sop_class_uid="1.5", sop_instance_uid="1.6"
    )
    assert (header.sop_class_uid, header.sop_instance_uid) == ("1.5", "1.6")


def test_uids_of_the_file_meta_information_stand_in(image: Dataset, tmp_path: Path) -> None:
    path = changed(save(image, tmp_path / "x"), b"\x08\x00\x18\x00UI", b"\x09\x00\x18\x00UI")
    assert read_header(path).sop_instance_uid == image.SOPInstanceUID


def test_malformed_number_costs_only_itself(image: Dataset, tmp_path: Path) -> None:
    path = changed(save(image, tmp_path / "x"), b"DS\x06\x00120.0 ", b"DS\x06\x0012x.0 ")
    header = read_header(path)
    assert header.kvp is None
    assert header.slice_thickness_mm == 2.0


def test_number_under_a_text_vr_is_read(image: Dataset, tmp_path: Path) -> None:
    path = changed(save(image, tmp_path / "x"), b"DS\x06\x00120.0 ", b"LO\x06\x00120.0 ")
    assert read_header(path).kvp == 120.0


def test_number_under_an_unknown_vr_is_read(image: Dataset, tmp_path: Path) -> None:
    path = changed(save(image, tmp_path / "x"), b"(\x00\x10\x00US\x02\x00", b"(\x00\x10\x00UN\x00\x00\x02\x00\x00\x00")
    assert read_header(path).rows == 8


@pytest.mark.parametrize(
    ("character_set", "raw", "expected"),
    [
        (b"ISO_IR 192", "Rücken".encode(), "Rücken"),
        (b"ISO_IR 100", "Rücken".encode("latin-1"), "Rücken"),
        (b"GB18030", "胸部".encode("gb18030"), "胸部"),
        (b"\\ISO 2022 IR 87", b"\x1b$B6;It\x1b(B", "胸部"),
        (b"NO SUCH SET", "Rücken".encode("latin-1"), "Rücken"),
        (b"ISO_IR 192", b"R\xfccken", "Rücken"),
    ],
)
@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_character_sets(image: Dataset, tmp_path: Path, character_set: bytes, raw: bytes, expected: str) -> None:
    image.SpecificCharacterSet, image.SeriesDescription = "ISO_IR 100", "Y" * 12
    path = changed(save(image, tmp_path / "x"), b"CS\x0a\x00ISO_IR 100", b"CS\x10\x00" + character_set.ljust(16))
    assert read_header(changed(path, b"Y" * 12, raw.ljust(12))).series_description == expected


@pytest.mark.parametrize("sop_class", [ENHANCED_CT, LEGACY_CT])
def test_multi_frame(tmp_path: Path, sop_class: str) -> None:
    header = read_header(save(enhanced(Scan(pattern(), sop_class=sop_class)), tmp_path / "x"))
    assert header.sop_class_uid == sop_class
    assert header.number_of_frames == len(header.planes) == 12
    assert header.planes[2].image_position_patient_mm == (-20.0, -30.0, -96.0)
    assert header.planes[2].pixel_spacing_mm == (1.0, 1.25)
    assert (header.kvp, header.convolution_kernel, header.slice_thickness_mm) == (120.0, "B30f", 2.0)


def test_contrast_agent_in_a_sequence(image: Dataset, tmp_path: Path) -> None:
    agent = Dataset()
    agent.CodeValue, agent.CodingSchemeDesignator, agent.CodeMeaning = "C-B0322", "SRT", "Iohexol"
    image.ContrastBolusAgentSequence = [agent]
    assert read_header(save(image, tmp_path / "x")).contrast_bolus_agent == "Iohexol"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"hello world" * 50, b"\0" * 200, b"\0" * 128 + b"DICM"])
def test_what_is_not_dicom(content: bytes) -> None:
    with pytest.raises(ObjectUnreadable):
        read_header(content)


def test_damaged_deflate(image: Dataset) -> None:
    with pytest.raises(ObjectUnreadable, match="deflated"):
        read_header(b"\xff\xfe\xfd" * 100, transfer_syntax_uid="1.2.840.10008.1.2.1.99")


def test_every_truncation_is_read_or_refused(image: Dataset, tmp_path: Path) -> None:
    whole = save(image, tmp_path / "x").read_bytes()
    outcomes = set()
    for length in range(0, len(whole), 7):
        try:
            outcomes.add(type(read_header(whole[:length])).__name__)
        except ObjectUnreadable:
            outcomes.add("refused")
    assert outcomes == {"InstanceHeader", "refused"}


def test_patient_is_known_by_a_digest_of_identifier_and_birth(image: Dataset) -> None:
    image.PatientID, image.PatientBirthDate = "4711", "19500102"
    first = read_header(encoded(image), transfer_syntax_uid=ExplicitVRLittleEndian).patient_key
    image.PatientBirthDate = "19510102"
    other = read_header(encoded(image), transfer_syntax_uid=ExplicitVRLittleEndian).patient_key
    assert first is not None
    assert first != other
    assert "4711" not in first


@pytest.mark.parametrize("missing", ["PatientID", "PatientBirthDate"])
def test_patient_without_identifier_or_birth_is_nobody(image: Dataset, missing: str) -> None:
    image.PatientID, image.PatientBirthDate = "4711", "19500102"
    delattr(image, missing)
    assert read_header(encoded(image), transfer_syntax_uid=ExplicitVRLittleEndian).patient_key is None


def test_escape_sequences_do_not_stay_in_the_text(image: Dataset, tmp_path: Path) -> None:
    image.SpecificCharacterSet, image.SeriesDescription = ["", "ISO 2022 IR 58"], "placeholder"
    path = save(image, tmp_path / "x", ExplicitVRLittleEndian)
    described = b"\x1b$)A" + "腹部".encode("gb2312")
    header = read_header(changed(path, b"placeholder ", described.ljust(12)))
    assert header.series_description == "腹部"
