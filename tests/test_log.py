from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest
from pydicom import charset

from node import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    log.setup("INFO", as_json=True, stream=written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_its_facts(stream: io.StringIO) -> None:
    log.get("node.test").info("stored", count=3)
    (line,) = _lines(stream)
    assert (line["event"], line["count"], line["level"], line["logger"]) == ("stored", 3, "info", "node.test")


def test_lines_inside_the_block_carry_the_series(stream: io.StringIO) -> None:
    with log.series_bound("ab12"):
        log.get("node.test").info("inside")
    log.get("node.test").info("outside")
    assert [line.get("series") for line in _lines(stream)] == ["ab12", None]


def test_lines_below_the_level_are_left_out(stream: io.StringIO) -> None:
    log.get("node.test").debug("detail")
    assert stream.getvalue() == ""


def test_a_python_warning_loses_its_text(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("Invalid value for VR PN: 'GEHEIM^Anna'", stacklevel=1)
        logging.captureWarnings(False)
    assert "GEHEIM" not in stream.getvalue()
    assert "python-warning at test_log.py" in stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "pynetdicom",
        "pynetdicom.association",
        "pydicom",
        "dbos",
        "apscheduler.scheduler",
        "dicomweb_client.web",
        "urllib3.connectionpool",
    ],
)
def test_libraries_do_not_chatter(name: str, stream: io.StringIO) -> None:
    logging.getLogger(name).warning("GEHEIM^Anna")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["node.test", "some.library"])
def test_an_exception_keeps_its_place_and_loses_its_text(name: str, stream: io.StringIO) -> None:
    try:
        raise ValueError("Invalid value: 'GEHEIM^Anna'")
    except ValueError:
        log.get(name).error("failed", exc_info=True)
        logging.getLogger(name).exception("failed too")
    for line in _lines(stream):
        assert str(line["exception"]).startswith("ValueError at test_log.py:")
    assert "GEHEIM" not in stream.getvalue()


def test_an_exception_that_ends_a_thread_loses_its_text(stream: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("Invalid value: 'GEHEIM^Anna'")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert "thread-ended" in stream.getvalue()
    assert "GEHEIM" not in stream.getvalue()


def test_what_pydicom_warns_of_is_not_remembered(stream: io.StringIO) -> None:
    for number in range(5):
        charset.convert_encodings([f"ISO_IR GEHEIM {number}"])
    assert not [key for key in getattr(charset, "__warningregistry__", {}) if "GEHEIM" in str(key)]
