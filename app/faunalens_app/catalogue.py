"""Every sentence of the screens, in the languages of labels.toml: one PO catalogue per language.

The catalogues are read as they are (Babel); keys stand for sentences, and are the same in all.
The law's notes and sources, which the label list has in English alone, stand there under the
context `law`, and are their own keys.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import resources
from types import MappingProxyType

from babel.dates import format_date, format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from faunalens.decide import Verdict
from faunalens.fragments import Words
from faunalens.labels import LANGUAGES
from faunalens.record import Record

NAMES = MappingProxyType(
    {"en": "English", "fr": "Français", "nl": "Nederlands", "de": "Deutsch"}  # each in itself
)

_CHANCES = (
    (0.95, "very_likely"),
    (0.75, "likely"),
    (0.4, "uncertain"),
    (0.1, "unlikely"),
    (0.0, "very_unlikely"),
)  # lower end of each range, and its words


@dataclass(frozen=True)
class Catalogue:
    """The sentences of one language; `say("check.title", n=3)` gives one of them.

    Attributes:
        sentences: By key.
        law: English notes and sources of listings to their translations; none for English.
    """

    language: str
    sentences: Mapping[str, str]
    law: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, key: str, **values: object) -> str:
        """The sentence, with its places filled.

        Raises:
            KeyError: There is no such sentence, or a value for one of its places is missing.
        """
        sentence = self.sentences[key]
        return sentence.format(**values) if values else sentence

    def number(self, value: float) -> str:
        """A number with this language's separators."""
        return str(format_decimal(value, locale=self.language))

    def percent(self, probability: float) -> str:
        """`99.7 %`. Never 0 or 100: a model is not certain."""
        sign, value = "", round(100 * probability, 1)
        if probability > 0.999:
            sign, value = "> ", 99.9
        elif probability < 0.001:
            sign, value = "< ", 0.1
        text = format_decimal(value, format="0.0", locale=self.language)
        return f"{sign}{text}\N{NO-BREAK SPACE}%"

    def chance(self, probability: float) -> str:
        """A probability in words."""
        word = next(word for least, word in _CHANCES if probability >= least)
        return self(f"chance.{word}")

    def within(self, name: str) -> str:
        """A label's name as it stands inside a sentence: German keeps its capitals."""
        return name if self.language == "de" else name[:1].lower() + name[1:]

    def date(self, day: date) -> str:
        """A day, written out."""
        return str(format_date(day, "long", locale=self._dates))

    def time(self, moment: datetime) -> str:
        """A day and a time with its zone."""
        zone = moment.strftime("%z")
        return f"{format_datetime(moment, 'medium', locale=self._dates)} (UTC{zone or '+0000'})"

    @property
    def _dates(self) -> str:
        return "en_GB" if self.language == "en" else self.language  # day before month

    def failure(self, record: Record) -> str:
        """Why a photo has no verdict."""
        from faunalens.decode import MAX_BYTES, MAX_PIXELS

        if record.failure is None:
            return ""
        return self(
            f"failure.{record.failure.kind}",
            pixels=MAX_PIXELS // 10**6,
            mb=MAX_BYTES // 2**20,
        )

    @functools.cached_property
    def words(self) -> Words:
        """The words of the pieces that the report shares."""
        return Words(
            verdicts=MappingProxyType({v: self(f"verdict.{v}") for v in Verdict}),
            uncertain=self("words.uncertain"),
            cannot_show=self("words.cannot_show"),
            check=self("words.check"),
            look_alikes=self("words.look_alikes"),
            law=self("words.law"),
            appendix=self("words.appendix"),
            annex=self("words.annex"),
            not_listed=self("words.not_listed"),
            as_of=self("words.as_of"),
            not_verified=self("words.not_verified"),
            checked=self("words.checked"),
            written=self.date,
            notes=self.law,
        )


@functools.cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language.

    Raises:
        KeyError: Not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    file = resources.files("faunalens_app").joinpath("locales", f"{language}.po")
    with file.open("rb") as handle:
        read = [one for one in read_po(handle, locale=language) if one.id]
    sentences = {str(one.id): str(one.string) for one in read if one.context is None}
    law = {str(one.id): str(one.string) for one in read if one.context == "law"}
    return Catalogue(language, MappingProxyType(sentences), MappingProxyType(law))


def preferred(accept_language: str) -> str:
    """The first of our languages that a browser asks for (RFC 9110, 12.5.4); English if none."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")[:50]):
        tag, _, weight = part.partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES and quality > 0:
            wanted.append((-quality, place, language))
    return min(wanted)[2] if wanted else LANGUAGES[0]
