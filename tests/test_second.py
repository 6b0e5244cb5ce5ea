"""The second look: who gets one, what it says, what it refuses. Tiny models, see conftest."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import RED, joint_spec, plain, tiny_spec, write_tiny_model
from PIL import Image

from faunalens.cli import main
from faunalens.decide import Look, policy
from faunalens.errors import ModelError, UsageError
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.second import joint_probability, logit
from faunalens.spec import ModelSpec

BLACK = (0, 0, 0)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def patch(share: float, left: int = 120, top: int = 40) -> bytes:
    """A black photo with a red square that fills `share` of it."""
    image = plain(BLACK, 200, 200)
    side = round(200 * share**0.5)
    image.paste(RED, (left, top, left + side, top + side))
    return png(image)


def test_metadata_survives_a_round_trip() -> None:
    spec = joint_spec("0" * 64)
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert "second" not in json.loads(tiny_spec().to_json())


def test_only_doubt_is_judged_again(pair: Path) -> None:
    classifier = Classifier(Model(pair))
    green, red = classifier.classify_batch([png(plain((0, 255, 0))), png(plain(RED))])
    assert green.record.rule == "live_snake >= alert 0.8"  # the first model alone, joint thresholds
    assert red.record.rule == "ivory >= alert 0.8 (second model)"
    assert red.record.model is not None and red.record.model["name"] == "tiny"


def test_look_first_is_the_first_model_alone(pair: Path) -> None:
    model = Model(pair)
    alone = Classifier(model, policy(model.spec, look=Look.FIRST))
    assert alone.classify(png(plain(RED))).record.rule == "ivory >= alert 0.9"


def test_joint_probability_adds_logits() -> None:
    count = len(tiny_spec().labels)
    weights = np.linspace(0.25, 0.5, count), np.linspace(1, 0, count)
    joint = joint_spec("0" * 64, weights=tuple(map(tuple, weights))).second
    assert joint is not None
    first, second = np.full(count, 0.9), np.full(count, 0.2)
    out = joint_probability(joint, first, second, penalty=1.0)
    expected = weights[0] * logit(first) + weights[1] * logit(second) - 1.0
    assert logit(out) == pytest.approx(expected)
    assert np.allclose(joint_probability(joint, [first] * 3, [second] * 3, penalty=1.0), [out] * 3)


def test_zoom_finds_a_small_object(pair: Path) -> None:
    model = Model(pair)
    photo = patch(0.05)
    plainly = Classifier(model).classify(photo)
    assert plainly.record.verdict == "clear"
    closer = Classifier(model, policy(model.spec, look=Look.ZOOM)).classify(photo)
    assert closer.record.verdict == "review" or closer.record.verdict == "alert"
    assert closer.record.label == "ivory"
    assert closer.record.rule is not None and closer.record.rule.endswith("(zoom)")
    assert closer.evidence is not None
    ivory = closer.evidence[model.spec.labels.index("ivory")]
    down, across = np.unravel_index(ivory.argmax(), ivory.shape)
    assert 120 / 200 <= (across + 0.5) / ivory.shape[1] <= 170 / 200
    assert 40 / 200 <= (down + 0.5) / ivory.shape[0] <= 90 / 200


def test_zoom_never_lowers(pair: Path) -> None:
    model = Model(pair)
    second, zoom = Classifier(model), Classifier(model, policy(model.spec, look=Look.ZOOM))
    for share in (0.02, 0.1, 0.3, 0.6, 1.0):
        before = second.classify(patch(share, 0, 0)).record.probabilities
        after = zoom.classify(patch(share, 0, 0)).record.probabilities
        assert before and after
        assert all(after[label] >= before[label] for label in before)


def test_a_missing_or_foreign_second_model_is_refused(pair: Path, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "sharp.onnx", replace(tiny_spec(), name="another"))
    with pytest.raises(ModelError, match="not the second model"):
        Classifier(Model(pair))
    (tmp_path / "sharp.onnx").unlink()
    with pytest.raises(ModelError, match="not beside it"):
        Classifier(Model(pair))


@pytest.mark.parametrize("name", ["../sharp.onnx", "/etc/passwd", "a\\b.onnx", "", ".hidden"])
def test_second_model_must_lie_beside_the_first(name: str) -> None:
    with pytest.raises(ModelError, match="plain name"):
        joint_spec("0" * 64, file=name)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": ((1.0,) * len(tiny_spec().labels), (-0.1,) * len(tiny_spec().labels))},
        {"weights": ((-0.1,) * len(tiny_spec().labels), (1.0,) * len(tiny_spec().labels))},
        {"weights": ((float("nan"),) * len(tiny_spec().labels), (1.0,) * len(tiny_spec().labels))},
        {"weights": ((1.0,), (1.0,) * len(tiny_spec().labels))},
        {"weights": ((1.0,) * len(tiny_spec().labels), (1.0,))},
        {"weights": ((1.0,) * len(tiny_spec().labels),)},
        {"zoom_penalty": (-1.0,) * len(tiny_spec().labels)},
        {"zoom_penalty": (0.0,)},
        {"offset": (0.0,)},
        {"doubt": {"gold": 0.1}},
        {"thresholds": {}},
    ],
)
def test_bad_metadata_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        joint_spec("0" * 64, **change)


def test_a_look_that_the_model_has_not(tiny_model: Model) -> None:
    with pytest.raises(UsageError, match="names none"):
        policy(tiny_model.spec, look=Look.ZOOM)
    assert policy(tiny_model.spec).look is Look.FIRST


@pytest.mark.parametrize(
    ("flag", "ending"),
    [([], "< review 0.005"), (["--second-look"], "(zoom)"), (["--first-only"], "0.5")],
)
def test_scan_flags(pair: Path, tmp_path: Path, flag: list[str], ending: str) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(patch(0.05))
    run = CliRunner().invoke(
        main, ["scan", str(photo), "--model", str(pair), "--workers", "1", "--quiet", *flag]
    )
    assert run.exit_code == 0, run.output
    rule = json.loads(run.stdout)["rule"]
    assert rule.removesuffix(" (second model)").endswith(ending), rule


def test_scan_refuses_both_flags(pair: Path) -> None:
    run = CliRunner().invoke(main, ["scan", "x.jpg", "--second-look", "--first-only"])
    assert run.exit_code == 2
    assert "one of --second-look and --first-only" in run.output
