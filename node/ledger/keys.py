"""Names made from digests: safe in paths, logs and as identities, whatever text was received."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def study_key(study_instance_uid: str) -> str:
    """Return 16 hexadecimal digits that stand for a study."""
    return _digest(study_instance_uid)[:16]


def series_key(study_instance_uid: str, series_instance_uid: str) -> str:
    """Return 16 hexadecimal digits that stand for a series of a study."""
    return _digest(study_instance_uid, series_instance_uid)[:16]


def instance_set(digests: Iterable[str]) -> str:
    """Return a digest of a set of instances, from their digests in any order."""
    return _digest(*sorted(digests))


def job_id(series_key: str, instance_set: str, rule: str, config_version: str) -> str:
    """Return the identity of one measurement: planning it twice is planning it once."""
    return f"{series_key}-{_digest(instance_set, rule, config_version)[:16]}"


def advisory(name: str) -> int:
    """Return a 64-bit signed number that stands for a name, for PostgreSQL's advisory locks."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big", signed=True)


def _digest(*parts: str) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part.encode("utf-8", "surrogateescape"))
        sha.update(b"\0")
    return sha.hexdigest()
