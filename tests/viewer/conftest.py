"""One study, measured by the node as it is shipped, in an archive, and a browser that opens it there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest

from node import offline
from node.demo.pacs import AE_TITLE, Orthanc
from node.domain.instance import StoredInstance
from node.domain.job import OutgoingObject
from node.domain.settings import ReportSettings
from node.domain.volume import Volume
from node.report import write
from node.synthetic import dicom, torso
from node.synthetic.phantoms import MINDWAYS_5
from node.synthetic.spec import Fracture, TorsoSpec
from tests import running
from tests.peers import absent, peer, peer_file
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.fixtures import Written
from tests.viewer import browser, get_ohif, site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SPEC = TorsoSpec(
    seed=14,
    sex="F",
    age_years=72,
    phantom=MINDWAYS_5,
    fractures={"T12": Fracture("wedge", 0.32)},
    top=("T10", 14.0),
    bottom=("L4", -8.0),
    matrix=256,
    spacing_mm=2.0,
    thickness_mm=2.0,
)
RULE = """
[[rules]]
name = "trunk"
when = { attribute = "modality", equals = "CT" }
destinations = ["pacs"]
outputs = ["bone-density", "segmentation", "sagittal", "heights", "curved", "key-images", "summary", "summary-pdf"]
"""
SERIES = 10
"""The source and nine of ours."""
SHOTS = Path(__file__).resolve().parents[2] / "build" / "viewer"
"""Where screenshots are kept."""
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@dataclass(frozen=True)
class Study:
    """One study: the images it was measured on, what was written, and the result as JSON."""

    uid: str
    source: Path
    objects: tuple[OutgoingObject, ...]
    result: dict[str, Any]

    def path(self, kind: str) -> Path:
        """The first object of a kind."""
        return next(one.path for one in self.objects if one.kind == kind)

    def series(self, kind: str) -> str:
        """Series Instance UID of a kind."""
        return next(one.series_instance_uid for one in self.objects if one.kind == kind)

    def description(self, kind: str) -> str:
        """Series Description of a kind."""
        return str(pydicom.dcmread(self.path(kind), stop_before_pixels=True).SeriesDescription)


@pytest.fixture(scope="session")
def ohif() -> Path:
    """The unpacked viewer."""
    folder = get_ohif.folder()
    if not (folder / "index.html").exists():
        absent(f"OHIF {get_ohif.VERSION} is not here: python -m tests.viewer.get_ohif")
    pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[viewer]'")
    return folder


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory, ohif: Path) -> Study:
    """A woman with a broken T12, measured."""
    folder = tmp_path_factory.mktemp("viewer-study")
    dicom.write(torso.make(SPEC), folder / "source")
    config = running.configuration(folder / "node", 104, RULE)
    (found,) = offline.measure([folder / "source"], config, folder / "out")
    assert isinstance(found, offline.Measured)
    outcome = found.outcome
    entry = json.loads(outcome.result_json.read_text(encoding="utf-8"))
    return Study(found.series.study_instance_uid, folder / "source", outcome.objects, entry)


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory, ohif: Path) -> Study:
    """A study without a phantom, and the report that says so."""
    folder = tmp_path_factory.mktemp("viewer-refused")
    series = fixtures.single_frames(folder / "source")
    findings, volume = CASES["refused, levels found"](series)
    objects = write(findings, volume, fixtures.job(series[0], folder / "out"))
    return Study(fixtures.STUDY, folder / "source", objects, {})


@pytest.fixture(scope="session")
def of_3d(tmp_path_factory: pytest.TempPathFactory, ohif: Path) -> Study:
    """A small study whose reports are of the class Comprehensive 3D SR."""
    folder = tmp_path_factory.mktemp("viewer-3d")
    stored, volume = _renamed(*fixtures.single_frames(folder / "source"))
    settings = ReportSettings(
        outputs=("bone-density", "segmentation", "sagittal", "heights"), sr_class="comprehensive-3d"
    )
    objects = write(fixtures.findings(volume, stored), volume, fixtures.job(stored, folder / "out", report=settings))
    return Study(stored[0].header.study_instance_uid, folder / "source", objects, {})


def _renamed(stored: tuple[StoredInstance, ...], volume: Volume) -> Written:
    """Another study with the same pixels: the archive must not take it for the first."""
    names = {uid: fixtures.uid(f"{uid} of the 3D class") for uid in (fixtures.STUDY, fixtures.SERIES)}
    names |= {one.header.sop_instance_uid: fixtures.uid(f"3D {one.path.name}") for one in stored}
    renamed = []
    for one in stored:
        image = pydicom.dcmread(one.path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            image[keyword].value = names[image[keyword].value]
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.save_as(one.path)
        header = replace(
            one.header,
            study_instance_uid=image.StudyInstanceUID,
            series_instance_uid=image.SeriesInstanceUID,
            sop_instance_uid=image.SOPInstanceUID,
        )
        renamed.append(replace(one, header=header))
    sources = tuple(replace(one, sop_instance_uid=names[one.sop_instance_uid]) for one in volume.sources)
    return tuple(renamed), replace(volume, sources=sources)


@pytest.fixture(scope="session")
def address(
    tmp_path_factory: pytest.TempPathFactory, ohif: Path, measured: Study, refused: Study, of_3d: Study
) -> Iterator[str]:
    """OHIF in front of an archive that holds all studies."""
    plugin = peer_file(PLUGIN, "orthanc-dicomweb")
    archive = Orthanc(peer("Orthanc"), tmp_path_factory.mktemp("archive"), plugins=(str(plugin),))
    try:
        for study in (measured, refused, of_3d):
            _send(study, archive.port)
        with site.serving(ohif, archive.http_port) as url:
            yield url
    finally:
        archive.close()


def _send(study: Study, port: int) -> None:
    """With DCMTK's storescu, which reads every file on its own terms."""
    files = [str(path) for path in sorted(study.source.rglob("*.dcm"))] + [str(one.path) for one in study.objects]
    command = [peer("storescu"), "-R", "-aec", AE_TITLE, "127.0.0.1", str(port), *files]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def chromium(ohif: Path) -> Iterator[Browser]:
    """A headless browser; while it runs, this thread has an event loop that no other module's tests may meet."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browser.chromium(peer("chromium")) as running_browser:
        yield running_browser


@pytest.fixture
def viewer(chromium: Browser) -> Iterator[browser.Viewer]:
    """An empty page."""
    with browser.viewer(chromium, SHOTS) as page:
        yield page


@pytest.fixture(scope="module")
def opened(chromium: Browser, address: str, measured: Study) -> Iterator[browser.Viewer]:
    """The measured study in a page that all tests share."""
    with browser.viewer(chromium, SHOTS) as page:
        page.open(address, measured.uid, SERIES)
        yield page
