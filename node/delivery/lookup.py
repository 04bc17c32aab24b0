"""Earlier reports of a job's patient: looked up once, within a time limit, and kept with the job.

What came lies in the job's folder with a list of it, so that the same job sees the same reports whenever it is done
again. An archive that is slow, dead or wrong costs the time limit at most, and once in a while only; the result then
says that reports may be missing.
"""

from __future__ import annotations

import contextvars
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node import log
from node.delivery.archive import Found, Patient, fetch, patient_of
from node.delivery.scu import Unreachable
from node.domain.job import MeasureJob
from node.domain.settings import PriorArchive, TlsSettings
from node.ledger import LedgerUnavailable

KEPT = "priors"
"""Folder of a job."""
_INDEX = "index.json"
_POLL_S = 0.1

_log = log.get(__name__)


@dataclass(slots=True)
class _Try:
    """How far one attempt has come."""

    complete: bool = False
    failed: str | None = None


class Lookup:
    """Asks one archive; without one it leaves jobs as they are."""

    def __init__(
        self,
        archive: PriorArchive | None,
        own_ae_title: str,
        found: Found,
        tls: TlsSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._own_ae_title, self._found, self._tls = archive, own_ae_title, found, tls
        self._clock = clock
        self._rests_until = 0.0

    def configure(self, archive: PriorArchive | None, own_ae_title: str, tls: TlsSettings | None) -> None:
        """Ask this archive from now on."""
        if archive != self._archive:
            self._rests_until = 0.0
        self._archive, self._own_ae_title, self._tls = archive, own_ae_title, tls

    def __call__(self, job: MeasureJob, turn: int, stopping: threading.Event) -> MeasureJob:
        """The job with what the archive has; ``turn`` counts how often an operator had it done again.

        An incomplete look-up is repeated in another turn, not when the same turn is merely resumed.
        """
        folder = job.out_dir / KEPT
        kept = _kept(folder, turn)
        if kept is None:
            if self._archive is None:
                return job
            patient = next((who for one in job.series.instances[:1] if (who := patient_of(one.path))), None)
            if patient is None:
                return job
            try:
                kept = self._look_up(self._archive, patient, folder, turn, stopping)
            except OSError as error:
                _log.error("priors-not-kept", error=type(error).__name__, errno=error.errno)
                kept = (), False
        files, complete = kept
        return replace(job, prior_reports=(*job.prior_reports, *files), priors_incomplete=not complete)

    def _look_up(
        self, archive: PriorArchive, patient: Patient, folder: Path, turn: int, stopping: threading.Event
    ) -> tuple[tuple[Path, ...], bool]:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{KEPT}-*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{KEPT}-", dir=folder.parent))
        tried = _Try(failed="it did not answer a short while ago")
        begun = time.monotonic()
        if self._clock() >= self._rests_until:
            tried = self._within_limit(archive, patient, scratch, stopping)
            if tried.failed is not None and not stopping.is_set():
                self._rests_until = self._clock() + archive.settings.rest_s
        files = [] if stopping.is_set() else sorted(scratch.glob("*.dcm"))
        facts: dict[str, Any] = {"reports": len(files), "took_s": round(time.monotonic() - begun, 2)}
        if tried.complete:
            _log.info("priors-looked-up", archive=archive.destination.name, **facts)
        else:
            _log.warning("priors-incomplete", archive=archive.destination.name, why=tried.failed, **facts)
        kept = [] if stopping.is_set() else _keep(files, folder, turn, complete=tried.complete)
        shutil.rmtree(scratch, ignore_errors=True)
        return tuple(kept), tried.complete

    def _within_limit(self, archive: PriorArchive, patient: Patient, scratch: Path, stopping: threading.Event) -> _Try:
        """Ask in a thread of its own, which is left behind when its time is up: whatever it is stuck in."""
        limit_s = archive.settings.time_limit_s
        timeout_s = min(archive.destination.timeout_s, limit_s)
        asked = replace(archive, destination=replace(archive.destination, timeout_s=timeout_s))
        tried, cancelled = _Try(), threading.Event()

        def ask() -> None:
            try:
                complete = fetch(asked, self._own_ae_title, self._tls, patient, scratch, self._found, cancelled)
                tried.complete = complete
            except (Unreachable, LedgerUnavailable) as error:
                tried.failed = str(error)
            except Exception as error:  # noqa: BLE001 - the end of a thread: recorded, the measurement goes on
                tried.failed = type(error).__name__
                _log.error("prior-lookup-error", error=type(error).__name__, exc_info=True)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(ask,), name="priors", daemon=True)
        thread.start()
        deadline = time.monotonic() + limit_s
        while thread.is_alive() and time.monotonic() < deadline and not stopping.is_set():
            thread.join(_POLL_S)
        cancelled.set()
        if thread.is_alive():
            return _Try(failed=f"it took longer than {limit_s:g} s")
        return tried


def _kept(folder: Path, turn: int) -> tuple[tuple[Path, ...], bool] | None:
    """What an earlier start of the job was given."""
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        files, complete = tuple(folder / Path(name).name for name in index["files"]), bool(index["complete"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (files, complete) if complete or index.get("turn") == turn else None


def _keep(files: list[Path], folder: Path, turn: int, *, complete: bool) -> list[Path]:
    """Move files into the job's folder; the list of them, written last, makes them count."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept = [one.rename(folder / one.name) for one in files]
    index = folder / _INDEX
    index.write_text(json.dumps({"turn": turn, "complete": complete, "files": [one.name for one in kept]}))
    for path in (*kept, index, folder, folder.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return kept
