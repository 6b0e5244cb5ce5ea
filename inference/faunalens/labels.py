"""The label list: what the model can name, in four languages, with the law and the next checks.

labels.toml is the one place where these facts stand; this file reads it and refuses a faulty one.
"""

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Generic, Literal, TypeVar

from faunalens.errors import LabelError, UsageError
from faunalens.tables import find, read, unknown

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
        text: _T = find("language", language, vars(self))
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
class Taxon:
    """A listed kind of a label that ImageNet has a class for; a model may hint at it.

    Attributes:
        label: Id of the label that it is a kind of.
        imagenet: Place of its class among the 1000 of ILSVRC 2012, from 0.
        synset: WordNet id of that class, such as `n01664065`.
        names: Short name, fit for a heading.
    """

    id: str
    label: str
    imagenet: int
    synset: str
    names: Translated[str]
    listing: Listing


@dataclass(frozen=True)
class LabelList:
    """All labels, in model order. Wherever a listing is shown, print `checked` with it."""

    labels: tuple[Label, ...] = field(metadata={"key": "label"})
    families: tuple[Family, ...] = field(metadata={"key": "family"})
    schema: int
    checked: date
    taxa: tuple[Taxon, ...] = field(default=(), metadata={"key": "taxon"})

    @property
    def ids(self) -> tuple[str, ...]:
        """Label ids, in model order."""
        return tuple(label.id for label in self.labels)

    def label(self, label_id: str) -> Label:
        """The label with this id; UsageError, which lists the ids, if there is none."""
        return find("label", label_id, {label.id: label for label in self.labels})

    def family(self, family_id: str) -> Family:
        """The family with this id; UsageError, which lists the ids, if there is none."""
        return find("family", family_id, {family.id: family for family in self.families})

    def taxon(self, taxon_id: str) -> Taxon:
        """The taxon with this id; UsageError, which lists the ids, if there is none."""
        return find("taxon", taxon_id, {taxon.id: taxon for taxon in self.taxa})

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
    found: LabelList = read(LabelList, raw, "", faults)
    faults += _misfits(found)
    if faults:
        raise LabelError(f"{name}: {len(faults)} to correct: " + "; ".join(faults))
    return found


def _misfits(found: LabelList) -> Iterator[str]:
    """Faults between rows. Whatever `read` has refused is None by now, and passed over."""
    labels = [row for row in found.labels or () if row]
    taxa = [row for row in found.taxa or () if row]
    ids = Counter(row.id for row in labels if row.id)
    families = Counter(row.id for row in found.families or () if row and row.id)
    taxon_ids = Counter(row.id for row in taxa if row.id)
    for what, counts in (("family", families), ("label", ids), ("taxon", taxon_ids)):
        for row_id in (row_id for row_id, times in counts.items() if times > 1):
            yield f"{what} {row_id}: id: expected once, found {counts[row_id]} times"
    for label in labels:
        if label.family and label.family not in families:
            yield f"label {label.id}: family: " + unknown("family", label.family, families)
    for empty in [one for one in families if one not in {label.family for label in labels}]:
        yield f'family {empty}: expected a label with family = "{empty}", found none'
    classes = Counter(row.imagenet for row in taxa)
    for taxon in taxa:
        if taxon.label and taxon.label not in ids:
            yield f"taxon {taxon.id}: label: " + unknown("label", taxon.label, ids)
        if taxon.synset and not re.fullmatch(r"n\d{8}", taxon.synset):
            yield f"taxon {taxon.id}: synset: expected n and 8 digits, found {taxon.synset[:60]}"
        if taxon.imagenet is not None and not 0 <= taxon.imagenet < 1000:
            yield f"taxon {taxon.id}: imagenet: expected 0 to 999, found {taxon.imagenet}"
        elif taxon.imagenet is not None and classes[taxon.imagenet] > 1:
            yield f"taxon {taxon.id}: imagenet: {taxon.imagenet} stands more than once"
