"""The label list: what the model can name, in four languages, with the law and the next checks.

labels.toml is the one place where these facts stand; this file reads it and refuses a faulty one.
"""

import difflib
import functools
import json
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import date
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from faunalens.errors import LabelError, UsageError

LANGUAGES = ("en", "fr", "nl", "de")
"""Codes of the languages in which every text of the list exists."""

SCHEMA = 1
"""The layout of labels.toml that this version reads."""

Appendix = Literal["I", "II", "I/II", "not listed"]
Annex = Literal["A", "B", "A/B", "not listed"]
"""`I/II` and `A/B`: it depends on the population, species or subspecies (see the note)."""

_T = TypeVar("_T")


class Kind(StrEnum):
    """What a photo with this label shows."""

    PRODUCT = "product"
    LIVE = "live"
    WHOLE_ANIMAL = "whole_animal"  # dead or alive: a photo cannot always tell


@dataclass(frozen=True)
class Translated(Generic[_T]):
    """One text in every language: `names.fr`, or `names[language]` when that is a variable."""

    en: _T
    fr: _T
    nl: _T
    de: _T

    def __getitem__(self, language: str) -> _T:
        text: _T = _find("language", language, vars(self))
        return text


@dataclass(frozen=True)
class Listing:
    """Where one taxon stands in CITES and in Council Regulation (EC) No 338/97.

    Attributes:
        taxon: Scientific name.
        cites_verified: Whether `cites` was read in `source`; if not, it is from memory.
        eu_verified: Whether `eu_annex` was read in `source`; if not, it is from memory.
        as_of: Date of the text read; that of the table if none was read or the text has no date.
        note: Exceptions and doubts, in English; may be empty.
    """

    taxon: str
    cites: Appendix
    cites_verified: bool
    eu_annex: Annex
    eu_verified: bool
    as_of: date
    source: str
    note: str = ""


@dataclass(frozen=True)
class Label:
    """One output of the model.

    Attributes:
        family: Id of its family.
        names: Short name, fit for a heading.
        looks_like: One sentence for the answer; it never judges.
        check: What an officer must check next, a sentence each.
        look_alikes: Common goods that are mistaken for it.
    """

    id: str
    kind: Kind
    family: str
    names: Translated[str]
    looks_like: Translated[str]
    check: Translated[tuple[str, ...]]
    look_alikes: Translated[tuple[str, ...]]
    listings: tuple[Listing, ...] = field(metadata={"key": "listing"})


@dataclass(frozen=True)
class Family:
    """Labels that an answer may sum up ("a reptile, kind uncertain")."""

    id: str
    names: Translated[str]


@dataclass(frozen=True)
class LabelList:
    """All labels, in model order. Wherever a listing is shown, print `checked` with it."""

    labels: tuple[Label, ...] = field(metadata={"key": "label"})
    families: tuple[Family, ...] = field(metadata={"key": "family"})
    schema: int
    checked: date

    @property
    def ids(self) -> tuple[str, ...]:
        """Label ids, in model order."""
        return tuple(label.id for label in self.labels)

    def label(self, label_id: str) -> Label:
        """The label with this id; UsageError, which lists the ids, if there is none."""
        return _find("label", label_id, {label.id: label for label in self.labels})

    def family(self, family_id: str) -> Family:
        """The family with this id; UsageError, which lists the ids, if there is none."""
        return _find("family", family_id, {family.id: family for family in self.families})

    def labels_of(self, family_id: str) -> tuple[Label, ...]:
        """The labels of a family, in model order; UsageError as for `family`."""
        family = self.family(family_id)
        return tuple(label for label in self.labels if label.family == family.id)


def load_labels(path: Path | None = None) -> LabelList:
    """Read a label list; without a path the one in this package, which is read once.

    Raises:
        LabelError: The file breaks the layout; names every fault with its label and field.
        UsageError: The file cannot be read.
    """
    if path is None:
        return _packaged()
    try:
        return _parse(path.read_bytes(), path.name)
    except OSError as error:
        raise UsageError(f"expected a label list, could not read it: {error}") from error


@functools.cache
def _packaged() -> LabelList:
    return _parse(files("faunalens").joinpath("labels.toml").read_bytes(), "labels.toml")


def _parse(data: bytes, name: str) -> LabelList:
    try:
        raw = tomllib.loads(data.decode("utf-8-sig"))  # -sig: Windows editors may add a mark
    except ValueError as error:  # bad TOML or bad UTF-8
        reason = str(error).replace("at end", f"at line {len(data.splitlines())}, the end")
        raise LabelError(f"{name}: expected TOML in UTF-8, found: {reason}") from error
    schema = raw.get("schema")
    if type(schema) is int and schema != SCHEMA:
        # Another layout has other rules: any further fault would mislead.
        advice = "use the faunalens that the file was made for"
        raise LabelError(f"{name}: schema: expected {SCHEMA}, found {schema}; {advice}")
    faults: list[str] = []
    read: LabelList = _read(LabelList, raw, "", faults)
    faults += _misfits(read)
    if faults:
        raise LabelError(f"{name}: {len(faults)} to correct: " + "; ".join(faults))
    return read


_SCALARS = {str: "a text", bool: "true or false", int: "a whole number", date: "a date"}


def _read(hint: Any, value: object, where: str, faults: list[str]) -> Any:
    """The TOML value as type `hint`; what does not fit goes to `faults` and comes back as None."""
    outer, args = get_origin(hint) or hint, get_args(hint)
    if outer is tuple:
        expected = "a list with at least one entry"
        if isinstance(value, list) and value:
            ids = [isinstance(row, dict) and row.get("id") for row in value]
            rows = [(ids[n] or n + 1, row) for n, row in enumerate(value)]
            return tuple(_read(args[0], row, f"{where} {name}", faults) for name, row in rows)
    elif is_dataclass(outer):
        expected = "a table"
        if isinstance(value, dict):
            return _read_fields(hint, value, where, faults)
    elif outer in (Kind, Literal):
        choices = args or tuple(Kind)
        expected = "one of " + ", ".join(choices)
        if value in choices:
            return value if args else Kind(str(value))
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
            # The fields of Translated[X] have type _T, which stands for X.
            inner = get_args(hint)[0] if hints[part.name] is _T else hints[part.name]
            values[part.name] = _read(inner, raw.get(key), prefix + key, faults)
    before = where and f"{where}: "
    faults += [before + _unknown("key", key, known) for key in raw if key not in known]
    return outer(**values)


def _misfits(read: LabelList) -> Iterator[str]:
    """Faults between rows. Whatever `_read` has refused is None by now, and passed over."""
    labels = [row for row in read.labels or () if row]
    ids = Counter(row.id for row in labels if row.id)
    families = Counter(row.id for row in read.families or () if row and row.id)
    for what, counts in (("family", families), ("label", ids)):
        for row_id in (row_id for row_id, times in counts.items() if times > 1):
            yield f"{what} {row_id}: id: expected once, found {counts[row_id]} times"
    for label in labels:
        if label.family and label.family not in families:
            yield f"label {label.id}: family: " + _unknown("family", label.family, families)
    for empty in [one for one in families if one not in {label.family for label in labels}]:
        yield f'family {empty}: expected a label with family = "{empty}", found none'


def _unknown(what: str, found: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(found, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {what} {found!r}{hint}: expected one of {', '.join(known)}"


def _find(what: str, key: str, rows: Mapping[str, _T]) -> _T:
    if key not in rows:
        raise UsageError(_unknown(what, key, rows))
    return rows[key]
