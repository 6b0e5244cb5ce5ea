"""The parts of training that need no training."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import noise

from faunalens.decide import Verdict
from faunalens.labels import load_labels
from faunalens_data.row import Row
from faunalens_train.augment import AdvertAugment
from faunalens_train.calibrate import (
    Calibration,
    choose_thresholds,
    fit_calibration,
    tail_threshold,
    threshold_at,
    view_weights,
)
from faunalens_train.config import AugmentConfig, BalanceConfig, ConfigError, ThresholdConfig
from faunalens_train.dataset import draw_weights, targets
from faunalens_train.metrics import (
    expected_calibration_error,
    false_alarms,
    label_metrics,
    recall_at,
)
from faunalens_train.probe import fit_probe, masked_bce
from faunalens_train.recipe import config_from_dict, load_config
from faunalens_train.tune import warmup_cosine

LABELS = load_labels().ids
DATA = {"manifest": "m.csv", "splits": "s.csv"}


def row(
    number: int, labels: tuple[str, ...] = (), kind: str | None = None, source: str = "s"
) -> Row:
    return Row(
        file=f"{number}.jpg",
        sha256=f"{number:064x}",
        labels=labels,
        negative_kind=kind,
        group=f"g{number}",
        source=source,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data", "cannot read"),
        ("name = 'x'", "data"),
        ("[data]\nmanifest='m'\nsplits='s'\nmanifset='x'", "data.unknown key 'manifset'"),
        ("[data]\nmanifest=1\nsplits='s'", "data.manifest: expected str, found 1"),
        ("seed=true\n[data]\nmanifest='m'\nsplits='s'", "seed: expected int, found True"),
        ("data = 3", "expected a table"),
        ("[data]\nmanifest='m'\nsplits='s'\n[fit]\nautocast='fp8'", "fit.autocast must be"),
        ("[data]\nmanifest='m'\nsplits='s'\n[fit]\nema=1", "fit.ema must be"),
        ("[data]\nmanifest='m'\nsplits='s'\n[thresholds]\nalert_fpr=0.5", "thresholds must be"),
    ],
)
def test_bad_configuration_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_configuration_round_trip_and_relative_paths(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("seed = 3\n[data]\nmanifest='m.csv'\nsplits='s.csv'\n[fit]\nlr = 1\n")
    config = load_config(path)
    assert config.data.manifest == str(tmp_path / "m.csv")
    assert (config.seed, config.fit.lr) == (3, 1.0)
    assert config_from_dict(config.to_dict()) == config


def test_every_augmentation_keeps_size_and_type() -> None:
    chances = [f.name for f in dataclasses.fields(AugmentConfig) if f.name.endswith("_p")]
    always = dataclasses.replace(AugmentConfig(), **dict.fromkeys(chances, 1.0))  # type: ignore[arg-type]
    torch.manual_seed(0)
    for config in (AugmentConfig(), always):
        augment = AdvertAugment(config, 64)
        for width, height in ((200, 90), (40, 300), (1, 1), (64, 64)):
            for _ in range(6):
                out = augment(noise(width, height))
                assert out.shape == (64, 64, 3)
                assert out.dtype == np.uint8


def test_augmentation_is_repeated_by_its_seed() -> None:
    augment = AdvertAugment(AugmentConfig(), 48)
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append([augment(noise(80, 60)) for _ in range(5)])
    assert all(np.array_equal(a, b) for a, b in zip(*drawn, strict=True))
    assert not np.array_equal(drawn[0][0], drawn[0][1])


def test_targets_know_what_is_not_known() -> None:
    rows = [row(1, ("live_turtle",)), row(2, ("turtle_shell",)), row(3, (), "goods")]
    wanted = targets(rows, LABELS, {"turtle_shell": ["live_turtle"]})
    shell, turtle = LABELS.index("turtle_shell"), LABELS.index("live_turtle")
    assert np.isnan(wanted[0, shell])
    assert wanted[0, turtle] == 1
    assert wanted[1].sum() == 1
    assert wanted[2].sum() == 0


def test_a_big_source_does_not_drown_the_others() -> None:
    rows = [row(i, ("ivory",), source="museum") for i in range(90)]
    rows += [row(100 + i, ("ivory",), source="shop") for i in range(10)]
    rows += [row(200 + i, (), "goods", source="shop") for i in range(300)]
    museum, shop, goods = slice(0, 90), slice(90, 100), slice(100, 400)
    as_they_come = draw_weights(rows, BalanceConfig(0.5, 1, 1))
    assert as_they_come[museum].sum() == pytest.approx(0.45)
    level = draw_weights(rows, BalanceConfig(0.5, 0.5, 0))
    assert level[museum].sum() == pytest.approx(0.25)
    assert level[shop].sum() == pytest.approx(0.25)
    assert level[goods].sum() == pytest.approx(0.5)


def test_probe_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, 5, (400, 6)).astype(np.float32)
    wanted = np.stack([features[:, 0] > 3, features[:, 1] > 5], 1).astype(np.float32)
    wanted[:50, 1] = np.nan
    weight, bias = fit_probe(features, wanted, np.full(400, 1 / 400), 1e-4)
    logits = torch.from_numpy(features) @ weight.T + bias
    right = (logits.numpy() > 0) == (np.nan_to_num(wanted) > 0.5)
    assert right[50:].mean() > 0.97


def test_each_label_may_have_a_penalty_of_its_own() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4)).astype(np.float32)
    wanted = np.repeat(features[:, :1] > 0, 2, 1).astype(np.float32)
    share = np.full(300, 1 / 300)
    both, _ = fit_probe(features, wanted, share, [0.001, 1.0])
    for place, decay in enumerate((0.001, 1.0)):
        alone, _ = fit_probe(features, wanted, share, decay)
        assert torch.allclose(both[place], alone[place], atol=0.02)
    assert float(both[1].norm()) < float(both[0].norm()) / 3


def test_unknown_targets_cost_nothing() -> None:
    logits = torch.tensor([[100.0, 0.0]])
    assert float(masked_bce(logits, torch.tensor([[float("nan"), 0.0]]))) == pytest.approx(
        0.6931, 1e-3
    )


@pytest.mark.parametrize(
    ("count", "fpr", "above"), [(1000, 0.01, 10), (1000, 0.001, 1), (500, 0.001, 0), (3, 0.9, 2)]
)
def test_threshold_lets_no_more_than_the_rate_pass(count: int, fpr: float, above: int) -> None:
    scores = np.random.default_rng(1).random(count)
    limit = threshold_at(scores, fpr)
    assert (scores >= limit).sum() == above
    ties = np.full(count, 0.5)
    assert (ties >= threshold_at(ties, fpr)).sum() == 0


def test_the_tail_of_many_negatives_says_where_few_will_reach() -> None:
    rng = np.random.default_rng(3)

    def negatives(count: int) -> npt.NDArray[np.float64]:
        odds = 0.01 * rng.pareto(1.5, count)
        return odds / (1 + odds)

    truth = np.quantile(negatives(1_000_000), 0.999)
    by_tail = [tail_threshold(negatives(500), 0.001) for _ in range(60)]
    by_highest = [threshold_at(negatives(500), 0.001) for _ in range(60)]
    assert np.median(by_tail) == pytest.approx(truth, rel=0.25)
    assert np.ptp(np.quantile(by_tail, (0.1, 0.9))) < np.ptp(np.quantile(by_highest, (0.1, 0.9)))
    many, few = negatives(5000), negatives(60)
    assert tail_threshold(many, 0.01) == threshold_at(many, 0.01)  # 50 show it themselves
    assert tail_threshold(few, 0.001) == threshold_at(few, 0.001)
    weighted = tail_threshold(many[:500], 0.001, np.where(np.arange(500) < 250, 1.0, 1e-9))
    assert weighted == pytest.approx(tail_threshold(many[:250], 0.001), rel=1e-3)


def test_calibration_recovers_a_known_one() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (6000, 2))
    true = Calibration((0.5, 0.8), (-1.0, 0.7))
    wanted = (rng.random(logits.shape) < true.probability(logits)).astype(np.float32)
    found = fit_calibration(logits, wanted)
    assert found.slope == pytest.approx((0.5, 0.8), abs=0.05)
    assert found.offset == pytest.approx((-1.0, 0.7), abs=0.15)
    assert expected_calibration_error(found.probability(logits)[:, 0], wanted[:, 0]) < 0.03


def test_calibration_counts_changed_views_of_a_picture_as_much_as_the_picture() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (500, 2))
    wanted = (logits + rng.normal(0, 1, logits.shape) > 1).astype(np.float32)
    changed = logits - 2 * wanted  # a change costs what it shows, and nothing else
    plain = fit_calibration(logits, wanted)
    both = [
        fit_calibration(
            np.concatenate([logits, *[changed] * views]),
            np.tile(wanted, (1 + views, 1)),
            view_weights(len(logits), views),
        )
        for views in (0, 1, 3)
    ]
    assert both[0] == plain
    assert both[2].slope == pytest.approx(both[1].slope, rel=1e-3)
    assert both[2].offset == pytest.approx(both[1].offset, rel=1e-3)
    lowered = changed[wanted[:, 0] == 1]
    before, after = (one.probability(lowered)[:, 0].mean() for one in (plain, both[1]))
    assert after > before + 0.05


def test_thresholds_have_floors_and_order() -> None:
    probability = np.full((50, len(LABELS)), 0.001)
    wanted = np.zeros_like(probability, np.float32)
    families = {"live_reptile": ["live_snake", "live_lizard"], "ivory": ["ivory"]}
    rest = [label for label in LABELS if label not in ("live_snake", "live_lizard", "ivory")]
    families |= {label: [label] for label in rest}
    by_label, by_family = choose_thresholds(
        probability, wanted, LABELS, families, ThresholdConfig()
    )
    assert by_label["ivory"].alert.probability == 0.5
    assert by_label["ivory"].review.probability == 0.1
    assert by_family["ivory"].thresholds is None
    assert by_family["live_reptile"].thresholds is not None
    # A picture of another protected animal does not raise the threshold.
    probability[0, LABELS.index("primate")] = 0.99
    wanted[0, LABELS.index("big_cat")] = 1
    by_label, _ = choose_thresholds(probability, wanted, LABELS, families, ThresholdConfig())
    assert by_label["primate"].alert.probability == 0.5
    certain, wanted = np.full((50, len(LABELS)), 1.0), np.zeros_like(wanted)
    by_label, _ = choose_thresholds(certain, wanted, LABELS, families, ThresholdConfig())
    assert by_label["ivory"].alert.probability <= 1


def test_thresholds_of_products_rest_on_their_look_alikes() -> None:
    rng = np.random.default_rng(0)
    odds = 0.01 * rng.pareto(1.5, (500, len(LABELS)))
    probability = odds / (1 + odds)
    probability[:3] = 0.97  # look-alikes, or a frog
    wanted = np.zeros_like(probability, np.float32)
    families = {label: [label] for label in LABELS}
    found, _ = choose_thresholds(
        probability, wanted, LABELS, families, ThresholdConfig(), products=["ivory"]
    )
    assert found["ivory"].alert.probability > 0.97
    assert found["live_snake"].alert.probability < 0.97


def test_metrics_by_hand() -> None:
    rows = [row(i, (), "goods") for i in range(100)]
    rows += [row(100 + i, ("ivory",)) for i in range(4)]
    scores = np.zeros((104, len(LABELS)))
    scores[:100, 0] = np.arange(100)
    scores[100:, 0] = [150, 98.5, 97, 3]  # above 100, 99, 97 and 3 of the negatives
    wanted = targets(rows, LABELS, {})
    figures = label_metrics(scores, wanted, rows, LABELS)
    assert list(figures) == ["ivory"]
    one = figures["ivory"]
    assert (one["pictures"], one["negatives"]) == (4, 100)
    assert one["recall@0.01"] == 0.5
    assert one["recall@0.001"] == 0.25
    assert one["auroc"] == pytest.approx((100 + 99 + 97.5 + 3.5) / 400)
    low, high = one["recall@0.01_95"]
    assert low <= 0.5 <= high
    assert recall_at(np.array([1.0]), np.zeros(10), 0.01) == 1


def test_false_alarms_are_counted_by_kind() -> None:
    rows = [row(1, (), "goods"), row(2, (), "goods"), row(3, (), "scene"), row(4, ("ivory",))]
    verdicts = [Verdict.ALERT, Verdict.CLEAR, Verdict.REVIEW, Verdict.ALERT]
    found = false_alarms(verdicts, rows)
    assert list(found) == ["goods", "scene", "all"]
    assert (found["goods"]["alerts"], found["goods"]["alert_rate"]) == (1, 0.5)
    assert (found["all"]["pictures"], found["all"]["reviews"]) == (3, 1)


def test_schedule_rises_and_falls() -> None:
    steps = [warmup_cosine(step, 100, 0.1) for step in range(100)]
    assert steps[0] == pytest.approx(0.1)
    assert max(steps) == pytest.approx(1.0)
    assert steps[-1] < 0.01
    assert steps[10:] == sorted(steps[10:], reverse=True)
