"""What a process of the node may do, and what it does without."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Literal

Role = Literal["receive", "work", "deliver", "admin"]
ROLES: tuple[Role, ...] = ("receive", "work", "deliver", "admin")
"""What a process may do: receive objects; decide about them and measure; deliver; watch, tidy up and answer HTTP."""

_UNUSED = ("gdcm", "PIL", "openjpeg", "libjpeg", "rle", "jpeg_ls", "requests", "pygments", "attr")
"""Decoders of pixels, what fetches test files, what colours source code: loaded because they are installed."""
_VENDORS = "pydicom._private_dict"
"""Names of manufacturers' private elements: 2.4 MB. Nothing that is received is called by name."""
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3
"""Parameters of mallopt(3)."""


def forgo(roles: Sequence[Role]) -> None:
    """Save what memory a process that only receives has no use for.

    To be called before anything else is imported: importing those libraries fails afterwards, as if they were absent.
    What an object took is given back to the system, not kept for each thread that once received one.
    """
    if set(roles) != {"receive"}:
        return
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    sys.modules.setdefault(_VENDORS, _nothing_private())
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:  # glibc
        set_option(_ARENA_MAX, 2)
        set_option(_MMAP_THRESHOLD, 256 * 1024)


def _nothing_private() -> ModuleType:
    empty = ModuleType(_VENDORS)
    vars(empty)["private_dictionaries"] = {}
    return empty
