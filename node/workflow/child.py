"""One measurement in a process of its own: ``python -m node.workflow.child FUNCTION JOB.json OUTCOME.json``.

``FUNCTION`` is "module:name" of a function from ``MeasureJob`` to ``MeasureOutcome``. The exit status is 0 when an
outcome was written. Standard input is a pipe that the parent holds open: when it closes, the parent is dead and so is
this process.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from node.domain.job import MeasureJob, MeasureOutcome

MACHINE_TROUBLE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS),
        *(errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE),
    }
)
"""Errors that say nothing of the study: waited for, not counted against it. Exit status ``EX_TEMPFAIL``."""

JOB = TypeAdapter(MeasureJob)
OUTCOME = TypeAdapter(MeasureOutcome)


def main(function: str, job_path: str, outcome_path: str) -> None:
    """Measure, and leave the outcome as a JSON file that is there whole or not at all."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _offer_to_oom_killer()
    try:
        outcome = _resolve(function)(JOB.validate_json(Path(job_path).read_bytes()))
        partial = Path(f"{outcome_path}.part")
        partial.write_bytes(OUTCOME.dump_json(outcome))
        partial.rename(outcome_path)
    except OSError as error:
        if error.errno in MACHINE_TROUBLE:
            sys.exit(os.EX_TEMPFAIL)
        raise


def _resolve(function: str) -> Callable[[MeasureJob], MeasureOutcome]:
    module, _, name = function.partition(":")
    found: Callable[[MeasureJob], MeasureOutcome] = getattr(importlib.import_module(module), name)
    return found


def _die_with_parent() -> None:
    while os.read(0, 1):
        continue
    os._exit(9)


def _offer_to_oom_killer() -> None:
    """Out of memory, this process is to go, not the node (Linux only)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main(*sys.argv[1:])
