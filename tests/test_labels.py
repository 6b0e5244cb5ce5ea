"""The label list: the shipped one is complete, a broken one is refused with every fault named."""

import pickle
import re
from datetime import date
from pathlib import Path

import pytest

from faunalens.errors import LabelError, UsageError
from faunalens.labels import LANGUAGES, Family, Kind, Label, LabelList, load_labels

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

GOOD = """\
schema = 1
checked = 2026-11-24

[[family]]
id = "ivory"
names = { en = "Ivory", fr = "Ivoire", nl = "Ivoor", de = "Elfenbein" }

[[label]]
id = "ivory"
kind = "product"
family = "ivory"
names = { en = "Ivory", fr = "Ivoire", nl = "Ivoor", de = "Elfenbein" }
looks_like = { en = "Like it.", fr = "Semblable.", nl = "Lijkt erop.", de = "Sieht so aus." }
check = { en = ["Look."], fr = ["Voir."], nl = ["Kijk."], de = ["Sehen."] }
look_alikes = { en = ["bone"], fr = ["os"], nl = ["been"], de = ["Knochen"] }

[[label.listing]]
taxon = "Elephas maximus"
cites = "I"
cites_verified = false
eu_annex = "A"
eu_verified = true
as_of = 2026-11-24
source = "recalled"
"""

SECOND = GOOD[GOOD.index("[[label]]") :]
LABELS = load_labels()


TAXON = """
[[taxon]]
id = "elephas"
label = "ivory"
imagenet = 385
synset = "n02504013"
names = { en = "Asian", fr = "Asie", nl = "Azië", de = "Asien" }
[taxon.listing]
taxon = "Elephas maximus"
cites = "I"
cites_verified = false
eu_annex = "A"
eu_verified = false
as_of = 2026-11-24
source = "recalled"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


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


# ---------------------------------------------------------------------------- a list of one's own


def test_small_list_is_read(tmp_path: Path) -> None:
    read = load_labels(write(tmp_path, GOOD))
    assert isinstance(read, LabelList)
    (listing,) = read.label("ivory").listings
    assert (listing.cites, listing.eu_annex) == ("I", "A")
    assert (listing.cites_verified, listing.eu_verified) == (False, True)
    assert (listing.as_of, listing.note) == (date(2026, 11, 24), "")
    assert read.label("ivory").check.de == ("Sehen.",)


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_lists_from_any_editor_are_read(tmp_path: Path, before: bytes, newline: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(before + GOOD.encode().replace(b"\n", newline))
    assert load_labels(path) == load_labels(write(tmp_path, GOOD))


def test_changed_list_is_read_again(tmp_path: Path) -> None:
    assert load_labels(write(tmp_path, GOOD)).labels[0].names.en == "Ivory"
    changed = GOOD.replace('en = "Ivory"', 'en = "Tusk"')
    assert load_labels(write(tmp_path, changed)).labels[0].names.en == "Tusk"


BROKEN = {
    # name: (what to replace, by what, the faults expected, in full)
    "unknown key in file": ("checked", "extra = 1\nchecked", ["unknown key 'extra'"]),
    "unknown key in label": (
        "kind =",
        'kin = "live"\nkind =',
        ["label ivory: unknown key 'kin' (did you mean 'kind'?): expected one of id, kind,"],
    ),
    "unknown key in listing": (
        "taxon =",
        "verified = true\ntaxon =",
        ["label ivory: listing 1: unknown key 'verified' (did you mean 'eu_verified'?)"],
    ),
    "unknown language": (
        'names = { en = "Ivory"',
        'names = { es = "Marfil", en = "Ivory"',
        ["family ivory: names: unknown key 'es'", "label ivory: names: unknown key 'es'"],
    ),
    "missing key": (
        'kind = "product"\n',
        "",
        ["label ivory: kind: expected one of product, live, whole_animal, found nothing"],
    ),
    "missing id": ('[[label]]\nid = "ivory"', "[[label]]", ["label 1: id: expected a text"]),
    "missing language": (
        'looks_like = { en = "Like it.",',
        "looks_like = {",
        ["label ivory: looks_like.en: expected a text, found nothing"],
    ),
    "empty text": (
        'fr = "Semblable."',
        'fr = " "',
        ['label ivory: looks_like.fr: expected a text, found " "'],
    ),
    "empty text in a list": (
        '["os"]',
        '["os", ""]',
        ['label ivory: look_alikes.fr 2: expected a text, found ""'],
    ),
    "empty list": (
        '["Kijk."]',
        "[]",
        ["label ivory: check.nl: expected a list with at least one entry, found []"],
    ),
    "text for a list": (
        '["Kijk."]',
        '"Kijk."',
        ['label ivory: check.nl: expected a list with at least one entry, found "Kijk."'],
    ),
    "duplicated label": (SECOND, SECOND * 2, ["label ivory: id: expected once, found 2 times"]),
    "duplicated family": (
        "[[label]]",
        '[[family]]\nid = "ivory"\nnames = {en="I", fr="I", nl="I", de="I"}\n[[label]]',
        ["family ivory: id: expected once, found 2 times"],
    ),
    "unknown family": (
        'family = "ivory"',
        'family = "ivry"',
        [
            "label ivory: family: unknown family 'ivry' (did you mean 'ivory'?)",
            'family ivory: expected a label with family = "ivory", found none',
        ],
    ),
    "family without labels": (
        "[[label]]",
        '[[family]]\nid = "fur"\nnames = {en="I", fr="I", nl="I", de="I"}\n[[label]]',
        ['family fur: expected a label with family = "fur", found none'],
    ),
    "bad kind": ('"product"', '"thing"', ["label ivory: kind: expected one of product, live"]),
    "bad appendix": (
        'cites = "I"',
        'cites = "III"',
        ['label ivory: listing 1.cites: expected one of I, II, I/II, not listed, found "III"'],
    ),
    "bad annex": (
        'eu_annex = "A"',
        'eu_annex = "a"',
        ['label ivory: listing 1.eu_annex: expected one of A, B, A/B, not listed, found "a"'],
    ),
    "text for a flag": (
        "eu_verified = true",
        'eu_verified = "yes"',
        ['label ivory: listing 1.eu_verified: expected true or false, found "yes"'],
    ),
    "text for a date": (
        "as_of = 2026-11-24",
        "as_of = 2026-11-24T10:00:00",
        ['label ivory: listing 1.as_of: expected a date, found "2026-11-24 10:00:00"'],
    ),
    "flag for a number": ("schema = 1", "schema = true", ["schema: expected a whole number"]),
    "number for a text": (
        'source = "recalled"',
        "source = 7",
        ["label ivory: listing 1.source: expected a text, found 7"],
    ),
    "table for a list of tables": (
        "[[label.listing]]",
        "[label.listing]",
        ['label ivory: listing: expected a list with at least one entry, found {"taxon"'],
    ),
    "text for a table": (
        "look_alikes = {",
        'look_alikes = "bone"\n# {',
        ['label ivory: look_alikes: expected a table, found "bone"'],
    ),
    "no labels": (
        SECOND,
        "",
        ["label: expected a list with at least one entry, found nothing", "family ivory: expected"],
    ),
}


@pytest.mark.parametrize(("old", "new", "faults"), BROKEN.values(), ids=BROKEN)
def test_broken_lists_are_refused_with_every_fault(
    tmp_path: Path, old: str, new: str, faults: list[str]
) -> None:
    assert old in GOOD
    with pytest.raises(LabelError) as caught:
        load_labels(write(tmp_path, GOOD.replace(old, new)))
    message = str(caught.value)
    assert message.startswith(f"mine.toml: {len(faults)} to correct: ")
    assert "\n" not in message
    for fault in faults:
        assert fault in message


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('label = "ivory"', 'label = "ivry"', "taxon elephas: label: unknown label 'ivry'"),
        ("385", "1000", "taxon elephas: imagenet: expected 0 to 999, found 1000"),
        ("385", '"x"', 'taxon elephas: imagenet: expected a whole number, found "x"'),
        ("n02504013", "02504013", "taxon elephas: synset: expected n and 8 digits"),
        ('cites = "I"', 'cites = "V"', "taxon elephas: listing.cites: expected one of"),
        (TAXON, TAXON * 2, "taxon elephas: id: expected once, found 2 times"),
        (TAXON, TAXON + TAXON.replace("elephas", "x"), "taxon x: imagenet: 385 stands more than"),
    ],
)
def test_broken_taxa_are_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert load_labels(write(tmp_path, GOOD + TAXON)).taxon("elephas").imagenet == 385
    assert load_labels(write(tmp_path, GOOD)).taxa == ()
    with pytest.raises(LabelError) as caught:
        load_labels(write(tmp_path, GOOD + TAXON.replace(old, new)))
    assert fault in str(caught.value)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = GOOD + SECOND.replace('"ivory"', '"tusk"').replace('"I"', '"IV"')
    with pytest.raises(LabelError) as caught:
        load_labels(write(tmp_path, text.replace("checked = 2026-11-24", 'checked = "today"')))
    assert str(caught.value).startswith("mine.toml: 3 to correct: ")
    for part in ["listing 1.cites", "checked: expected a date", "unknown family 'tusk'"]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["schema: expected a whole number, found nothing"]),
        ("schema = 2\nfuture = 1", ["schema: expected 1, found 2", "use the faunalens"]),
        ("schema = 1\nchecked = \n", ["expected TOML", "line 2"]),
        ('schema = 1\n\nid = """open\n', ["expected TOML", "at line 3, the end of document"]),
        (GOOD.replace('kind = "product"', 'kind = "product"\nkind = "live"'), ["line 11"]),
        ("label = [1]", ["label 1: expected a table, found 1"]),
        ('[[label]]\nid = ["x"]', ["id: expected a text, found", "kind: expected one of"]),
    ],
    ids=["empty", "newer schema", "no value", "open text", "key twice", "number", "list for id"],
)
def test_files_that_are_no_label_list_are_refused(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    with pytest.raises(LabelError) as caught:
        load_labels(write(tmp_path, text))
    for part in ["mine.toml: ", *parts]:
        assert part in str(caught.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes('title = "écaille"'.encode("latin-1"))
    with pytest.raises(LabelError, match=r"mine\.toml: expected TOML in UTF-8, found: .*0xe9"):
        load_labels(path)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_files_that_cannot_be_read_are_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a label list, could not read it"):
        load_labels(tmp_path / name)
