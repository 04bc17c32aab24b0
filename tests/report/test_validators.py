"""What independent readers say of every kind of output: no error, and only the noise listed here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from node.domain.settings import ReportSettings
from node.report import write
from tests.peers import peer, peer_file
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.conftest import Written
from tests.report.test_write import sr_of, written_case

pytestmark = pytest.mark.peer

DCIODVFY_NOISE = (
    # It knows no private coding schemes; ours is described in Coding Scheme Identification Sequence.
    r"Warning - Unrecognized defined term <99VBMD> for value 1 of attribute <Coding Scheme Designator>",
    # PS3.3 C.8.2.1.1.1 leaves value 3 of a derived image open; AXIAL would be silent but wrong.
    r"Warning - Unrecognized defined term <REFORMATTED> for value 3 of attribute <Image Type>",
    # The name of the object it recognised.
    r"ComprehensiveSR|Comprehensive3DSR|CTImage|Segmentation|SCImage|EncapsulatedPDF",
)
DSRDUMP_NOISE = (
    # DCMTK 3.6.7 has no rules for the representation of UTF-8.
    r"W: The VR checker does not support this Specific Character Set: ISO_IR 192",
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


def said(*command: str | Path) -> tuple[int, list[str]]:
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=300, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()


def beyond(noise: tuple[str, ...], lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip() and not any(re.fullmatch(known, line.strip()) for known in noise)]


@pytest.mark.parametrize("name", CASES)
def test_dciodvfy_is_content(name: str, head_first: Written, out_dir: Path) -> None:
    for one in written_case(name, head_first, out_dir):
        assert beyond(DCIODVFY_NOISE, said(peer("dciodvfy"), one.path)[1]) == []


@pytest.mark.parametrize("series", ["feet_first", "prone", "enhanced"])
def test_dciodvfy_is_content_with_every_source(series: str, request: pytest.FixtureRequest, out_dir: Path) -> None:
    for one in written_case("measured", request.getfixturevalue(series), out_dir):
        assert beyond(DCIODVFY_NOISE, said(peer("dciodvfy"), one.path)[1]) == []


@pytest.mark.parametrize("name", ["measured", "refused, never read"])
def test_dciodvfy_is_content_with_a_page_as_pdf(name: str, head_first: Written, out_dir: Path) -> None:
    findings, volume = CASES[name](head_first)
    asked = fixtures.job(head_first[0], out_dir, report=ReportSettings(outputs=("summary-pdf",)))
    (document,) = (one for one in write(findings, volume, asked) if one.kind == "summary-pdf")
    assert beyond(DCIODVFY_NOISE, said(peer("dciodvfy"), document.path)[1]) == []


@pytest.mark.parametrize("name", CASES)
def test_dsrdump_reads_the_report(name: str, head_first: Written, out_dir: Path) -> None:
    status, lines = said(peer("dsrdump"), "-Dv", sr_of(written_case(name, head_first, out_dir)))
    assert status == 0
    assert [line for line in beyond(DSRDUMP_NOISE, lines) if re.match("[EWF]: ", line)] == []


def test_dsr2html_names_every_number(head_first: Written, out_dir: Path) -> None:
    page = out_dir / "report.html"
    status, _ = said(peer("dsr2html"), "+U8", sr_of(written_case("measured", head_first, out_dir)), page)
    text = page.read_text(encoding="utf-8")
    assert status == 0
    assert re.search(r"Volumetric bone mineral density.*?112\.6", text, re.DOTALL)


def test_dcentvfy_finds_one_patient_and_one_study(tmp_path: Path, out_dir: Path) -> None:
    """It compares bytes, so the names here are the same in every character set."""
    plain = fixtures.Patient("ISO_IR 100", "Mueller^Grete", "CT Abdomen")
    stored, volume = fixtures.single_frames(tmp_path / "source", patient=plain)
    objects = write(fixtures.findings(volume, stored), volume, fixtures.job(stored, out_dir))
    _, lines = said(peer("dcentvfy"), *[i.path for i in stored[:2]], *[one.path for one in objects])
    assert [line for line in lines if line.startswith("Error")] == []


def pixelmed(path: Path) -> list[str]:
    jar = peer_file("/usr/share/java/pixelmed.jar", "libpixelmed-java")
    _, lines = said(peer("java"), *PIXELMED_FLAGS, "-cp", jar, "com.pixelmed.validate.DicomSRValidator", path)
    assert any("IOD validation complete" in line for line in lines), lines
    assert any("Root Template TID_1500" in line for line in lines), lines
    return lines


def test_pixelmed_is_content_with_a_measured_study(head_first: Written, out_dir: Path) -> None:
    path = sr_of(written_case("warned, HA phantom", head_first, out_dir))
    assert beyond(PIXELMED_NOISE, pixelmed(path)) == []


def test_pixelmed_is_content_with_the_heights(head_first: Written, out_dir: Path) -> None:
    (path,) = [one.path for one in written_case("measured", head_first, out_dir) if one.kind == "heights"]
    assert beyond(PIXELMED_NOISE, pixelmed(path)) == []


def test_dcmqi_reads_the_segmentation(head_first: Written, out_dir: Path) -> None:
    reader = Path(sys.executable).with_name("segimage2itkimage")
    if not reader.exists():
        pytest.fail("segimage2itkimage is not installed: pip install dcmqi")
    (path,) = [one.path for one in written_case("measured", head_first, out_dir) if one.kind == "segmentation"]
    status, lines = said(reader, "--inputDICOM", path, "--outputDirectory", out_dir, "--prefix", "s")
    assert status == 0, lines
    assert len(list(out_dir.glob("s-*.nrrd"))) == 5


def test_pixelmed_is_content_with_a_refused_study(head_first: Written, out_dir: Path) -> None:
    """Its title is a private code, which PixelMed does not take for TID 1500: judged under the standard title."""
    path = sr_of(written_case("refused, levels found", head_first, out_dir))
    dataset = pydicom.dcmread(path)
    title = dataset.ConceptNameCodeSequence[0]
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "126000", "DCM", "Imaging Measurement Report"
    dataset.save_as(path)
    assert beyond(PIXELMED_NOISE, pixelmed(path)) == []


@pytest.mark.parametrize("name", [name for name in CASES if "never read" not in name])
def test_highdicom_reads_every_group_back(name: str, head_first: Written, out_dir: Path) -> None:
    findings, _ = CASES[name](head_first)
    report = hd.sr.srread(sr_of(written_case(name, head_first, out_dir)))
    groups = report.content.get_volumetric_roi_measurement_groups()
    bodies = [v for v in findings.vertebrae if v.heights is not None and findings.refusal is not None]
    assert len(groups) == len(findings.vois) + len(bodies) + (findings.mean_vbmd_mg_cm3 is not None)


@pytest.mark.parametrize("name", [name for name in CASES if "never read" not in name])
def test_dcmqi_reads_every_number(name: str, head_first: Written, out_dir: Path) -> None:
    reader = Path(sys.executable).with_name("tid1500reader")
    if not reader.exists():
        pytest.fail("tid1500reader is not installed: pip install dcmqi")
    path = sr_of(written_case(name, head_first, out_dir))
    out = out_dir / "dcmqi.json"
    status, lines = said(reader, "--inputDICOM", path, "--outputMetadata", out)
    assert status == 0, lines
    read = json.loads(out.read_text(encoding="utf-8"))
    ours = sum(1 for group in groups_of(path) for item in group if item.ValueType == "NUM")
    assert sum(len(group["measurementItems"]) for group in read["Measurements"]) == ours


def groups_of(path: Path) -> list[pydicom.Sequence]:
    dataset = pydicom.dcmread(path)
    (measurements,) = [
        item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    ]
    return [group.ContentSequence for group in measurements.ContentSequence]


def test_chinese_names_are_valid(tmp_path: Path, out_dir: Path) -> None:
    patient = fixtures.Patient("GB18030", "Wang^XiaoDong=王^小东", "腹部平扫")
    stored, volume = fixtures.single_frames(tmp_path / "source", patient=patient)
    for one in write(fixtures.findings(volume, stored), volume, fixtures.job(stored, out_dir)):
        assert beyond(DCIODVFY_NOISE, said(peer("dciodvfy"), one.path)[1]) == []
