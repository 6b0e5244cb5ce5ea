"""The model card: made from a run and its evaluation, without hand edits."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from evaluation_runs import LABELS, draw_set, write_folds, write_run

from faunalens_train.cli import main
from faunalens_train.keyed import shares


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_evidence_on_the_object_and_beside_it() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    evidence = np.full((4, 4), -1.0, np.float32)
    evidence[1, 3], evidence[2, 0] = 3.0, 1.0
    assert shares(evidence, mask) == (0.5, 0.75, 1.0)
    evidence[2, 0] = 9.0
    assert shares(evidence, mask) == (0.5, 0.25, 0.0)
    assert shares(np.full((4, 4), -1.0, np.float32), mask)[1] == 0


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_set(tmp_path_factory.mktemp("card"))
    first = write_run(root, root / "run", "part", 3.0)
    folds = write_folds(root, root / "folds", 1.0)
    answer = run("evaluate", first, "--folds", folds)
    assert answer.exit_code == 0, answer.output
    return first


def test_card_says_what_for_how_good_and_where_it_fails(evaluated: Path, tmp_path: Path) -> None:
    tried = tmp_path / "ablations.toml"
    tried.write_text(
        '[[tried]]\nwhat = "larger input"\nkept = true\n"in-distribution" = 0.8\n'
        '[[tried]]\nwhat = "mixup"\nkept = false\nnote = "no gain"\n'
    )
    out = tmp_path / "MODEL_CARD.md"
    answer = run("card", evaluated, "--ablations", tried, "--out", out)
    assert answer.exit_code == 0, answer.output
    text = out.read_text()
    for heading in ("Intended use", "Not for", "Limits", "Training", "Recall", "Robustness",
                    "Mistakes, described", "What was tried"):  # fmt: skip
        assert (f"## {heading}" in text) == (heading != "Robustness")  # not measured
    assert "| larger input | 0.8 | yes |  |" in text and "| mixup |  | no | no gain |" in text
    assert f"| {LABELS[0]} |" in text and "minutes on" in text and "![" not in text
    assert "| missed |" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[[tried", "cannot read ablations"), ('[[tried]]\nwhat = "x"', "number 1 needs"),
     ("tried = 3", "expected [[tried]]")],
)  # fmt: skip
def test_faulty_ablations_are_named(
    evaluated: Path, tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    answer = run("card", evaluated, "--ablations", path, "--out", tmp_path / "card.md")
    assert answer.exit_code == 1 and expected in answer.stderr
    assert not (tmp_path / "card.md").exists()


def test_a_run_that_was_not_evaluated_is_said(evaluated: Path, tmp_path: Path) -> None:
    answer = run("card", evaluated, "--evaluation", tmp_path, "--out", tmp_path / "card.md")
    assert answer.exit_code == 1 and "cannot read" in answer.stderr
