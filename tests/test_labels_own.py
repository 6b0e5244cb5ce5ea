"""A label list of one's own: read from any editor, and refused with every fault named if broken."""

from datetime import date
from pathlib import Path

import pytest

from faunalens.errors import LabelError, UsageError
from faunalens.labels import LabelList, load_labels

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
