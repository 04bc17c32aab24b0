"""Objects on disk: whole and synced, or not there.

``incoming/`` holds files being written; a finished file lies in a folder named after its series key, under the digest
of its dataset. No received text is part of a path.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_ABANDONED_AFTER_S = 3600.0
_WRITE_BYTES = 64 << 10
"""Written at once. For larger pieces some kernels look for larger pages, which costs more than the copy."""


class Spool:
    """A folder tree on one file system."""

    def __init__(self, root: Path, reserve_mb: float) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self.reserve_mb = reserve_mb
        self._syncing = ThreadPoolExecutor(1, "folder-sync")
        self._counting = threading.Lock()
        self._open = 0

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
        """Whether a dataset of so many bytes lies here whole, behind its file meta information; then it is synced.

        It may have been given its name by another receiver, or before a power cut, and never been synced.
        """
        path = self.path(series_key, digest)
        try:
            with path.open("rb") as file:
                file.seek(-size_bytes, os.SEEK_END)
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return False
                os.fsync(file.fileno())
            _sync_folder(path.parent)
        except OSError:
            return False
        return True

    def path(self, series_key: str, digest: str) -> Path:
        """Return where an object lies."""
        return self._root / series_key[:2] / series_key / f"{digest}.dcm"

    def begin(self, head: bytes) -> Incoming:
        """Begin to write an object: ``head`` is put before its dataset. Raises ``OSError``."""
        return Incoming(self, self._incoming / f"{uuid.uuid4().hex}.part", head)

    def sync_both(self, descriptor: int, folder: Path) -> None:
        """Make a file durable, and the names in its folder.

        At the same time, where nothing else is being received: a sender that is alone waits for the disk, many wait for
        the processor, and every thread that is woken costs some of it.
        """
        named = self._syncing.submit(_sync_folder, folder) if self._open == 1 else None
        os.fsync(descriptor)
        if named is None:
            _sync_folder(folder)
        else:
            named.result()

    def count(self, more: int) -> None:
        """Keep in mind how many objects are being written."""
        with self._counting:
            self._open += more

    def make(self, folder: Path) -> None:
        """Make the folder of a series, durably, unless it is there."""
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(folder.parent)
            _sync_folder(self._root)


class Incoming:
    """An object that is being written, as it arrives. To be ended by ``claim`` and ``keep``, or by ``drop``."""

    def __init__(self, spool: Spool, partial: Path, head: bytes) -> None:
        self._spool = spool
        self._partial = partial
        self._head_bytes = len(head)
        self._sha = hashlib.sha256()
        self._file = io.FileIO(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640), "r+")
        spool.count(+1)
        self._final: Path | None = None
        self._named = False
        self.size_bytes = 0
        """Of the dataset so far."""
        try:
            self._write(memoryview(head))
        except OSError:
            self.drop()
            raise

    def add(self, piece: memoryview) -> None:
        """Write the next bytes of the dataset. Raises ``OSError``."""
        self._write(piece)
        self._sha.update(piece)
        self.size_bytes += len(piece)

    def _write(self, rest: memoryview) -> None:
        while rest:
            rest = rest[os.write(self._file.fileno(), rest[:_WRITE_BYTES]) :]

    @property
    def whole_bytes(self) -> int:
        """Size of the file."""
        return self._head_bytes + self.size_bytes

    def digest(self) -> str:
        """Return the SHA-256 of the dataset as sent, hexadecimal."""
        return self._sha.hexdigest()

    @contextmanager
    def dataset(self) -> Iterator[BinaryIO]:
        """Open what has been written, at the first byte of the dataset."""
        with io.FileIO(self._file.fileno(), closefd=False) as raw, io.BufferedReader(raw) as reader:
            reader.seek(self._head_bytes)
            yield reader

    def claim(self, series_key: str) -> bool:
        """Give the object its name. Returns false where something has that name: it is still without one.

        What is there may be torn, or the work of another receiver: ``keep`` replaces it, by synced bytes alone.
        Raises ``OSError``.
        """
        self._final = self._spool.path(series_key, self.digest())
        try:
            os.link(self._partial, self._final)
        except FileNotFoundError:
            self._spool.make(self._final.parent)
            return self.claim(series_key) if self._partial.exists() else False
        except OSError:  # there is one, or the file system has no links
            return False
        self._named = True
        return True

    def keep(self) -> Path:
        """Return where the object lies, once it survives a power cut there.

        Raises ``OSError``, and then nothing of it is left but, at worst, a file that no row names.
        """
        if self._final is None:
            raise ValueError("claim first")
        try:
            if self._named:
                self._spool.sync_both(self._file.fileno(), self._final.parent)
            else:
                os.fsync(self._file.fileno())
                self._spool.make(self._final.parent)
                self._partial.replace(self._final)
                _sync_folder(self._final.parent)
        finally:
            self.drop()
        return self._final

    def drop(self) -> None:
        """End writing; what has no place is removed."""
        if not self._file.closed:
            self._file.close()
            self._spool.count(-1)
            self._partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
