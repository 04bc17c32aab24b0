"""The published OHIF viewer, from the npm registry: ``python -m tests.viewer.get_ohif`` fetches and unpacks it once."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION = "@ohif/app", "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""As the registry states it for this version (Subresource Integrity)."""

_INSIDE = "package/dist/"
_NOT_NEEDED = ("ort/", "dicom-microscopy-viewer/")
"""Machine learning and microscopy: four fifths of the package."""


def folder() -> Path:
    """Where the unpacked site lies: ``$VBMD_OHIF``, else beside the interpreter."""
    return Path(os.environ.get("VBMD_OHIF") or Path(sys.prefix) / "share" / f"ohif-{VERSION}")


def fetch() -> Path:
    """Fetch, check and unpack the package, unless that was done before. Raises ``RuntimeError`` for another one."""
    site = folder()
    if (site / "index.html").exists():
        return site
    npm = shutil.which("npm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if npm is None:
        raise RuntimeError("npm is not installed: pip install -e '.[viewer]'")
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=scratch, check=True)
        (package,) = Path(scratch).glob("*.tgz")
        found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise RuntimeError(f"{PACKAGE} {VERSION} is not the package that is expected: {found}")
        _unpack(package, site)
    return site


def _unpack(package: Path, site: Path) -> None:
    partial = site.with_name(site.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.removeprefix(_INSIDE)
            wanted = member.isfile() and name != member.name and not name.endswith(".map")
            if wanted and not name.startswith(_NOT_NEEDED):
                content = archive.extractfile(member)
                assert content is not None
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                (partial / name).write_bytes(content.read())
    partial.rename(site)


if __name__ == "__main__":
    print(fetch())
