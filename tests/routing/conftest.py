"""A site with two phantoms and one known scanner."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import Config, load

PHANTOM = """
model = "Test"
material = "CaHA"
rods = [{ name = "A", density_mg_cm3 = 0 }, { name = "B", density_mg_cm3 = 100 }]
"""
SITE = """
[measure]
phantoms = ["a", "b"]
[[scanners]]
name = "ct1"
when = { attribute = "station_name", equals = "CT01" }
phantoms = ["a"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Config:
    (tmp_path / "phantoms").mkdir()
    for name in "ab":
        (tmp_path / "phantoms" / f"{name}.toml").write_text(PHANTOM)
    (tmp_path / "node.toml").write_text(SITE)
    return load(tmp_path / "node.toml", {})
