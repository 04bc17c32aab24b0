"""Real peer programs (Debian packages): found, or the test is skipped — or failed, where they are required (CI)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

_PACKAGE = {
    "Orthanc": "orthanc",
    "openssl": "openssl",
    "dciodvfy": "dicom3tools",
    "dcentvfy": "dicom3tools",
    "java": "default-jre-headless",
    "chromium": "chromium",
}


def peer(program: str) -> str:
    """Return the path of a peer program.

    Absent: skip, naming the package to install; with ``VBMD_REQUIRE_PEERS=1`` fail instead.
    """
    path = shutil.which(program, path=os.pathsep.join(_folders()))
    if path:
        return path
    absent(f"{program} is not installed: apt-get install {_PACKAGE.get(program, 'dcmtk')}")


def _folders() -> list[str]:
    """PATH without virtual environments: libraries put programs of the same names there."""
    folders = [one for one in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin"] if one]
    return [one for one in folders if not (Path(one).parent / "pyvenv.cfg").exists()]


def peer_file(path: str, package: str) -> Path:
    """Return a file of a Debian package (a jar, a font), or skip or fail as ``peer`` does."""
    if Path(path).exists():
        return Path(path)
    absent(f"{path} is not installed: apt-get install {package}")


def absent(message: str) -> NoReturn:
    """Skip, or fail where every peer is required (CI)."""
    if os.environ.get("VBMD_REQUIRE_PEERS") == "1":
        pytest.fail(message)
    pytest.skip(message)
