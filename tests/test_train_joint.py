"""Two models joined: on numbers whose best answer is known, and on tiny models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import RED, joint_spec, plain, tiny_spec, write_tiny_model
from test_second import BLACK

from faunalens.decide import Look, policy
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_data.row import Row
from faunalens_train.calibrate import choose_thresholds
from faunalens_train.config import ThresholdConfig
from faunalens_train.joint import fit_joint, in_doubt, joint_scores, zoom_penalty

LABELS = ("ivory", "live_snake")
FAMILIES = {"ivory": ["ivory"], "live_reptile": ["live_snake"]}
CONFIG = ThresholdConfig(doubt_fpr=0.2)
NONE = (0.0,) * len(tiny_spec().labels)


def two_models() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A first model that knows little of ivory and a second that knows much; both know snakes."""
    rng = np.random.default_rng(0)
    wanted = np.zeros((3000, 2), np.float32)
    wanted[:300, 0] = 1
    wanted[300:600, 1] = 1
    sign = 2 * wanted - 1
    first = sign * [1.0, 4.0] + rng.normal(0, 1.2, wanted.shape) - 2
    second = sign * [4.0, 4.0] + rng.normal(0, 1.2, wanted.shape) - 2
    return 1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second)), wanted


def test_the_better_model_counts_more_and_the_pair_finds_more() -> None:
    first, second, wanted = two_models()
    joint = fit_joint(first, second, wanted, LABELS, FAMILIES, CONFIG, products=["ivory"])
    ours, sharper = joint.weights
    assert sharper[0] > ours[0] >= 0
    assert set(ours) == {ours[0]}  # fitted over all labels
    assert set(sharper) == {sharper[0]}
    scores = joint_scores(joint, first, second, LABELS)
    nothing = (wanted == 0).all(1)

    def recall(p: np.ndarray) -> float:
        limit = np.quantile(p[nothing, 0], 0.99)
        return float((p[wanted[:, 0] == 1, 0] > limit).mean())

    assert recall(scores) > recall(first) + 0.2
    # Thresholds hold the rates that were aimed for, on the joint scores.
    assert (scores[nothing, 0] >= joint.thresholds["ivory"].review.probability).mean() <= 0.01


def test_changed_views_count_for_how_logits_add_up_but_set_no_threshold() -> None:
    """In changed views the second model says nothing of snakes and ivory any more."""
    first, second, wanted = two_models()
    blind = np.full_like(second, second.mean())
    views = [(first, blind)] * 2
    plain, joint = (
        fit_joint(first, second, wanted, LABELS, FAMILIES, CONFIG, products=["ivory"], changed=some)
        for some in ((), views)
    )
    trust = [one.weights[0][0] / one.weights[1][0] for one in (plain, joint)]
    assert trust[1] > 1.2 * trust[0]  # the first counts more
    scores = joint_scores(joint, first, second, LABELS)  # of the pictures as they are
    alone, _ = choose_thresholds(scores, wanted, LABELS, FAMILIES, CONFIG, products=["ivory"])
    assert joint.thresholds == alone
    assert joint.doubt == plain.doubt


def test_doubt_takes_in_all_that_a_person_would_see() -> None:
    first, second, wanted = two_models()
    joint = fit_joint(first, second, wanted, LABELS, FAMILIES, CONFIG, products=["ivory"])
    asked = in_doubt(joint, first, LABELS)
    scores = joint_scores(joint, first, second, LABELS)
    assert (scores[~asked] == first[~asked]).all()
    nothing = (wanted == 0).all(1)
    assert asked[nothing].mean() <= 2 * CONFIG.doubt_fpr
    never = replace(joint, doubt={})
    assert not in_doubt(never, first, LABELS).any()


def test_zoom_penalty_stops_false_alarms(tmp_path: Path) -> None:
    """Negatives with a small red spot: without a penalty the zoom would call them ivory."""
    sharp = Model(write_tiny_model(tmp_path / "sharp.onnx", replace(tiny_spec(), name="sharp")))
    spec = joint_spec(sharp.identity["sha256"], zoom_penalty=NONE)
    first = Model(write_tiny_model(tmp_path / "first.onnx", spec))
    rows = []
    for number in range(3):
        image = plain(BLACK, 200, 200)
        side = 45 + 4 * number
        image.paste(RED, (120, 40, 120 + side, 40 + side))
        image.save(tmp_path / f"{number}.png")
        rows.append(_row(f"{number}.png"))
    penalty = zoom_penalty(first, rows, tmp_path, ThresholdConfig())
    ivory = spec.labels.index("ivory")
    assert penalty[ivory] > 0
    assert sum(penalty) == penalty[ivory]  # the other labels were not raised
    assert spec.second is not None
    quiet = replace(spec, second=replace(spec.second, zoom_penalty=penalty))
    model = Model(write_tiny_model(tmp_path / "first.onnx", quiet))
    classifier = Classifier(model, policy(model.spec, look=Look.ZOOM))
    review = quiet.second.thresholds["ivory"].review.probability if quiet.second else 0
    for row in rows:
        found = classifier.classify(tmp_path / row.file).record.probabilities
        assert found is not None
        assert found["ivory"] <= review + 1e-6


def test_nothing_to_zoom_into_needs_no_penalty(tmp_path: Path) -> None:
    sharp = Model(write_tiny_model(tmp_path / "sharp.onnx", replace(tiny_spec(), name="sharp")))
    spec = joint_spec(sharp.identity["sha256"], zoom_penalty=NONE)
    first = Model(write_tiny_model(tmp_path / "first.onnx", spec))
    plain(BLACK).save(tmp_path / "black.png")
    assert zoom_penalty(first, [_row("black.png")], tmp_path, ThresholdConfig()) == NONE


def _row(file: str) -> Row:
    return Row(
        file=file, sha256="0" * 64, labels=(), negative_kind="goods", group=file, source="drawn"
    )
