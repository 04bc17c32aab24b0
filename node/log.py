"""Structured logs that carry a series key and never patient data.

Every module logs short event names with keyword facts (states, counts, keys, status codes); text that came in with an
object is never among them. Third-party loggers pass through the same renderer. The text of Python warnings and of
exceptions is dropped, since parsers put the offending value into it; where they arose is kept.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

_QUIET = {
    "pynetdicom": logging.CRITICAL,
    "pydicom": logging.CRITICAL,
    "apscheduler": logging.ERROR,
    "dbos": logging.ERROR,
    "dicomweb_client": logging.CRITICAL,
    "urllib3": logging.CRITICAL,
}
"""Third-party loggers and the level from which they are heard: the node reports the same facts in its own words."""


class _NoWarningText(logging.Filter):
    """Keep where a Python warning came from; drop what it says (it may quote a value of the object)."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage().split("\n", 1)[0]
        where = text.rsplit("/", 1)[-1].split(" ", 1)[0].rstrip(":")
        record.msg, record.args = f"python-warning at {where}", ()
        return True


def _exception_without_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Render an exception as its type and its frames, outermost first."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
        event["exception"] = f"{type(error).__name__} at {where}"
    return event


def setup(level: str = "INFO", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send all logs to ``stream`` (standard error by default), one line each. May be called again."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_text,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, floor in _QUIET.items():
        _quieten(logging.getLogger(name), floor)
    _capture_warnings()
    threading.excepthook = _thread_ended
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _quieten(logger: logging.Logger, floor: int) -> None:
    logger.setLevel(floor)
    logger.handlers[:] = [logging.NullHandler()]  # some libraries add a console of their own where they find none
    logger.propagate = True


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Log an exception that ended a thread, without its text."""
    if ended.exc_value is not None:
        get(__name__).error("thread-ended", exc_info=ended.exc_value)


def _capture_warnings() -> None:
    """Those of pydicom are about what was sent: Python would remember the text of each for ever."""
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").filters[:] = [_NoWarningText()]


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name))


@contextmanager
def series_bound(series_key: str) -> Iterator[None]:
    """Put the series key into every line logged by this thread inside the block."""
    with structlog.contextvars.bound_contextvars(series=series_key):
        yield
