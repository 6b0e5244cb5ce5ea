"""Doubtful labels: planted ones are found, and nothing is changed."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation_runs import LABELS, draw_set, write_folds
from PIL import Image

from faunalens_train.cli import main
from faunalens_train.scored import Scored, fold_runs, score_run
from faunalens_train.suspects import suspects


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_set(tmp_path_factory.mktemp("suspects"))
    return write_folds(root, root / "folds", 12.0)


def test_planted_faults_are_found_first(folds: Path) -> None:
    scored = Scored.pooled([score_run(run)[0] for run in fold_runs(folds)])
    probability = scored.probability.copy()
    goods = [i for i, row in enumerate(scored.rows) if row.negative_kind == "goods"][3]
    ivory = [i for i, row in enumerate(scored.rows) if row.labels == ("ivory",)][2]
    probability[goods, LABELS.index("big_cat")] = 1 - 1e-9
    probability[ivory, LABELS.index("ivory")] = 1e-9
    found = suspects(replace(scored, probability=probability), least=6)
    assert len(found) == 6
    flagged = {one.row.sha256: one for one in found if one.flagged}
    assert flagged[scored.rows[goods].sha256].model_says == "big_cat 1.000"
    assert flagged[scored.rows[ivory].sha256].model_says == "ivory 0.000"
    assert len(flagged) < 6
    # What nobody knows cannot be a fault.
    wanted = scored.wanted.copy()
    wanted[goods, LABELS.index("big_cat")] = np.nan
    found = suspects(replace(scored, probability=probability, wanted=wanted), least=0)
    assert scored.rows[goods].sha256 not in {one.row.sha256 for one in found}


def test_command_writes_a_table_and_a_sheet(folds: Path) -> None:
    answer = CliRunner().invoke(main, ["suspects", str(folds), "--least", "70"])
    assert answer.exit_code == 0, answer.output
    assert "70 shown" in answer.stdout
    out = folds / "suspects"
    with (out / "suspects.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert [line["number"] for line in table] == [str(n) for n in range(1, 71)]
    with Image.open(out / "suspects_02.jpg") as sheet:
        assert sheet.size == (1600, 236)  # the last six
