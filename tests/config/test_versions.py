from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from node.config import versions
from node.errors import ConfigError

RULE = '[[rules]]\nname = "trunk"\n'
PHANTOM = """
model = "M"
material = "K2HPO4"
rods = [ { name = "A", density_mg_cm3 = 0 }, { name = "B", density_mg_cm3 = 100 } ]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(RULE)
    return path


def add_phantom(file: Path, name: str = "mine") -> Path:
    path = file.parent / "phantoms" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(PHANTOM)
    return path


def test_a_version_holds_what_lies_beside_the_file(file: Path) -> None:
    add_phantom(file)
    assert versions.bundle(file) == {"node.toml": RULE, "phantoms/mine.toml": PHANTOM}


def test_a_version_validates_from_its_texts_alone(file: Path) -> None:
    add_phantom(file)
    assert "mine" in versions.validate(versions.bundle(file), {}).phantoms


def test_what_is_wrong_with_a_version_is_named_by_its_own_files(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        versions.validate({"node.toml": RULE, "phantoms/bad.toml": "model = 3"}, {})
    assert {Path(problem.file).as_posix() for problem in caught.value.problems} == {"phantoms/bad.toml"}


def test_put_back_restores_every_text(file: Path) -> None:
    phantom = add_phantom(file)
    before = versions.bundle(file)
    file.write_text("[node]\nport = 104\n")
    phantom.write_text("changed")
    versions.put_back(file, before)
    assert versions.bundle(file) == before


def test_put_back_sets_aside_what_was_not_there(file: Path) -> None:
    before = versions.bundle(file)
    phantom = add_phantom(file)
    versions.put_back(file, before)
    assert versions.bundle(file) == before
    assert phantom.with_name("mine.toml.set-aside").read_text() == PHANTOM


def test_put_back_of_what_is_there_touches_nothing(file: Path) -> None:
    assert versions.put_back(file, versions.bundle(file)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for another user")
def test_a_file_stays_the_node_users_when_root_writes_it(file: Path) -> None:
    os.chown(file, 12345, 12345)
    file.chmod(0o640)
    versions.write(file, "[node]\n")
    now = file.stat()
    assert (now.st_uid, now.st_gid, now.st_mode & 0o777) == (12345, 12345, 0o640)


def test_a_new_file_can_be_read_by_whom_its_folder_belongs_to(tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    folder.mkdir(mode=0o755)
    versions.write(folder / "new.toml", "")
    assert (folder / "new.toml").stat().st_mode & 0o777 == folder.stat().st_mode & 0o666


def test_a_file_is_replaced_whole_and_keeps_its_mode(file: Path) -> None:
    file.chmod(0o600)
    versions.write(file, "[node]\n")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("[node]\n", 0o600)


def test_a_folder_that_cannot_be_written_is_a_problem_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        versions.write(tmp_path / "absent" / "deeper" / "node.toml", "")


def test_differences_name_the_file(file: Path) -> None:
    lines = list(versions.differences({"node.toml": "a\n"}, {"node.toml": "b\n"}, ("version-1", "on-disk")))
    assert lines == ["--- version-1 node.toml", "+++ on-disk node.toml", "@@ -1 +1 @@", "-a", "+b"]


@pytest.mark.parametrize("title", ["CT1", 'A"B', "back\\slash", "tab\there"])
def test_a_sender_added_reads_back(title: str) -> None:
    text = versions.with_sender(RULE, {"name": "ct", "ae_title": title, "host": None})
    assert tomllib.loads(text)["senders"] == [{"name": "ct", "ae_title": title}]


def test_a_sender_added_leaves_the_rest_as_it_was() -> None:
    text = "# a comment\n[[rules]]  # the rule\nname = 'x'\n"
    assert versions.with_sender(text, {"name": "ct"}).startswith(text)
