"""TOML tables to frozen dataclasses: one key per field and no other, every fault named."""

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from faunalens.errors import UsageError

_T = TypeVar("_T")

_SCALARS = {str: "a text", bool: "true or false", int: "a whole number", date: "a date"}


def read(hint: Any, value: object, where: str, faults: list[str]) -> Any:
    """The TOML value as type `hint`; what does not fit goes to `faults` and comes back as None."""
    outer, args = get_origin(hint) or hint, get_args(hint)
    if outer is tuple:
        expected = "a list with at least one entry"
        if isinstance(value, list) and value:
            ids = [isinstance(row, dict) and row.get("id") for row in value]
            rows = [(ids[n] or n + 1, row) for n, row in enumerate(value)]
            return tuple(read(args[0], row, f"{where} {name}", faults) for name, row in rows)
    elif is_dataclass(outer):
        expected = "a table"
        if isinstance(value, dict):
            return _read_fields(hint, value, where, faults)
    elif outer is Literal or issubclass(outer, StrEnum):
        choices = args or tuple(outer)
        expected = "one of " + ", ".join(choices)
        if value in choices:
            return value if args else outer(str(value))
    else:
        expected = _SCALARS[hint]
        # Not isinstance: `true` is an int and a time stamp a date, but neither is meant.
        if type(value) is hint and str(value).strip():
            return value
    found = "nothing" if value is None else json.dumps(value, default=str, ensure_ascii=False)
    faults.append(f"{where}: expected {expected}, found {found[:60]}")
    return None


def _read_fields(hint: Any, raw: dict[str, object], where: str, faults: list[str]) -> Any:
    """The TOML table as the dataclass `hint`; one key per field, and no other."""
    outer = get_origin(hint) or hint
    hints = get_type_hints(outer)
    prefix = where and where + ("." if ":" in where else ": ")  # label ivory: listing 2.taxon
    values, known = {}, []
    for part in fields(outer):
        key = part.metadata.get("key", part.name)
        known.append(key)
        if key in raw or part.default is MISSING:
            # The fields of a generic class, as Translated[X], have a type that stands for X.
            inner = hints[part.name]
            inner = get_args(hint)[0] if isinstance(inner, TypeVar) else inner
            values[part.name] = read(inner, raw.get(key), prefix + key, faults)
    before = where and f"{where}: "
    faults += [before + unknown("key", key, known) for key in raw if key not in known]
    return outer(**values)


def unknown(what: str, found: str, known: Collection[str]) -> str:
    """What to say of a name that is not known."""
    near = difflib.get_close_matches(found, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {what} {found!r}{hint}: expected one of {', '.join(known)}"


def find(what: str, key: str, rows: Mapping[str, _T]) -> _T:
    """The row with this key; UsageError, which lists the keys, if there is none."""
    if key not in rows:
        raise UsageError(unknown(what, key, rows))
    return rows[key]
