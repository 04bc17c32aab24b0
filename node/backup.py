"""A copy of all that a node keeps, made while it works: first the ledger, then the files that its rows refer to.

A row is committed after its file is synced, so every file that a copied row names is there to be copied after it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.config import Config
from node.ledger import Ledger

LEDGER = "node.sqlite"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds now."""

    ledger: bool
    """False: it lies on a database server, which has means of its own."""
    copied: int
    """Files that were not there yet."""
    kept: int
    removed: int
    """Files that are no longer in use."""


def make(config: Config, ledger: Ledger, target: Path) -> Backup:
    """Bring the backup in a folder up to date. Raises ``OSError`` when it cannot be written."""
    target.mkdir(parents=True, exist_ok=True)
    has_ledger = config.database.startswith("sqlite")
    if has_ledger:
        fresh = target / f"{LEDGER}.part"
        fresh.unlink(missing_ok=True)
        ledger.copy_to(fresh)
        fresh.replace(target / LEDGER)
    copied = kept = removed = 0
    for name, folder in (("spool", config.receiver.spool), ("jobs", config.state / "jobs")):
        wanted = set()
        for relative, stamp in _files(folder):
            wanted.add(relative)
            if _stamp(target / name / relative) == stamp:
                kept += 1
            else:
                copied += _copy(folder / relative, target / name / relative)
        removed += _remove_others(target / name, wanted)
    _copy_configuration(config, target / "config")
    return Backup(has_ledger, copied, kept, removed)


Stamp = tuple[int, int]
"""Size and time of the last change: files of the node are written once, and a copy keeps the time."""


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, int(found.st_mtime)


def _files(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    for path in folder.rglob("*") if folder.exists() else ():
        if path.suffix != ".part" and path.is_file() and (stamp := _stamp(path)) is not None:
            yield path.relative_to(folder), stamp


def _copy(source: Path, copy: Path) -> int:
    """Copy one file; 0 when it has just been removed by retention."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    fresh = copy.with_name(f"{copy.name}.part")
    try:
        shutil.copy2(source, fresh)
    except FileNotFoundError:
        fresh.unlink(missing_ok=True)
        return 0
    fresh.replace(copy)
    return 1


def _remove_others(folder: Path, wanted: set[Path]) -> int:
    gone = [relative for relative, _ in _files(folder) if relative not in wanted]
    for relative in gone:
        (folder / relative).unlink()
    return len(gone)


def _copy_configuration(config: Config, target: Path) -> None:
    """The file, and the phantoms and templates beside it."""
    target.mkdir(exist_ok=True)
    shutil.copy2(config.file, target / config.file.name)
    for name in ("phantoms", "sr_templates"):
        if (config.file.parent / name).is_dir():
            shutil.copytree(config.file.parent / name, target / name, dirs_exist_ok=True)
