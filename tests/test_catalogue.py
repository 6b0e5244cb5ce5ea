"""The catalogues: the same sentences in every language, all of them used, none missing."""

import ast
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("babel", reason="the extra `app` is not installed")

from faunalens.decide import Verdict
from faunalens.errors import FailureKind
from faunalens.fragments import law, plain
from faunalens.labels import LANGUAGES, load_labels
from faunalens_app.catalogue import NAMES, catalogue, preferred

APP = ROOT / "app" / "faunalens_app"
ENGLISH = catalogue("en").sentences
KEY = re.compile(r"[a-z]+\.[a-z0-9_]+")


OTHERS = [one for one in LANGUAGES if one != "en"]
LISTINGS = [listing for label in load_labels().labels for listing in label.listings]
LAW = {text for listing in LISTINGS for text in (listing.note, listing.source) if text}
"""What the label list says of the law in English alone, and officers are shown."""


def used() -> set[str]:
    """Keys that stand in the code; those put together there are spelt out here."""
    keys = {f"failure.{kind}" for kind in FailureKind} | {f"verdict.{v}" for v in Verdict}
    keys |= {key for key in ENGLISH if key.startswith(("chance.", "words."))}
    for path in APP.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                keys |= {node.value} & set(ENGLISH)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                start = str(node.values[0].value)
                if start.endswith((".", "_")) and "." in start:
                    keys |= {key for key in ENGLISH if key.startswith(start)}
    return keys


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_is_missing(language: str) -> None:
    sentences = catalogue(language).sentences
    assert set(sentences) == set(ENGLISH)
    assert not [key for key, sentence in sentences.items() if not sentence.strip()]
    for key, sentence in sentences.items():
        assert set(re.findall(r"\{\w+\}", sentence)) == set(re.findall(r"\{\w+\}", ENGLISH[key])), (
            key
        )


def test_every_sentence_asked_for_exists() -> None:
    for path in APP.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = ast.unparse(node.func)
            first = node.args[0]
            if name in ("say", "self", "self._say") and isinstance(first, ast.Constant):
                assert str(first.value) in ENGLISH, f"{path.name}: {first.value!r}"


def test_no_sentence_is_left_over() -> None:
    assert sorted(set(ENGLISH) - used()) == []


@pytest.mark.parametrize("language", OTHERS)
def test_sentences_are_translated(language: str) -> None:
    """A copy of the English is an oversight, but for words that are the same in both."""
    sentences = catalogue(language).sentences
    words = {key: re.sub(r"\{\w+\}", "", sentence) for key, sentence in ENGLISH.items()}
    same = [key for key in ENGLISH if len(words[key]) > 25 and sentences[key] == ENGLISH[key]]
    assert same == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_note_on_the_law_is_translated(language: str) -> None:
    """None is missing or left over; years, names of species and addresses stand as they were."""
    translated = catalogue(language).law
    assert set(translated) == LAW
    for english, text in translated.items():
        assert text.strip() and text != english
        for kept in (r"\d+", r"\b[A-Z]\. [a-z]+", r"\b[a-z0-9-]+\.(?:uk|cz|fr|in|mt|net|org)\b"):
            assert set(re.findall(kept, text)) == set(re.findall(kept, english)), english
        assert not re.search(r"\b(Appendix|Annex|recalled|proposal|copy|list of)\b", text)
        if language == "fr":
            assert not re.search(r" [:;]", text), "no break before these"


@pytest.mark.parametrize("language", OTHERS)
def test_the_law_of_a_label_is_shown_in_the_language(language: str) -> None:
    say, labels = catalogue(language), load_labels()
    for label in labels.labels:
        shown = law(label, labels.checked, say.words)
        assert 'lang="en"' not in shown
        assert not [one.note for one in label.listings if one.note and one.note in plain(shown)]


def test_languages_have_names() -> None:
    assert tuple(NAMES) == LANGUAGES
    with pytest.raises(KeyError):
        catalogue("xx")


def test_numbers_and_dates_follow_the_language() -> None:
    assert [catalogue(one).percent(0.9123).replace("\xa0", " ") for one in LANGUAGES] == [
        "91.2 %", "91,2 %", "91,2 %", "91,2 %",
    ]  # fmt: skip
    assert catalogue("de").percent(1.0) == "> 99,9\xa0%"
    assert catalogue("de").percent(0.0) == "< 0,1\xa0%"
    assert catalogue("fr").date(date(2026, 11, 25)) == "25 novembre 2026"
    assert catalogue("en").date(date(2026, 11, 25)) == "25 November 2026"
    assert catalogue("nl").time(datetime(2026, 11, 25, 8, 5, tzinfo=UTC)).startswith("25 nov")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("nl-BE,nl;q=0.9,fr;q=0.8", "nl"),
        ("es, fr;q=0.5, de;q=0.7", "de"),
        ("FR", "fr"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("it,*", "en"),
        ("fr;q=x, nl", "nl"),
        (",;q=," * 1000, "en"),
    ],
)
def test_the_language_of_the_browser(header: str, language: str) -> None:
    assert preferred(header) == language


def test_within_a_sentence() -> None:
    assert catalogue("de").within("Elfenbein") == "Elfenbein"
    assert catalogue("fr").within("Ivoire") == "ivoire"


def test_catalogues_are_the_only_files() -> None:
    files = {path.name for path in Path(APP / "locales").iterdir()}
    assert files == {f"{language}.po" for language in LANGUAGES}
