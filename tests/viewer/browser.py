"""OHIF in a headless Chromium: what a reader would click, and what he would then see."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LIMIT_MS = 90_000
"""How long anything may take to appear on a busy machine without a graphics card."""
_NOTICED_S = 15.0
"""After this a click was not noticed."""

_FLAGS = (
    "--no-sandbox",
    "--no-proxy-server",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
)
_THUMBNAILS = '[data-cy="study-browser-thumbnail"], [data-cy="study-browser-thumbnail-no-image"]'
_NO_TOUR = "window.localStorage?.setItem('shownTours', '[\"basicViewerTour\"]')"  # a PDF has no storage
_VIEWPORT = "cornerstone.getRenderingEngines()[0].getViewports()[0]"
_LABELS = """() => [...document.querySelectorAll('svg.svg-layer g[data-annotation-uid]')].map(g => ({
  tracking_uid: g.dataset.annotationUid,
  lines: [...g.querySelectorAll('tspan')].map(line => line.textContent.trim()),
}))"""
_POINTS = """uid => cornerstoneTools.annotation.state.getAnnotation(uid).data.renderableData.POLYLINE[0]
  .map(point => [...point])"""
_SERIES = """[...services.viewportGridService.getState().viewports.values()].flatMap(one => one.displaySetInstanceUIDs)
  .map(uid => services.displaySetService.getDisplaySetByUID(uid)?.SeriesDescription)"""
_PAINTED = "services.segmentationService.getSegmentationRepresentations('default').length > 0"
_SEGMENTS = """services.segmentationService.getSegmentations()
  .flatMap(one => Object.values(one.segments).map(segment => segment.label))"""


@dataclass(frozen=True)
class Label:
    """A text that the viewer writes beside an outline."""

    tracking_uid: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """What one press of the arrows of a report leads to."""

    label: Label
    sop_instance_uid: str
    outline_lps_mm: NDArray[np.float64]
    """(n, 3)"""


class Viewer:
    """One page with one study."""

    def __init__(self, page: Page, shots: Path) -> None:
        self.page = page
        self._shots = shots
        self.errors: list[str] = []
        page.set_default_timeout(LIMIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, address: str, study_instance_uid: str, series: int) -> None:
        """Open a study and wait until all its series are listed and its first image is drawn."""
        self.page.goto(f"{address}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self.page.wait_for_function(f"document.querySelectorAll(`{_THUMBNAILS}`).length >= {series}")
        self.page.wait_for_function(f"window.cornerstone && {_VIEWPORT}?.getCurrentImageId?.()")

    def show(self, description: str) -> None:
        """Double-click the series of that description, again where the viewer was too busy to notice."""
        exactly = re.compile(rf"^\s*{re.escape(description)}\s*$", re.MULTILINE)
        thumbnail = self.page.locator(_THUMBNAILS).filter(has=self.page.get_by_text(exactly)).first
        thumbnail.dblclick()
        clicked = time.monotonic()

        def shown() -> bool:
            nonlocal clicked
            if time.monotonic() - clicked > _NOTICED_S:
                thumbnail.dblclick()
                clicked = time.monotonic()
            return description in self._in_viewport()

        self.wait_until(shown)

    def _in_viewport(self) -> list[str]:
        """Descriptions of the series in the viewport; of segments and reports the series they lie on follow later."""
        return [str(one) for one in self.page.evaluate(_SERIES)]

    def labels(self) -> list[Label]:
        """All labels that are drawn now."""
        found = self.page.evaluate(_LABELS)
        return [Label(one["tracking_uid"], tuple(one["lines"])) for one in found]

    def wait_for_label(self, text: str) -> None:
        """Wait until a label with this text is drawn."""
        self.page.locator("svg.svg-layer tspan").filter(has_text=text).first.wait_for(state="attached")

    def wait_for_text(self, text: str) -> None:
        """Wait until the page says this."""
        self.page.get_by_text(text).first.wait_for()

    def wait_for_image(self, series_instance_uid: str) -> None:
        """Wait until an image of this series is drawn."""
        self.page.wait_for_function(
            "uid => cornerstone.getRenderingEngines()[0]?.getViewports()[0]?.getCurrentImageId?.()?.includes(uid)",
            arg=f"/series/{series_instance_uid}/",
        )

    def image(self) -> str:
        """SOP Instance UID of the image in the viewport."""
        return str(self.page.evaluate(f"{_VIEWPORT}.getCurrentImageId()")).split("/instances/")[1].split("/")[0]

    def measurements(self, count: int) -> list[Shown]:
        """Step through the report in the viewport with its arrows until so many measurements were drawn."""
        found: dict[str, Shown] = {}
        while True:
            self.wait_until(lambda: any(label.tracking_uid not in found for label in self.labels()))
            for label in self.labels():
                points = np.array(self.page.evaluate(_POINTS, label.tracking_uid), dtype=np.float64)
                found.setdefault(label.tracking_uid, Shown(label, self.image(), points))
            if len(found) >= count:
                return list(found.values())
            self.page.locator('[data-cy="viewport-action-arrows-right"]').click()

    def load_segments(self, description: str) -> None:
        """Show a segmentation, say yes to loading it, and wait until it lies on its images."""
        self.show(description)
        yes = self.page.get_by_role("button", name="Yes")
        yes.click()
        yes.wait_for(state="detached")
        self.wait_until(lambda: description not in self._in_viewport())
        self.page.wait_for_function(_PAINTED)

    def segments(self) -> list[str]:
        """Labels of the segments that are loaded, in their order."""
        return [str(label) for label in self.page.evaluate(_SEGMENTS)]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Look again and again until something holds."""
        deadline = time.monotonic() + LIMIT_MS / 1000
        while not holds():
            assert time.monotonic() < deadline, self.shot("timeout")
            self.page.wait_for_timeout(200)

    def shot(self, name: str) -> Path:
        """Keep a picture of the whole page."""
        path = self._shots / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def picture(self) -> NDArray[np.uint8]:
        """(rows, columns, 3) of the viewport as it is on the screen."""
        path = self._shots / "viewport.png"
        self.page.locator('[data-cy="viewport-pane"]').first.screenshot(path=path)
        pixels = np.asarray(Image.open(path).convert("RGB"))
        path.unlink()
        return pixels


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """Run a headless browser."""
    from playwright.sync_api import sync_playwright  # only here: elsewhere the tests are skipped without it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def viewer(browser: Browser, shots: Path) -> Iterator[Viewer]:
    """Open an empty page that knows nothing of earlier ones."""
    context = browser.new_context(viewport={"width": 1500, "height": 950})
    context.add_init_script(_NO_TOUR)
    try:
        yield Viewer(context.new_page(), shots)
    finally:
        context.close()
