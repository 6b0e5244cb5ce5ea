"""The shipped label list is complete and says how sure it is; ids and languages are looked up."""

import pickle
import re
from datetime import date

import pytest

from faunalens.errors import UsageError
from faunalens.labels import LANGUAGES, Family, Kind, Label, load_labels

# Label, kind, family. Models, records and other programs hang on this order.
ORDER = [
    ("ivory", Kind.PRODUCT, "ivory"),
    ("pangolin_scales", Kind.PRODUCT, "pangolin"),
    ("pangolin", Kind.WHOLE_ANIMAL, "pangolin"),
    ("turtle_shell", Kind.PRODUCT, "turtle_shell"),
    ("live_snake", Kind.LIVE, "live_reptile"),
    ("live_lizard", Kind.LIVE, "live_reptile"),
    ("live_turtle", Kind.LIVE, "live_reptile"),
    ("live_crocodilian", Kind.LIVE, "live_reptile"),
    ("reptile_leather", Kind.PRODUCT, "reptile_leather"),
    ("big_cat", Kind.LIVE, "live_mammal_bird"),
    ("primate", Kind.LIVE, "live_mammal_bird"),
    ("elephant", Kind.LIVE, "live_mammal_bird"),
    ("rhino", Kind.LIVE, "live_mammal_bird"),
    ("parrot", Kind.LIVE, "live_mammal_bird"),
]

LABELS = load_labels()


def sentences(label: Label, language: str) -> list[str]:
    return [label.names[language], label.looks_like[language], *label.check[language]]


# ------------------------------------------------------------------------------ the shipped list


def test_order_kinds_and_families_are_those_of_the_design() -> None:
    assert [(label.id, label.kind, label.family) for label in LABELS.labels] == ORDER
    assert LABELS.ids == tuple(label_id for label_id, _, _ in ORDER)
    assert [family.id for family in LABELS.families] == list(dict.fromkeys(f for *_, f in ORDER))


def test_shipped_list_is_read_once_and_can_go_to_a_worker() -> None:
    assert load_labels() is LABELS
    assert (LABELS.schema, LABELS.checked) == (1, date(2026, 11, 24))
    assert pickle.loads(pickle.dumps(LABELS)) == LABELS
    assert hash(LABELS) == hash(pickle.loads(pickle.dumps(LABELS)))


@pytest.mark.parametrize("label", LABELS.labels, ids=LABELS.ids)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_stands_in_every_language(label: Label, language: str) -> None:
    for text in [*sentences(label, language), *label.look_alikes[language]]:
        assert text.strip() == text != ""
    for sentence in sentences(label, language)[1:]:
        assert sentence[0].isupper() and sentence.endswith(".")
    assert 2 <= len(label.check[language]) <= 4
    assert len(label.check[language]) == len(label.check.en)
    assert len(label.look_alikes[language]) == len(label.look_alikes.en) >= 3
    assert len(set(label.look_alikes[language])) == len(label.look_alikes.en)


@pytest.mark.parametrize("label", LABELS.labels, ids=LABELS.ids)
def test_every_language_has_its_own_words(label: Label) -> None:
    texts = [sentences(label, language) for language in LANGUAGES]
    for versions in zip(*texts, strict=True):
        assert len(set(versions)) == len(LANGUAGES), versions
    assert len({label.look_alikes[language] for language in LANGUAGES}) == len(LANGUAGES)


@pytest.mark.parametrize("family", LABELS.families, ids=lambda family: family.id)
def test_every_family_has_a_name_in_every_language(family: Family) -> None:
    names = {family.names[language] for language in LANGUAGES}
    # A pangolin is the same word in French and English.
    assert len(names) == (3 if family.id == "pangolin" else 4)


def test_french_punctuation_does_not_break_off() -> None:
    for label in LABELS.labels:
        for text in [*sentences(label, "fr"), *label.look_alikes.fr]:
            assert not re.search(r"[^\u00a0][:;?!]", text), text


def test_nothing_is_called_unlawful(request: pytest.FixtureRequest) -> None:
    text = (request.config.rootpath / "inference/faunalens/labels.toml").read_text("utf-8")
    assert not re.search(r"ill[eé]ga|illicit|widerrechtlich|onwettig", text, re.IGNORECASE)


@pytest.mark.parametrize("label", LABELS.labels, ids=LABELS.ids)
def test_listings_say_how_sure_they_are(label: Label) -> None:
    for listing in label.listings:
        read = listing.cites_verified or listing.eu_verified
        assert read != listing.source.startswith("recalled"), listing.taxon
        assert listing.as_of <= LABELS.checked
        if not read:
            assert listing.as_of == LABELS.checked
        if "/" in listing.cites + listing.eu_annex:
            assert listing.note, f"{listing.taxon}: on what does it depend?"


TAXA = {taxon.id: taxon for taxon in LABELS.taxa}


def test_taxa_are_the_classes_that_imagenet_says() -> None:
    from timm.data import ImageNetInfo

    known = ImageNetInfo()
    assert len(TAXA) >= 45
    for taxon in TAXA.values():
        assert known.index_to_label_name(taxon.imagenet) == taxon.synset, taxon.id
        # ImageNet names species by older names here and there, but never by another genus.
        said = known.index_to_description(taxon.imagenet, detailed=False)
        shared = set(re.findall(r"\w+", said.lower())) & set(
            re.findall(r"\w+", f"{taxon.names.en} {taxon.listing.taxon}".lower())
        )
        assert shared, f"{taxon.id}: ImageNet says {said}"


@pytest.mark.parametrize("taxon_id", TAXA)
def test_taxa_are_listed_and_say_how_sure_they_are(taxon_id: str) -> None:
    taxon = TAXA[taxon_id]
    listing = taxon.listing
    assert "not listed" not in (listing.cites, listing.eu_annex)
    assert (listing.cites_verified or listing.eu_verified) != listing.source.startswith("recalled")
    assert listing.as_of <= LABELS.checked
    assert "/" not in listing.cites + listing.eu_annex or listing.note
    assert re.sub(r"\W", "_", listing.taxon.lower()).startswith(taxon_id.split("_")[0][:8])
    for language in LANGUAGES:
        name = taxon.names[language]
        assert name == name.strip() and name[0].isupper()
    # Fit for a list: no two taxa of a language share a name.
    assert all(
        len({other.names[language] for other in TAXA.values()}) == len(TAXA)
        for language in LANGUAGES
    )


def test_a_taxon_has_one_appendix_and_annex_wherever_it_stands() -> None:
    seen: dict[str, set[tuple[str, str]]] = {}
    listings = [listing for label in LABELS.labels for listing in label.listings]
    for listing in [*listings, *(taxon.listing for taxon in LABELS.taxa)]:
        seen.setdefault(listing.taxon, set()).add((listing.cites, listing.eu_annex))
    assert {taxon: facts for taxon, facts in seen.items() if len(facts) > 1} == {}


# ---------------------------------------------------------------------------------------- lookup


def test_lookup() -> None:
    assert LABELS.label("live_snake").names.de == "Lebende Schlange"
    assert LABELS.label("pangolin").kind is Kind.WHOLE_ANIMAL
    assert LABELS.family("pangolin").names["nl"] == "Pangolin (schubdier)"
    assert LABELS.taxon("panthera_tigris").listing.cites == "I"
    assert [label.id for label in LABELS.labels_of("pangolin")] == ["pangolin_scales", "pangolin"]


@pytest.mark.parametrize(
    ("what", "wanted", "parts"),
    [
        ("label", "ivroy", ["unknown label 'ivroy'", "did you mean 'ivory'?", "live_snake"]),
        ("label", "zzz", ["unknown label 'zzz': expected one of ivory, pangolin_scales"]),
        ("label", "", ["unknown label ''"]),
        ("family", "live_reptiles", ["did you mean 'live_reptile'?", "live_mammal_bird"]),
        ("labels_of", "Ivory", ["unknown family 'Ivory'", "did you mean 'ivory'?"]),
    ],
)
def test_unknown_ids_are_answered_with_the_known_ones(
    what: str, wanted: str, parts: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        getattr(LABELS, what)(wanted)
    for part in parts:
        assert part in str(caught.value)


def test_unknown_language_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown language 'es': expected one of en, fr, nl, de"):
        LABELS.label("ivory").names["es"]
