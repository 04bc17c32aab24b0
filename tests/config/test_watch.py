from __future__ import annotations

from pathlib import Path

import pytest

from node.config import load
from node.config.watch import Watched, applicable
from node.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text("[node]\nport = 104\n")
    return path


def looks(watched: Watched, count: int = 3) -> list[int]:
    """Return the ports of the configurations that so many looks find."""
    found = [watched.look() for _ in range(count)]
    return [config.receiver.port for config in found if config is not None]


def test_what_did_not_change_is_not_read_again(file: Path) -> None:
    assert looks(Watched(file, environment={})) == []


def test_a_change_is_read_once(file: Path) -> None:
    watched = Watched(file, environment={})
    file.write_text("[node]\nport = 11113\n")
    assert looks(watched) == [11113]


def test_a_file_that_is_still_being_written_is_left_alone(file: Path) -> None:
    watched = Watched(file, environment={})
    for length in range(10):
        file.write_text("[node]\n" + "# " * length)
        assert watched.look() is None


def test_a_phantom_that_comes_beside_is_a_change(file: Path) -> None:
    watched = Watched(file, environment={})
    (file.parent / "phantoms").mkdir()
    (file.parent / "phantoms" / "mine.toml").write_text("model = 3")
    with pytest.raises(ConfigError):
        looks(watched)


def test_what_is_wrong_is_raised_once(file: Path) -> None:
    watched = Watched(file, environment={})
    file.write_text("[node]\nport = 99999\n")
    with pytest.raises(ConfigError):
        looks(watched)
    assert looks(watched) == []


def test_a_file_that_vanished_is_an_error_and_its_return_a_change(file: Path) -> None:
    watched = Watched(file, environment={})
    text = file.read_text()
    file.unlink()
    with pytest.raises(ConfigError):
        looks(watched)
    file.write_text(text)
    assert looks(watched) == [104]


def test_a_running_node_keeps_its_ports_and_takes_the_rest(file: Path) -> None:
    running = load(file, {})
    file.write_text('[node]\nport = 105\nquiet_period_s = 5\n[[senders]]\nname = "a"\nae_title = "A"\n')
    config, waiting = applicable(running, load(file, {}))
    assert (config.receiver.port, config.assembly.quiet_period_s, len(config.receiver.senders)) == (104, 5, 1)
    assert waiting == ("receiver.port",)
