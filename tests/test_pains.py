"""Every pain of docs/pains.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "docs" / "pains.md").read_text(encoding="utf-8").splitlines()
PAINS = [line for line in LINES if re.match(r"\| \d+\. ", line)]


def test_there_are_fifteen() -> None:
    assert [int(re.findall(r"\d+", row)[0]) for row in PAINS] == list(range(1, 16))


@pytest.mark.parametrize("row", PAINS, ids=lambda row: re.sub(r"\W+", "-", row.split("|")[1].strip()))
def test_each_has_tests_that_exist(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert named
    for file, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (file, name)
