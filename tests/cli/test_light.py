"""Commands that look and steer carry no libraries that measure, receive or draw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "SimpleITK",
    "apscheduler",
    "dbos",
    "highdicom",
    "matplotlib",
    "prometheus_client",
    "pydicom",
    "pynetdicom",
    "scipy",
}
PROBE = """
import sys
from node import cli
cli.load({command!r})
print(*{{name.partition(".")[0] for name in sys.modules}})
"""


@pytest.mark.parametrize("command", [None, "status", "hold", "senders", "config", "health"])
def test_a_command_is_registered_without_heavy_libraries(command: str | None) -> None:
    probe = [sys.executable, "-c", PROBE.format(command=command)]
    loaded = subprocess.run(probe, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in loaded
    assert sorted(HEAVY.intersection(loaded)) == []
