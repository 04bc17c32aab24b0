"""Removing what has had its time: images, results, history; by age, and images also when the disk fills."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from node import log
from node.domain.settings import RetentionSettings
from node.ledger import Ledger
from node.ledger.ageing import Ended
from node.ledger.figures import DAY_S

_log = log.get(__name__)


def sweep(ledger: Ledger, settings: RetentionSettings, spool: Path, jobs: Path) -> dict[str, int]:
    """Remove what may go; returns how many series lost what. Rows first: a crash leaves a file, never a lie."""
    now, gone = ledger.now(), {"inputs": 0, "results": 0, "history": 0}
    if settings.inputs_days:
        for one in ledger.ageing.ended(now - settings.inputs_days * DAY_S, having="inputs"):
            gone["inputs"] += _inputs(ledger, one, spool)
    gone["inputs"] += _for_space(ledger, settings, spool)
    if settings.results_days:
        for one in ledger.ageing.ended(now - settings.results_days * DAY_S, having="results"):
            gone["results"] += _results(ledger, one, jobs)
    if settings.history_days:
        old = ledger.ageing.ended(now - settings.history_days * DAY_S, having="rows")
        ledger.ageing.forget_rows(old)
        gone["history"] = len(old)
    if any(gone.values()):
        _log.info("retention", **gone)
    return gone


def _for_space(ledger: Ledger, settings: RetentionSettings, spool: Path) -> int:
    """Images of the longest-ended series go until the disk has room again."""
    removed = 0
    while settings.disk_used_part and used_part(spool) > settings.disk_used_part:
        oldest = ledger.ageing.ended(ledger.now(), having="inputs", limit=1)
        if not oldest or not _inputs(ledger, oldest[0], spool):
            break
        removed += 1
    return removed


def used_part(folder: Path) -> float:
    """Which part of a disk is in use; 0 when it cannot be told."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return 0.0
    return usage.used / max(1, usage.used + usage.free)


def _inputs(ledger: Ledger, one: Ended, spool: Path) -> bool:
    paths = ledger.ageing.forget_inputs(one.series_key)
    for path in paths:
        if path.is_relative_to(spool):
            path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return bool(paths)


def _results(ledger: Ledger, one: Ended, jobs: Path) -> bool:
    folders = ledger.ageing.forget_results(one.series_key)
    for folder in folders:
        if folder.is_relative_to(jobs):
            shutil.rmtree(folder, ignore_errors=True)
    return bool(folders)
