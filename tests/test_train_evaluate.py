"""The evaluation: figures checked by hand or against a naive computation, and what is written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import tiny_spec
from evaluation_runs import EACH, KINDS, LABELS, draw_set, write_folds, write_run
from sklearn.metrics import roc_auc_score

from faunalens.decide import Verdict, policy
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_data.row import Row
from faunalens_train.cli import main
from faunalens_train.figures import by_source, confusion, risk_coverage
from faunalens_train.judged import judge_photos
from faunalens_train.metrics import Bootstrap, precision_at, ranking, recall_at, share_interval
from faunalens_train.pages import Block, Heading, Text, markdown, page, table
from faunalens_train.run import RunError
from faunalens_train.scored import Scored


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def row(number: int, labels: tuple[str, ...] = (), kind: str = "goods", source: str = "s") -> Row:
    return Row(
        file=f"{number}.jpg",
        sha256=f"{number:064x}",
        labels=labels,
        negative_kind=None if labels else kind,
        group=f"g{number}",
        source=source,
    )


def scored(rows: list[Row], top: list[tuple[str, float]]) -> Scored:
    """Rows with one label's probability each; every other is 0.001."""
    probability = np.full((len(rows), len(LABELS)), 0.001)
    for i, (label, p) in enumerate(top):
        probability[i, LABELS.index(label)] = p
    verdicts = [
        Verdict.ALERT if p >= 0.9 else Verdict.REVIEW if p >= 0.5 else Verdict.CLEAR for _, p in top
    ]
    return Scored.of(
        rows, probability, verdicts, [label for label, _ in top], policy(tiny_spec()), {}
    )


def test_bootstrap_agrees_with_drawing_groups_one_by_one() -> None:
    rng = np.random.default_rng(0)
    yes, no = rng.normal(1.5, 1, 120), np.round(rng.normal(0, 1, 600), 1)  # ties among negatives
    groups, others = [f"a{i // 3}" for i in range(120)], [f"b{i // 2}" for i in range(600)]
    drawn = Bootstrap(yes, groups, no, others, draws=400)
    recalls, areas = [], []
    for _ in range(400):
        a = np.concatenate([np.arange(120)[3 * k : 3 * k + 3] for k in rng.integers(40, size=40)])
        b = np.concatenate([[2 * k, 2 * k + 1] for k in rng.integers(300, size=300)])
        recalls.append(recall_at(yes[a], no[b], 0.05))
        truth = np.r_[np.ones(len(a)), np.zeros(len(b))]
        areas.append(roc_auc_score(truth, np.r_[yes[a], no[b]]))
    assert drawn.recall(0.05) == pytest.approx(np.quantile(recalls, (0.025, 0.975)), abs=0.05)
    assert drawn.auroc() == pytest.approx(np.quantile(areas, (0.025, 0.975)), abs=0.015)


def test_bootstrap_of_a_single_draw_of_everything_is_the_figure_itself() -> None:
    yes, no = np.array([3.0, 1.0, 0.2]), np.array([0.0, 0.5, 1.0, 2.0])
    drawn = Bootstrap(yes, ["g"] * 3, no, ["h"] * 4, draws=5)  # one group a side: nothing varies
    for rate in (0.01, 0.25, 0.5, 0.99):
        assert drawn.recall(rate) == (recall_at(yes, no, rate),) * 2
    truth = [1, 1, 1, 0, 0, 0, 0]
    assert drawn.auroc() == pytest.approx((roc_auc_score(truth, np.r_[yes, no]),) * 2)


def test_precision_is_that_of_the_published_arithmetic() -> None:
    # Recall 0.90: prevalence 1 % at 1 % false positives 48 %, 0.01 % at 0.1 % false positives 8.3 %
    assert precision_at(0.9, 0.01, 0.01) == pytest.approx(0.476, abs=0.001)
    assert precision_at(0.9, 0.001, 0.0001) == pytest.approx(0.083, abs=0.001)
    assert precision_at(0.0, 0.01, 0.01) == 0


def test_the_rarest_rate_is_reported_only_with_negatives_enough() -> None:
    yes, groups = np.array([9.0]), ["g"]
    few, many = np.zeros(9_999), np.zeros(10_000)
    assert "recall@0.0001" not in ranking(yes, groups, few, ["h"] * len(few))
    assert ranking(yes, groups, many, ["h"] * len(many))["recall@0.0001"] == 1


def test_exact_interval() -> None:
    low, high = share_interval(0, 3000)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 3000))


def test_confusion_counts_every_photo_once() -> None:
    rows = [
        row(0, ("ivory",)),
        row(1, ("ivory",)),
        row(2, ("turtle_shell", "live_turtle")),
        row(3),
        row(4),
    ]
    tops = [("ivory", 0.95), ("primate", 0.6), ("live_turtle", 0.99), ("ivory", 0.7), ("ivory", 0)]
    found = confusion(scored(rows, tops))
    taken = {
        (shows, found["columns"][j]): count
        for shows, line in found["lines"].items()
        for j, count in enumerate(line)
        if count
    }
    assert taken == {
        ("ivory", "ivory"): 1,
        ("ivory", "primate"): 1,
        ("live_turtle", "live_turtle"): 1,
        ("goods", "ivory"): 1,
        ("goods", "(clear)"): 1,
    }


def test_risk_falls_when_the_least_certain_are_left_out() -> None:
    rows = [row(0, ("ivory",)), row(1), row(2, ("ivory",)), row(3)]
    curve = risk_coverage(
        scored(rows, [("ivory", 0.99), ("ivory", 0.01), ("ivory", 0.4), ("ivory", 0.55)])
    )
    assert curve["coverage"] == [0.25, 0.5, 0.75, 1.0]
    assert curve["risk"] == pytest.approx([0, 0, 1 / 3, 0.5])
    assert curve["oracle"] <= curve["aurc"]


def test_pooled_folds_compare_only_within_a_fold() -> None:
    # The second fold's scores are all higher; ranks must not care.
    low = [row(i) for i in range(20)] + [row(20, ("ivory",), source="a")]
    high = [row(30 + i) for i in range(20)] + [row(50, ("ivory",), source="b")]
    one = scored(low, [("ivory", 0.01 + i / 1000) for i in range(20)] + [("ivory", 0.4)])
    two = scored(high, [("ivory", 0.81 + i / 1000) for i in range(20)] + [("ivory", 0.82)])
    both = Scored.pooled([one, two])
    ivory = both.score[:, 0]
    assert ivory[20] > 1 - 1e-6 and 0.4 < ivory[41] < 0.6
    assert list(np.unique(both.fold)) == [0, 1]
    assert both.names == one.names


def test_a_source_by_itself_is_compared_within_its_fold() -> None:
    rows = [row(i, ("ivory",), source="museum") for i in range(30)]
    rows += [row(30 + i, (), "like_ivory", "museum" if i < 12 else "other") for i in range(24)]
    mine = [("ivory", 0.9)] * 30 + [("ivory", 0.95)] * 12 + [("ivory", 0.1)] * 12
    figures = by_source(scored(rows, mine))["ivory"]
    assert list(figures) == ["museum"]
    assert figures["museum"]["auroc_look_alikes"] == 0.5
    assert figures["museum"]["auroc_own_look_alikes"] == 0
    assert figures["museum"]["auroc_own_look_alikes_pictures"] == 12


def test_pages_show_text_as_it_is() -> None:
    blocks: list[Block] = [
        Heading("A <b>", 1),
        Text("x & y"),
        table(["", "a|b"], [["<script>", None], ["n", 1]]),
    ]
    assert "| \\<script\\> |  |" in markdown(blocks)
    shown = page(blocks)
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "x &amp; y" in shown


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def finished(root: Path) -> Path:
    return write_run(root, root / "run", "part", 3.0)


@pytest.fixture(scope="module")
def folds(root: Path) -> Path:
    return write_folds(root, root / "folds", 1.5)


def test_command_writes_json_markdown_and_page(finished: Path, folds: Path, root: Path) -> None:
    result = run("evaluate", finished, "--folds", folds, "--out", root / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((root / "out" / "evaluation.json").read_text())
    known, pooled = found["columns"]["in-distribution"], found["columns"]["group folds"]
    assert pooled["labels"]["ivory"]["pictures"] == EACH
    assert pooled["negatives"] == 4 * EACH * len(KINDS)
    assert pooled["families"]["pangolin (family)"]["pictures"] == 2 * EACH
    # Logits three deviations apart beat those one and a half apart, in every way of counting.
    assert known["labels"]["primate"]["auroc"] > pooled["labels"]["primate"]["auroc"]
    assert known["calibration"]["ece"] < 0.1
    assert set(known["false_alarms"]) == {*KINDS, "all"}
    text = (root / "out" / "evaluation.md").read_text()
    for picture in (root / "out").glob("*.png"):
        assert f"]({picture.name})" in text
    assert "## Precision in a feed" in text and "ivory against like_ivory" in text
    html = (root / "out" / "evaluation.html").read_text()
    assert html.count("data:image/png;base64,") == text.count("](") and "http" not in html
    assert "group folds" in result.stdout and "negatives alert" in result.stdout


def test_folds_alone_are_evaluated_too(folds: Path) -> None:
    result = run("evaluate", folds)
    assert result.exit_code == 0, result.output
    found = json.loads((folds / "evaluation" / "evaluation.json").read_text())
    assert list(found["columns"]) == ["group folds"]
    again = run("evaluate", folds, "--folds", folds)
    assert again.exit_code == 1 and "both hold out group_fold:0" in again.stderr


def test_two_models_are_joined_fold_by_fold(finished: Path, folds: Path, root: Path) -> None:
    sharper = write_run(root, root / "sharp", "part", 6.0)
    sharper_folds = write_folds(root, root / "sharp-folds", 6.0)
    words = ["evaluate", finished, "--folds", folds, "--out", root / "both"]
    result = run(*words, "--second", sharper, "--second-folds", sharper_folds)
    assert result.exit_code == 0, result.output
    both = json.loads((root / "both" / "evaluation.json").read_text())["columns"]
    alone = json.loads((root / "out" / "evaluation.json").read_text())["columns"]
    for title in ("in-distribution", "group folds"):
        before, after = (
            np.mean([own["auroc"] for own in one[title]["labels"].values()])
            for one in (alone, both)
        )
        assert after > before
    assert both["group folds"]["models"] == "both models"
    result = run(*words, "--second-folds", sharper_folds / "fold1")
    assert result.exit_code == 1 and "only one of the two models has group_fold:0" in result.stderr


def test_the_product_judges_the_photos_itself(
    finished: Path, root: Path, tiny_model_path: Path
) -> None:
    result = run("evaluate", finished, "--model", tiny_model_path, "--out", root / "product")
    assert result.exit_code == 0, result.output
    found = json.loads((root / "product" / "evaluation.json").read_text())
    own = found["columns"]["in-distribution"]["labels"]
    # The tiny model knows three colours and nothing else.
    assert own["live_snake"]["recall@0.01"] == own["live_lizard"]["alert"] == 1
    assert own["primate"]["alert"] == 0
    assert found["model"]["name"] == "tiny"


@pytest.mark.parametrize("spoil", ["logits", "fold", "manifest"])
def test_what_cannot_be_evaluated_is_said(spoil: str, tmp_path: Path) -> None:
    root = draw_set(tmp_path)
    run_, folds = write_run(root, root / "run", "part", 3), root / "folds"
    if spoil == "logits":
        (run_ / "test.npz").write_bytes(b"PK")
        expected = "cannot read"
    elif spoil == "fold":
        shutil.copytree(run_, folds / "fold0")
        (folds / "fold0" / "metrics.json").unlink()
        expected = "fold0 not finished"
    else:
        (root / "photos" / "ivory" / "0.png").unlink()
        expected = "has changed since"
    result = run("evaluate", run_, *(["--folds", folds] if spoil == "fold" else []))
    assert result.exit_code == 1
    assert expected in result.stderr and result.stderr.count("\n") == 1


def test_a_photo_that_cannot_be_judged_ends_the_evaluation(tiny_model: Model) -> None:
    with pytest.raises(RunError, match=r"gone\.jpg cannot be judged: no such file"):
        judge_photos(Classifier(tiny_model), [Path("gone.jpg")], "photos")
