"""The shipped phantom files as values."""

from __future__ import annotations

import tomllib

from node.domain.phantom import PhantomModel, RodModel
from node.resources import shipped


def shipped_models() -> dict[str, PhantomModel]:
    """All of them, by id."""
    models = {}
    for path in sorted((shipped("config") / "phantoms").glob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        rods = tuple(RodModel(**rod) for rod in table.pop("rods"))
        for unused in ("geometry", "source", "note"):
            table.pop(unused, None)
        models[path.stem] = PhantomModel(rods=rods, **table)
    return models
