"""Where the shipped data folders are: ``config`` and ``sr_templates``."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """Return the folder ``config`` or ``sr_templates``: the wheel's copy, else the checkout's.

    Raises ``FileNotFoundError`` when neither is there (a broken installation).
    """
    for candidate in (_HERE / "_shipped" / folder, _HERE.parent / folder):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"shipped folder {folder!r} is missing from {_HERE}: reinstall vbmd-node")
