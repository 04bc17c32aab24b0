"""Text on pictures: fonts by the characters they have, raised and lowered digits, and lines that fit.

Latin text is set in the font that comes with Pillow (Aileron, CC0), so that pictures look alike on every machine. What
it lacks is looked for in the fonts of the system: DejaVu Sans, then Noto Sans CJK (Debian: fonts-dejavu-core,
fonts-noto-cjk). A character that no font has loses its accent, or becomes a question mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Language = Literal["en", "zh"]

SYSTEM_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
)
CJK_FONT = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
SIMPLIFIED = 2
"""Face of the simplified Chinese forms in Noto's collections."""
_RAISED = {"²": "2", "³": "3"}
_LOWERED = {"₂": "2", "₄": "4", "₃": "3"}
_SMALL = 0.66
_SCRIPTS = {
    "Latin": "ÄéñçøŁř",
    "Cyrillic": "ЖйщІ",
    "Greek": "Ωλή",
    "Chinese": "骨龍",
    "Japanese": "かナ",
    "Korean": "한글",
}
"""A few letters of each; a font that has them has the script."""


def font_problem(language: Language, file: str | None = None) -> str | None:
    """Why a language cannot be written on this machine, in a sentence; ``None`` when it can."""
    if file is not None and not Path(file).is_file():
        return f"there is no font file {file}"
    if language == "zh" and not _has(file or CJK_FONT, "骨"):
        return "no font with Chinese characters was found: install fonts-noto-cjk, or name a font file"
    return None


def scripts_without_font(file: str | None = None) -> tuple[str, ...]:
    """Scripts of patients' names that no font of this machine has."""
    type_ = Type(12.0, file=file)
    return tuple(name for name, sample in _SCRIPTS.items() if not type_.has(sample))


@dataclass(frozen=True, slots=True)
class Type:
    """How a text is set. Sizes are in pixels of the finished picture, drawn ``finer`` times larger."""

    size: float
    colour: Colour = (235, 235, 235)
    bold: bool = False
    cjk_first: bool = False
    """Latin letters in the font of the Chinese ones, too."""
    file: str | None = None
    """A font of the site's own, before all others."""
    finer: int = 2

    @property
    def line_height(self) -> float:
        """From one line to the next, in drawn pixels."""
        return self.size * 1.42 * self.finer

    def has(self, text: str) -> bool:
        """Whether every character of a text can be drawn as it is."""
        return all(any(_has(file, one) for file in self._candidates()) for one in text)

    def length(self, text: str) -> float:
        """In drawn pixels."""
        return sum(font.getlength(part) for part, font, _ in self._runs(text))

    def draw(
        self, draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, anchor: str = "ls", rim: int = 0
    ) -> None:
        """One line at drawn pixels; ``anchor``: l, m or r, and s (baseline), m (middle of capitals) or t (top)."""
        x, y = xy
        if anchor[0] != "l":
            x -= self.length(text) * (0.5 if anchor[0] == "m" else 1.0)
        y += {"s": 0.0, "m": 0.355, "t": 0.75, "b": -0.2}[anchor[1]] * self.size * self.finer
        stroke = rim or (max(round(self.size * self.finer / 48), 1) if self.bold else 0)
        edge = (0, 0, 0) if rim else self.colour
        for part, font, shift in self._runs(text):
            place = (x, y - shift * self.size * self.finer)
            draw.text(place, part, fill=self.colour, font=font, anchor="ls", stroke_width=stroke, stroke_fill=edge)
            x += font.getlength(part)

    def wrapped(self, text: str, width: float) -> list[str]:
        """Lines no longer than ``width`` drawn pixels; Chinese may break anywhere but before a closing mark."""
        lines, line = [], ""
        for piece in _pieces(text):
            longer = line + piece
            if line and self.length(longer.rstrip()) > width:
                lines.append(line.rstrip())
                longer = piece.lstrip()
            line = longer
        return [*lines, line.rstrip()] if line.strip() else lines

    def fitted(self, text: str, width: float) -> str:
        """The text, cut with an ellipsis where it is longer than ``width`` drawn pixels."""
        if self.length(text) <= width:
            return text
        while text and self.length(text + "…") > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def _runs(self, text: str) -> Iterator[tuple[str, Font, float]]:
        """(text, font, rise as a part of the size)."""
        run, current = "", ""
        for word in _words(text):
            if word in _RAISED or word in _LOWERED:
                if run:
                    yield run, self._font(current, 1.0), 0.0
                    run = ""
                small = (_RAISED | _LOWERED)[word]
                yield small, self._font(self._file(small), _SMALL), 0.32 if word in _RAISED else -0.14
                continue
            file, shown = self._choose(word)
            if run and file != current:
                yield run, self._font(current, 1.0), 0.0
                run = ""
            run, current = run + shown, file
        if run:
            yield run, self._font(current, 1.0), 0.0

    def _candidates(self) -> tuple[str, ...]:
        own = (self.file,) if self.file else ()
        return (*own, CJK_FONT, "", *SYSTEM_FONTS) if self.cjk_first else (*own, "", *SYSTEM_FONTS)

    def _file(self, word: str) -> str:
        return self._choose(word)[0]

    def _choose(self, word: str) -> tuple[str, str]:
        """The first font that has every character of a word, and the word as it can be shown."""
        for file in self._candidates():
            if all(_has(file, one) for one in word):
                return file, word
        plain = "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one))
        plain = "".join(one if _has("", one) else "?" for one in plain)
        return next(file for file in self._candidates() if _has(file, "A")), plain

    def _font(self, file: str, part: float) -> Font:
        return _font(file, round(self.size * self.finer * part))


def _words(text: str) -> Iterator[str]:
    """Runs that should be set in one font; raised and lowered digits apart, each wide character apart."""
    word = ""
    for one in text:
        if one in _RAISED or one in _LOWERED or one == " " or _wide(one):
            if word:
                yield word
            word = ""
            yield one
        else:
            word += one
    if word:
        yield word


def _pieces(text: str) -> Sequence[str]:
    """What may stand at the end of a line: words with their space, and each wide character."""
    pieces: list[str] = []
    for one in text:
        stays = one in " ,.;:!?)]}，。；：！？）】、%"
        apart = not pieces or _wide(one) or _wide(pieces[-1][-1]) or pieces[-1].endswith(" ")
        if pieces and (stays or not apart):
            pieces[-1] += one
        else:
            pieces.append(one)
    return pieces


def _wide(one: str) -> bool:
    return unicodedata.east_asian_width(one) in "WF"


@lru_cache(maxsize=256)
def _font(file: str, size: int) -> Font:
    size = max(size, 1)
    if not file:
        return ImageFont.load_default(size)
    return ImageFont.truetype(file, size, index=SIMPLIFIED if file.endswith(".ttc") else 0)


@lru_cache(maxsize=8192)
def _has(file: str, one: str) -> bool:
    """Whether a font has a character: it does not look like one that no font has."""
    try:
        font = _font(file, 20)
    except OSError:
        return False
    if one.isspace():
        return one == " "
    return bytes(font.getmask(one)) != bytes(font.getmask("\uffff"))
