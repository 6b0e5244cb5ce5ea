"""Splits: whole groups, whole sources, every label in proportion, the same for the same seed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from faunalens.errors import UsageError
from faunalens_data.cli import main
from faunalens_data.manifest import ManifestError, Row, load_rows, write_manifest
from faunalens_data.split import (
    Scheme,
    Split,
    held_out_rows,
    make_splits,
    read_splits,
    training_rows,
    write_splits,
)

RESEARCH = Path(__file__).parents[1].parent / "shared" / "dataset"
SCHEMES: tuple[Scheme, ...] = ("part", "group_fold", "source_fold")


def data_set(seed: int, size: int = 300, sources: int = 25) -> list[Row]:
    """Rows without pictures: uneven labels, groups of one to four, some over two sources."""
    rng = np.random.default_rng(seed)
    kinds: tuple[tuple[tuple[str, ...], str | None], ...] = (
        (("ivory",), None),
        (("live_turtle",), None),
        (("live_turtle", "turtle_shell"), None),
        (("coral",), None),
        ((), "goods"),
        ((), "scene"),
    )
    rows: list[Row] = []
    while len(rows) < size:
        labels, kind = kinds[int(rng.choice(len(kinds), p=[0.2, 0.2, 0.05, 0.05, 0.3, 0.2]))]
        group = f"g{len(rows)}"
        first = int(sources * rng.random() ** 2)
        for _ in range(int(rng.integers(1, 5))):
            source = first if rng.random() < 0.9 else int(rng.integers(sources))
            name = f"{len(rows)}.jpg"
            rows.append(Row(name, f"{len(rows):064x}", labels, kind, group, source=f"s{source}"))
    return rows


def counts(rows: Sequence[Row], splits: Sequence[Split], scheme: Scheme) -> dict[str, Counter[str]]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for row, split in zip(rows, splits, strict=True):
        for stratum in row.strata:
            table[stratum][str(getattr(split, scheme))] += 1
    return table


@pytest.mark.parametrize("seed", range(5))
def test_no_group_and_no_source_is_torn(seed: int) -> None:
    rows = data_set(seed)
    splits = make_splits(rows, seed=seed, folds=4)
    places: dict[tuple[str, str], set[object]] = defaultdict(set)
    for row, split in zip(rows, splits, strict=True):
        assert (split.file, split.sha256) == (row.file, row.sha256)
        assert (split.group, split.source) == (row.group, row.source)
        assert split.part in ("train", "val", "test")
        assert split.group_fold in range(4) and split.source_fold in range(4)
        places["part", row.group].add(split.part)
        places["group_fold", row.group].add(split.group_fold)
        places["source_fold", row.source].add(split.source_fold)
    assert {len(values) for values in places.values()} == {1}


@pytest.mark.parametrize("seed", range(3))
def test_every_label_is_dealt_in_proportion(seed: int) -> None:
    rows = data_set(seed, size=600)
    splits = make_splits(rows, seed=seed)
    for stratum, parts in counts(rows, splits, "part").items():
        total = parts.total()
        for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            # Groups hold up to four pictures and cannot be torn.
            assert abs(parts[part] - share * total) <= 4, (stratum, parts)
    for stratum, folds in counts(rows, splits, "group_fold").items():
        assert max(folds.values()) - min(folds.values()) <= 4, (stratum, folds)


def test_sources_are_spread_as_evenly_as_they_can_be() -> None:
    # Five sources with all of ivory, five with all of goods: one of each per fold.
    rows = [
        Row(f"{number}.jpg", f"{number:064x}", labels, kind, f"g{number}", source=source)
        for number, (labels, kind, source) in enumerate(
            [(("ivory",), None, f"a{n}") for n in range(5) for _ in range(10)]
            + [((), "goods", f"b{n}") for n in range(5) for _ in range(30)]
        )
    ]
    for folds in counts(rows, make_splits(rows), "source_fold").values():
        assert len(folds) == 5 and len(set(folds.values())) == 1


def test_same_seed_same_splits_in_any_order() -> None:
    rows = data_set(1)
    splits = make_splits(rows, seed=3)
    assert make_splits(rows, seed=3) == splits
    assert make_splits(rows[::-1], seed=3) == splits[::-1]
    other = make_splits(rows, seed=4)
    assert [split.part for split in other] != [split.part for split in splits]
    assert [split.group_fold for split in other] != [split.group_fold for split in splits]


def test_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    splits = make_splits(data_set(2, size=20))
    write_splits(tmp_path / "s.csv", splits)
    assert read_splits(tmp_path / "s.csv") == splits
    header = (tmp_path / "s.csv").read_text().splitlines()[0]
    assert header == "file,sha256,group,source,part,group_fold,source_fold"


@pytest.mark.parametrize(
    "before, after, message",
    [
        (",train,", ",tarin,", "line 2: part 'tarin' must be one of train, val, test"),
        (",train,0,", ",train,-1,", "line 2: folds are counted from 0"),
        (",train,0,", ",train,x,", "line 2: folds 'x' and '0' must be whole numbers"),
        (",part,", ",parts,", "missing column part"),
    ],
)
def test_faulty_split_file(tmp_path: Path, before: str, after: str, message: str) -> None:
    write_splits(tmp_path / "s.csv", [Split("a.jpg", "0" * 64, "g", "s", "train", 0, 0)])
    text = (tmp_path / "s.csv").read_text().replace(before, after)
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_splits(tmp_path / "s.csv")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_leaks_into_training(scheme: Scheme) -> None:
    rows = data_set(4)
    splits = make_splits(rows)
    held = {"val", "test"} if scheme == "part" else {0}
    test = held_out_rows(rows, splits, scheme, held)
    train = training_rows(rows, splits, scheme, held)
    assert test and train
    assert not {row.group for row in train} & {row.group for row in test}
    if scheme == "source_fold":
        assert not {row.source for row in train} & {row.source for row in test}
        assert len(train) + len(test) < len(rows)  # groups over two sources are in neither
    else:
        assert len(train) + len(test) == len(rows)


def test_held_out_that_does_not_exist() -> None:
    rows = data_set(0, size=20)
    with pytest.raises(UsageError, match="no picture has group_fold 7; there are \\[0, 1, 2, 3, 4"):
        training_rows(rows, make_splits(rows), "group_fold", {7})


def test_splits_of_another_manifest_are_refused() -> None:
    rows = data_set(0, size=20)
    splits = make_splits(rows)
    new = replace(rows[0], sha256="f" * 64)
    with pytest.raises(ManifestError, match=r"0\.jpg .* is not in the split file; make"):
        training_rows([new, *rows[1:]], splits, "part", {"test"})
    with pytest.raises(ManifestError, match="is in group 'new', the split file says 'g0'; make"):
        training_rows([replace(rows[0], group="new"), *rows[1:]], splits, "part", {"test"})
    renamed = [replace(rows[0], file="renamed.jpg"), *rows[1:]]
    assert len(training_rows(renamed, splits, "part", {"test"})) > 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"val": 0.6, "test": 0.4}, "leave a share for training"),
        ({"val": -0.1}, "must be 0 or more"),
        ({"test": float("nan")}, "must be 0 or more"),
        ({"folds": 1}, "expected 2 folds or more, found 1"),
    ],
)
def test_impossible_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_splits(data_set(0, size=5), **options)  # type: ignore[arg-type]


def test_parts_of_no_share_stay_empty() -> None:
    splits = make_splits(data_set(0, size=50), val=0)
    assert {split.part for split in splits} == {"train", "test"}


def test_command(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", data_set(0))
    out = tmp_path / "splits.csv"
    command = ["split", str(tmp_path), "--out", str(out), "--folds", "3", "--seed", "5"]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0, answer.output
    assert read_splits(out) == make_splits(data_set(0), folds=3, seed=5)
    head = answer.stdout.splitlines()[0]
    assert head.split() == ["train", "val", "test", "all"]
    assert "source fold 2" in answer.stdout
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, again.stdout) == (2, "")
    assert CliRunner().invoke(main, [*command, "--overwrite"]).exit_code == 0


def test_command_warns_of_what_cannot_be_held_out(tmp_path: Path) -> None:
    rows = data_set(0, sources=3)
    rows = [replace(row, source="s0" if "coral" in row.labels else row.source) for row in rows]
    write_manifest(tmp_path / "manifest.csv", rows)
    answer = CliRunner().invoke(main, ["split", str(tmp_path), "--out", str(tmp_path / "s.csv")])
    assert answer.exit_code == 0
    assert "Warning: 3 sources for 5 source folds; some are empty" in answer.stderr
    assert "Warning: every coral is from s0" in answer.stderr


@pytest.mark.research
def test_research_set_is_split_without_leaks() -> None:
    if not (RESEARCH / "manifest.csv").is_file():
        pytest.skip(f"the research pictures are not at {RESEARCH}")
    rows, _ = load_rows(RESEARCH)
    splits = make_splits(rows)
    for fold in range(5):
        train = training_rows(rows, splits, "source_fold", {fold})
        test = held_out_rows(rows, splits, "source_fold", {fold})
        assert not {row.group for row in train} & {row.group for row in test}
        assert not {row.source for row in train} & {row.source for row in test}
        assert any(row.is_negative for row in test)
    for stratum, parts in counts(rows, splits, "part").items():
        if parts.total() >= 30:
            assert abs(parts["test"] / parts.total() - 0.15) < 0.03, (stratum, parts)
