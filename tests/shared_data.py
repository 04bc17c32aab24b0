"""The development CT beside the checkout (``../shared/data``): unpacked once into a cache, never copied in here."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("VBMD_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def archive(name: str) -> Path:
    """Return the zip of a case; skip the test, saying which file is missing, when it is absent."""
    for folder in ("sim", "real"):
        path = ROOT / folder / f"{name}.zip"
        if path.is_file():
            return path
    pytest.skip(f"development CT {name}.zip is absent: put it under {ROOT} or set VBMD_SHARED_DATA")


def unpacked(name: str) -> Path:
    """Return a folder with the unpacked case."""
    source = archive(name)
    cache = Path(tempfile.gettempdir()) / f"vbmd-node-shared-data-{os.getuid()}"
    cache.mkdir(exist_ok=True)
    folder = cache / f"{name}-{source.stat().st_size}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial = folder.with_suffix(".part")
            with zipfile.ZipFile(source) as bundle:
                bundle.extractall(partial)
            partial.rename(folder)
    return folder


def truth(name: str) -> dict[str, Any]:
    """Return the truth of a simulated case."""
    path = archive(name).with_name(f"{name}.truth.json")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
