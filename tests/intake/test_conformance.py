"""docs/conformance.md says what the code does: its tables are those of the code.

``VBMD_WRITE_DOCS=1`` writes them into the page instead.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from node.delivery import conformance as outward
from node.intake import conformance
from node.intake.commitment import STORAGE_COMMITMENT
from tests.intake.conftest import Door
from tests.intake.test_commitment import asking
from tests.intake.test_receiver import association

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
TABLES = conformance.tables() | outward.tables()


def section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_holds_the_table_of_the_code(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("VBMD_WRITE_DOCS") == "1":
        text = section(name).sub(lambda found: found[1] + TABLES[name] + found[2], text)
        PAGE.write_text(text, encoding="utf-8")
    found = section(name).search(text)
    assert found is not None, f"docs/conformance.md has no table {name}"
    assert found[0] == f"<!-- table: {name} -->\n{TABLES[name]}\n<!-- end -->"


def test_the_page_has_no_other_table() -> None:
    assert set(re.findall(r"<!-- table: (\S+) -->", PAGE.read_text(encoding="utf-8"))) == set(TABLES)


def test_the_implementation_stated_is_the_one_answered(door: Door) -> None:
    with association(door) as link:
        answered = link.acceptor.implementation_class_uid, link.acceptor.maximum_length
    assert f"| Implementation Class UID | {answered[0]} |" in TABLES["implementation"]
    assert f"| {answered[1]} bytes |" in TABLES["implementation"]


def test_storage_commitment_is_accepted_as_stated(door: Door) -> None:
    with asking(door) as link:
        assert STORAGE_COMMITMENT in [context.abstract_syntax for context in link.accepted_contexts]
