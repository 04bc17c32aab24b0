"""What independent readers say of every kind of output: no error, and only the noise listed here.

Every kind of study (measured, warned, substituted, refused, ambiguous, with a Chinese name), every kind of object,
both classes of structured report.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from node.domain.job import Kind
from tests.peers import absent, peer, peer_file
from tests.report import independent
from tests.report.conftest import Written
from tests.report.studies import CHINESE, REPORTS, WITHOUT_GROUPS, SrClass, Study
from tests.report.test_write import sr_of, written_case

pytestmark = pytest.mark.peer
StudyOf = Callable[[str, SrClass], Study]

DCIODVFY_NOISE = (
    # It knows no private coding schemes; ours is described in Coding Scheme Identification Sequence.
    r"Warning - Unrecognized defined term <99VBMD> for value 1 of attribute <Coding Scheme Designator>",
    # PS3.3 C.8.2.1.1.1 leaves value 3 of a derived image open; AXIAL would be silent but wrong.
    r"Warning - Unrecognized defined term <REFORMATTED> for value 3 of attribute <Image Type>",
    # The name of the object it recognised.
    r"ComprehensiveSR|Comprehensive3DSR|CTImage|Segmentation|SCImage|EncapsulatedPDF",
)
DCENTVFY_NOISE = (
    # An SR holds Accession Number also in Referenced Request Sequence or not at all; it compares across levels.
    r"Warning - Different information entities for attribute - Element=<AccessionNumber> IE <Series> versus <Study>.*",
    # It compares bytes: a name in the source's character set differs for it from the same name in UTF-8. Among our own
    # objects, which lie in "out", nothing may differ.
    r"Error - String attribute has different value - Element=<(PatientName|ReferringPhysicianName|StudyDescription)> "
    r"IE=<(Patient|Study)> for file <[^>]*/(head-first\d*|source)/\d+\.dcm> versus <[^>]*/out/.*",
)
DSRDUMP_NOISE = (
    # DCMTK 3.6.7 has no rules for the representation of UTF-8.
    r"W: The VR checker does not support this Specific Character Set: ISO_IR 192",
)
DCMQI_NOISE = (
    # TID 1411 puts the method at each number as well as at the group; the reader keeps that of the group only.
    r".*Measurement Method modifier is interpreted only at the MeasurementGroup level.*",
)
PIXELMED_NOISE = (
    # TID 1411 lists no algorithm identification, coded answers or comment in a group, and is extensible.
    r'Warning: .*CONTAINER \(125007,DCM,"Measurement Group"\)/'
    r"(TEXT \((111001|111002|111003|112039|121106),DCM|(CODE|TEXT) \(\d+,99VBMD).*: Content Item not in template",
    # TID 300 is extensible: the outline that a number was taken from.
    r'Warning: .*/NUM \(\w+,(99VBMD|DCM|SCT).*/SCOORD \(111030,DCM,"Image Region"\)(/IMAGE \(260753009,SCT,"Source"\))?'
    r": Content Item not in template",
    # The explanation of a refusal is an addition to TID 1500, which is extensible.
    r'Warning: .*/TEXT \(2003,99VBMD,"Explanation"\): Content Item not in template',
    r"Found .*|Root Template Validation Complete|IOD validation complete",
)
PIXELMED_FLAGS = (
    # Without these the Java library refuses its own style sheets (JAXP0801003).
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Xss16m",
    # Twice as fast for one file.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
PIXELMED_STUDIES: tuple[tuple[str, SrClass, Kind], ...] = (
    ("measured", "comprehensive-3d", "sr"),
    ("measured", "comprehensive-3d", "heights"),
    (CHINESE, "comprehensive", "sr"),
    (CHINESE, "comprehensive", "heights"),
    ("warned, HA phantom", "comprehensive", "sr"),
    ("T12 stands in", "comprehensive", "sr"),
    ("refused, levels found", "comprehensive", "sr"),
    ("refused, levels ambiguous", "comprehensive-3d", "sr"),
)
"""It takes seconds for each report, in one Java process or in many: so each kind of study and each report once, in one
class or the other. That both classes hold the same is a test of its own (``test_write``)."""


def said(*command: str | Path) -> tuple[int, list[str]]:
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=580, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()


def beyond(noise: tuple[str, ...], lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip() and not any(re.fullmatch(known, line.strip()) for known in noise)]


def dcmqi(program: str) -> Path:
    path = Path(sys.executable).with_name(program)
    if not path.exists():
        absent(f"{program} is not installed: pip install dcmqi")
    return path


def test_dciodvfy_is_content(study: Study) -> None:
    for one in study.objects:
        assert beyond(DCIODVFY_NOISE, said(peer("dciodvfy"), one.path)[1]) == []


@pytest.mark.parametrize("series", ["feet_first", "prone", "enhanced"])
def test_dciodvfy_is_content_with_every_source(series: str, request: pytest.FixtureRequest, out_dir: Path) -> None:
    for one in written_case("measured", request.getfixturevalue(series), out_dir):
        assert beyond(DCIODVFY_NOISE, said(peer("dciodvfy"), one.path)[1]) == []


def test_dcentvfy_finds_one_patient_and_one_study(study: Study) -> None:
    sources = [instance.path for instance in study.stored[:2]]
    _, lines = said(peer("dcentvfy"), *sources, *[one.path for one in study.objects])
    assert beyond(DCENTVFY_NOISE, lines) == []


def test_dsrdump_reads_the_reports(study: Study) -> None:
    for path in study.paths(*REPORTS):
        status, lines = said(peer("dsrdump"), "-Dv", path)
        assert status == 0
        assert [line for line in beyond(DSRDUMP_NOISE, lines) if re.match("[EWF]: ", line)] == []


def test_dsr2html_names_every_number(head_first: Written, out_dir: Path) -> None:
    page = out_dir / "report.html"
    status, _ = said(peer("dsr2html"), "+U8", sr_of(written_case("measured", head_first, out_dir)), page)
    text = page.read_text(encoding="utf-8")
    assert status == 0
    assert re.search(r"Volumetric bone mineral density.*?112\.6", text, re.DOTALL)


def under_the_standard_title(path: Path, copy: Path) -> Path:
    """The title of a refusal is a private code, which PixelMed does not take for TID 1500."""
    dataset = pydicom.dcmread(path)
    title = dataset.ConceptNameCodeSequence[0]
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "126000", "DCM", "Imaging Measurement Report"
    dataset.save_as(copy)
    return copy


@pytest.mark.parametrize(("name", "sr_class", "kind"), PIXELMED_STUDIES)
def test_pixelmed_is_content(name: str, sr_class: SrClass, kind: Kind, study_of: StudyOf, tmp_path: Path) -> None:
    jar = peer_file("/usr/share/java/pixelmed.jar", "libpixelmed-java")
    (path,) = study_of(name, sr_class).paths(kind)
    judged = under_the_standard_title(path, tmp_path / "judged.dcm")
    _, lines = said(peer("java"), *PIXELMED_FLAGS, "-cp", jar, "com.pixelmed.validate.DicomSRValidator", judged)
    assert any("IOD validation complete" in line for line in lines), lines
    assert any("Root Template TID_1500" in line for line in lines), lines
    assert beyond(PIXELMED_NOISE, lines) == []


def test_dcmqi_reads_every_number_and_where_it_belongs(study: Study, tmp_path: Path) -> None:
    if study.name == WITHOUT_GROUPS:
        assert independent.groups(study.paths("sr")[0]) == []
        return
    for path in study.paths(*REPORTS):
        out = tmp_path / f"{path.stem}.json"
        status, lines = said(dcmqi("tid1500reader"), "--inputDICOM", path, "--outputMetadata", out)
        assert status == 0, lines
        read = json.loads(out.read_text(encoding="utf-8"))
        theirs = {
            group["TrackingUniqueIdentifier"]: [
                (item["quantity"]["CodeValue"], float(item["value"])) for item in group["measurementItems"]
            ]
            for group in read["Measurements"]
        }
        ours = {
            group.tracking_uid: [(number.code[1], float(number.value)) for number in group.numbers]
            for group in independent.groups(path)
        }
        assert theirs == ours


def test_dcmqi_reads_the_segmentation(study: Study, tmp_path: Path) -> None:
    for path in study.paths("segmentation"):
        command = (dcmqi("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", tmp_path, "--prefix", "s")
        status, lines = said(*command)
        assert status == 0, lines
        assert len(list(tmp_path.glob("s-*.nrrd"))) == len(pydicom.dcmread(path).SegmentSequence)


def test_highdicom_reads_every_group_back(study: Study) -> None:
    for path in study.paths(*REPORTS):
        if study.name == WITHOUT_GROUPS:
            continue
        content = hd.sr.srread(path).content
        read = [*content.get_volumetric_roi_measurement_groups(), *content.get_planar_roi_measurement_groups()]
        ours = independent.groups(path)
        assert [str(group.tracking_uid) for group in read] == [group.tracking_uid for group in ours]
        assert [[measurement.value for measurement in group.get_measurements()] for group in read] == [
            [float(number.value) for number in group.numbers] for group in ours
        ]


def test_highdicom_reads_every_segment_back(study: Study) -> None:
    for path in study.paths("segmentation"):
        read = hd.seg.segread(path)
        tracked = {str(read.get_segment_description(number).tracking_uid): number for number in read.segment_numbers}
        named = [group.segment for group in independent.groups(study.paths("sr")[0])]
        assert named == [
            (str(read.SOPInstanceUID), tracked[group.tracking_uid])
            for group in independent.groups(study.paths("sr")[0])
        ]
