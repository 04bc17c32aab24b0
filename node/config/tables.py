"""Building stones of the configuration: strict tables, common value types, and pydantic's errors in plain words."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from node.errors import Problem


class Table(BaseModel):
    """A TOML table: unknown keys and wrong types are errors, values are frozen."""

    tag: ClassVar[str] = ""
    """Stands for the table in the location of an error where several kinds of table are possible."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, populate_by_name=False)


def _ae_title(value: str) -> str:
    """PS3.5 6.2: 1 to 16 characters of the default repertoire without backslash and control characters."""
    if not 1 <= len(value) <= 16:
        raise ValueError(f"an AE title has 1 to 16 characters, not {len(value)}")
    if not value.isascii() or not value.isprintable() or "\\" in value:
        raise ValueError("an AE title has printable ASCII characters only, and no backslash")
    if value != value.strip():
        raise ValueError("spaces at either end of an AE title have no meaning: remove them")
    return value


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise ValueError("must not be empty")
    return value


NotEmpty = AfterValidator(_not_empty)
"""For a list; unlike ``min_length`` it does not count entries that are wrong in themselves as absent."""
AeTitle = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Strings = Annotated[tuple[str, ...], Field(strict=False)]


def fields_of(settings: type[Any], omit: Iterable[str] = (), **types: Any) -> dict[str, Any]:
    """Field definitions for ``pydantic.create_model`` that take names, types and defaults from a dataclass.

    ``types`` narrows the type of a field. So a default is written once, in the dataclass.
    """
    hints = typing.get_type_hints(settings)
    definitions: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        if field.name in omit:
            continue
        default = ... if field.default is dataclasses.MISSING else field.default
        definitions[field.name] = (types.pop(field.name, hints[field.name]), default)
    if types:
        raise TypeError(f"{settings.__name__} has no field {', '.join(types)}")
    return definitions


def table(name: str, *fields: dict[str, Any]) -> type[Table]:
    """A table with the given field definitions."""
    merged = {key: definition for part in fields for key, definition in part.items()}
    made: type[Table] = create_model(name, __base__=Table, **merged)
    return made


def suggestion(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known are: {', '.join(names)}." if names else "None is known."


def problems(file: str, key: str, table: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Each error of one table as a problem; ``key`` is where the table stands in the file."""
    found = []
    for detail in error.errors(include_url=False):
        location = [part for part in detail["loc"] if not (isinstance(part, str) and part.startswith("<"))]
        message, remedy = _sentence(detail, table)
        found.append(Problem(file, _dotted(key, location), message, remedy))
    return found


def _dotted(key: str, location: Iterable[int | str]) -> str:
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return key


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}
_WANTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
    "union_tag_not_found": "a table with all, any, not or attribute",
}


def _sentence(detail: Any, table: type[BaseModel]) -> tuple[str, str]:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail.get("input")
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {_shown(value)}.", ""
    limits = {
        "greater_than": ("gt", "more than"),
        "greater_than_equal": ("ge", "at least"),
        "less_than": ("lt", "less than"),
        "less_than_equal": ("le", "at most"),
    }
    if kind in limits:
        name, words = limits[kind]
        return f"must be {words} {context[name]:g}, not {_shown(value)}.", ""
    if kind == "missing":
        return "is missing.", "Add it."
    if kind == "extra_forbidden":
        return "is not a known key.", suggestion(str(detail["loc"][-1]), known_keys(table, detail["loc"][:-1]))
    if kind == "literal_error":
        return f"must be {context['expected']}, not {_shown(value)}.", ""
    if kind in ("too_short", "string_too_short"):
        return "must not be empty.", ""
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters.", ""
    if kind == "string_pattern_mismatch":
        return f"must be letters, digits, '_', '.' and '-' only, not {_shown(value)}.", ""
    if kind == "value_error":
        return _ended(str(context["error"])), ""
    return _ended(detail["msg"]), ""


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'the text "{value[:40]}"'
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return next((name for kind, name in _NAMES.items() if isinstance(value, kind)), type(value).__name__)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def known_keys(table: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Keys of the table at a location inside ``table``."""
    here = table
    for part in location:
        if isinstance(part, int):
            continue
        if part.startswith("<"):
            here = next(model for model in Table.__subclasses__() if model.tag == part)
        else:
            here = next(iter(_tables_in(_by_key(here)[part])), here)
    return list(_by_key(here))


def _by_key(table: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in table.model_fields.items()}


def _tables_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _tables_in(argument)]
