"""The texts a configuration consists of: taken together as one version, compared, and put back.

A version is the configuration file and what lies beside it (``phantoms/``, ``sr_templates/``); files shipped with the
program are not part of it. Names are relative to the folder; the configuration file is called ``node.toml`` in every
version, whatever it is called on disk.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from node.config.load import Config, load
from node.errors import ConfigError, Problem

MAIN = "node.toml"
FOLDERS = ("phantoms", "sr_templates")
SET_ASIDE = ".set-aside"
"""Added to the name of a file that did not exist in the version that is put back."""


def bundle(file: Path) -> dict[str, str]:
    """Return the texts of a configuration by name."""
    texts = {MAIN: file.read_text(encoding="utf-8")}
    for path in beside(file):
        texts[f"{path.parent.name}/{path.name}"] = path.read_text(encoding="utf-8", errors="replace")
    return texts


def beside(file: Path) -> list[Path]:
    """Return the files beside a configuration file that belong to it."""
    return sorted(path for folder in FOLDERS for path in (file.parent / folder).glob("*.toml"))


def fingerprint(file: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes when one of the files is written, replaced, added or removed."""
    seen = []
    for path in (file, *beside(file)):
        try:
            found = path.stat()
        except OSError:
            continue
        seen.append((str(path), found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(seen)


def differences(before: Mapping[str, str], after: Mapping[str, str], names: tuple[str, str]) -> Iterator[str]:
    """Yield the lines of a unified diff, file by file; ``names`` says what the two sides are called."""
    for name in sorted(before.keys() | after.keys()):
        a, b = (texts.get(name, "").splitlines() for texts in (before, after))
        yield from difflib.unified_diff(a, b, f"{names[0]} {name}", f"{names[1]} {name}", lineterm="")


def validate(texts: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Config:
    """Load a version from its texts alone. Raises ``ConfigError`` with every problem."""
    with tempfile.TemporaryDirectory(prefix="vbmd-node-config-") as scratch:
        folder = Path(scratch)
        for name, text in texts.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        try:
            return load(folder / MAIN, environment)
        except ConfigError as error:
            relative = (str(Path(one.file).relative_to(folder)) for one in error.problems)
            problems = zip(relative, error.problems, strict=True)
            raise ConfigError(tuple(Problem(file, p.key, p.message, p.remedy) for file, p in problems)) from error


def put_back(file: Path, texts: Mapping[str, str]) -> list[str]:
    """Make the files on disk those of a version; return a line for each that was touched.

    Each file is replaced whole, the configuration file last. Files that the version does not have are set aside.
    Raises ``ConfigError`` when one cannot be written.
    """
    done = []
    for path in beside(file):
        if f"{path.parent.name}/{path.name}" not in texts:
            path.rename(path.with_name(path.name + SET_ASIDE))
            done.append(f"{path}: set aside as {path.name}{SET_ASIDE}")
    present = bundle(file) if file.exists() else {}
    for name in sorted(texts, key=lambda name: name == MAIN):
        if present.get(name) != texts[name]:
            target = file if name == MAIN else file.parent / name
            write(target, texts[name])
            done.append(f"{target}: written")
    return done


def write(path: Path, text: str) -> None:
    """Replace a file atomically, keeping its mode and owner: root's hand must not take it from the node's user.

    A new file has those of its folder. Raises ``ConfigError`` when it cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        like = (path if path.exists() else path.parent).stat()
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            with contextlib.suppress(PermissionError):  # whoever may write may not give away
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, like.st_mode & 0o666)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        message = f"cannot be written: {error.strerror}."
        raise ConfigError((Problem(str(path), "", message, "Check owner and permissions of its folder."),)) from error


def with_sender(text: str, sender: Mapping[str, str | None]) -> str:
    """Return the text of a configuration file with one more ``[[senders]]`` at its end; nothing else is touched."""
    lines = [f"{key} = {_quoted(value)}" for key, value in sender.items() if value is not None]
    return "\n".join([text.rstrip("\n"), "", "[[senders]]", *lines, ""])


def _quoted(text: str) -> str:
    """A TOML basic string (https://toml.io/en/v1.0.0#string)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
