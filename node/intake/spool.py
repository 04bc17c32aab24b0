"""Objects on disk: whole and synced, or not there.

``incoming/`` holds files being written; a finished file lies in a folder named after its series key, under the digest
of its dataset. No received text is part of a path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from pathlib import Path

_ABANDONED_AFTER_S = 3600.0


class Spool:
    """A folder tree on one file system."""

    def __init__(self, root: Path, reserve_mb: float) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self.reserve_mb = reserve_mb

    def prepare(self) -> None:
        """Make the folders, and remove what an interrupted run left half written (nobody was told it was stored)."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        for path in self._incoming.glob("*.part"):
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                path.unlink(missing_ok=True)

    def check_space(self) -> None:
        """Raise ``OSError`` (ENOSPC) when less than the reserve is free."""
        disk = os.statvfs(self._root)
        if disk.f_bavail * disk.f_frsize < self.reserve_mb * 1e6:
            raise OSError(errno.ENOSPC, "less than the disk reserve is free")

    def used_part(self) -> float:
        """Return which part of the disk is in use; 0 when it cannot be told (the objects will be answered for it)."""
        try:
            disk = os.statvfs(self._root)
        except OSError:
            return 0.0
        used = disk.f_blocks - disk.f_bfree
        return used / max(1, used + disk.f_bavail)

    def holds(self, series_key: str, digest: str, size_bytes: int) -> bool:
        """Whether a dataset of so many bytes lies here, behind its file meta information."""
        try:
            return self.path(series_key, digest).stat().st_size > size_bytes
        except OSError:
            return False

    def path(self, series_key: str, digest: str) -> Path:
        """Return where an object lies."""
        return self._root / series_key[:2] / series_key / f"{digest}.dcm"

    def keep(self, series_key: str, digest: str, *chunks: bytes | memoryview) -> Path:
        """Write an object; when this returns it survives a power cut.

        Raises ``OSError``, and then nothing of it is left but, at worst, a whole file that no row names.
        """
        final = self.path(series_key, digest)
        partial = self._incoming / f"{uuid.uuid4().hex}.part"
        try:
            _write_synced(partial, chunks)
            self._folder(final.parent)
            partial.replace(final)
            sync_folder(final.parent)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return final

    def _folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
            sync_folder(self._root)


def digest(dataset: bytes | memoryview) -> str:
    """Return the SHA-256 of a dataset as sent, hexadecimal."""
    return hashlib.sha256(dataset).hexdigest()


def _write_synced(path: Path, chunks: tuple[bytes | memoryview, ...]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
