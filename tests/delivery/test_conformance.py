"""What docs/conformance.md says is sent is what the writers of reports make."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from node.delivery.conformance import STORED
from node.report import write
from node.report.rejection import reject
from tests.report import fixtures
from tests.report.cases import CASES
from tests.report.conftest import Written


@pytest.fixture(scope="module")
def head_first(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return fixtures.single_frames(tmp_path_factory.mktemp("head-first"))


def test_every_class_that_is_made_is_stated(head_first: Written, tmp_path: Path) -> None:
    findings, volume = CASES["measured"](head_first)
    made = write(findings, volume, fixtures.job(head_first[0], tmp_path / "out"))
    note = reject([one.path for one in made], tmp_path / "note", "ann", "wrong", "quality")
    classes = {str(pydicom.dcmread(one.path, stop_before_pixels=True).SOPClassUID) for one in (*made, note)}
    assert classes <= {uid for uid, _ in STORED}
