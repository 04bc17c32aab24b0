"""The measured series, written once for all tests of the report."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report import fixtures, studies

Written = fixtures.Written


@pytest.fixture(scope="session")
def head_first(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Head first, supine."""
    return fixtures.single_frames(tmp_path_factory.mktemp("head-first"))


@pytest.fixture(scope="session")
def feet_first(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Feet first: columns of the files run the other way, instance numbers against the stack."""
    return fixtures.single_frames(tmp_path_factory.mktemp("feet-first"), fixtures.Orientation(reverse=True))


@pytest.fixture(scope="session")
def prone(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Prone: rows and columns of the files run the other way."""
    return fixtures.single_frames(tmp_path_factory.mktemp("prone"), fixtures.Orientation(prone=True))


@pytest.fixture(scope="session")
def enhanced(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """One multi-frame object, frames from head to foot."""
    return fixtures.multi_frame(tmp_path_factory.mktemp("enhanced"))


@pytest.fixture(params=["head_first", "feet_first", "prone", "enhanced"])
def any_series(request: pytest.FixtureRequest) -> Written:
    """Every way in which the same body can be stored."""
    written: Written = request.getfixturevalue(request.param)
    return written


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    """Where a job writes."""
    return tmp_path / "out"


@pytest.fixture(scope="session")
def study_of(
    head_first: Written, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, studies.SrClass], studies.Study]:
    """Every study, written when it is first asked for."""

    @functools.cache
    def write(name: str, sr_class: studies.SrClass) -> studies.Study:
        return studies.written(name, sr_class, head_first, tmp_path_factory.mktemp("study"))

    return write


@pytest.fixture(params=studies.CLASSES)
def sr_class(request: pytest.FixtureRequest) -> studies.SrClass:
    """Both classes of structured reports."""
    chosen: studies.SrClass = request.param
    return chosen


@pytest.fixture(params=studies.NAMES)
def study(
    request: pytest.FixtureRequest,
    sr_class: studies.SrClass,
    study_of: Callable[[str, studies.SrClass], studies.Study],
) -> studies.Study:
    """Every kind of study, in both classes."""
    return study_of(request.param, sr_class)
