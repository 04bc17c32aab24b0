"""A sheet to write and draw on, in the letters of one language."""

from __future__ import annotations

from PIL import Image, ImageDraw

from node.report.canvas import FINER, PAPER
from node.report.charts import FAINT, INK
from node.report.typeset import Colour, Language, Type


class Sheet:
    """Positions are in pixels as seen; everything is drawn ``FINER`` times larger."""

    def __init__(self, size: tuple[int, int], margin: int, language: Language, font_file: str | None) -> None:
        self._size, self._margin = size, margin
        self._chinese, self._font_file = language == "zh", font_file
        self.sheet = Image.new("RGB", (size[0] * FINER, size[1] * FINER), PAPER)
        self.draw = ImageDraw.Draw(self.sheet)

    def type(self, size: float, colour: Colour = INK, bold: bool = False) -> Type:
        """A type of the page's language."""
        return Type(size, colour, bold, self._chinese, self._font_file, FINER)

    def write(self, x: float, y: float, text: str, kind: Type, anchor: str = "lt", width: float | None = None) -> None:
        """One line at a place as seen, cut to a width."""
        shown = text if width is None else kind.fitted(text, width * FINER)
        kind.draw(self.draw, (x * FINER, y * FINER), shown, anchor)

    def paragraph(self, x: float, y: float, text: str, kind: Type, width: float, most: int = 9) -> float:
        """Wrapped lines, the last one cut where there are more; returns where the next one would stand."""
        lines = kind.wrapped(text, width * FINER)
        if len(lines) > most:
            lines = [*lines[: most - 1], kind.fitted(" ".join(lines[most - 1 :]), width * FINER)]
        for line in lines:
            self.write(x, y, line, kind)
            y += kind.line_height / FINER
        return y

    def rule(self, y: float) -> None:
        """A faint line across the sheet."""
        left, right = self._margin, self._size[0] - self._margin
        self.draw.line([(left * FINER, y * FINER), (right * FINER, y * FINER)], fill=FAINT, width=FINER)
