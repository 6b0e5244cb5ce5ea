"""Species hints and novelty: optional outputs of a model file, read when they are there."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from conftest import plain, tiny_spec, write_tiny_model
from onnx import TensorProto, helper, numpy_helper

from faunalens.decide import Verdict, decide, policy
from faunalens.errors import ModelError
from faunalens.hints import FLOOR, MOST, hints
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.spec import METADATA_KEY, ModelSpec, NoveltySpec, TaxonSpec

TAXA = tuple(
    TaxonSpec(name, label)
    for name, label in (
        ("boa", "live_snake"),
        ("cobra", "live_snake"),
        ("python", "live_snake"),
        ("viper", "live_snake"),
        ("iguana", "live_lizard"),
        ("macaw", "parrot"),
    )
)
SPEC = replace(tiny_spec(), taxa=TAXA, novelty=NoveltySpec(2.0, 0.01, "blueness"))
CHANCES = [0.3, 0.05, 0.2, 0.15, 0.12, 0.18]


def write_full_model(path: Path, spec: ModelSpec = SPEC, taxa: int = len(TAXA)) -> Path:
    """The tiny model with both optional outputs: CHANCES for any photo, novelty 3 if pure blue."""
    model = onnx.load(write_tiny_model(path))
    graph = model.graph
    graph.node.extend(
        [
            helper.make_node("Slice", ["flat", "two", "three", "one"], ["blue"]),
            helper.make_node("Mul", ["blue", "threefold"], ["column"]),
            helper.make_node("Squeeze", ["column", "one"], ["novelty"]),
            helper.make_node("Sub", ["column", "column"], ["nought"]),
            helper.make_node("Add", ["nought", "chances"], ["taxon"]),
        ]
    )
    values: dict[str, npt.NDArray[np.generic]] = {
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "three": np.array([3], np.int64),
        "threefold": np.array(3, np.float32),
        "chances": np.array([CHANCES[:taxa]], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in values.items())
    graph.output.extend(
        [
            helper.make_tensor_value_info("taxon", TensorProto.FLOAT, ["N", taxa]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["N"]),
        ]
    )
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier(Model(write_full_model(tmp_path_factory.mktemp("model") / "full.onnx")))


def test_a_hit_has_hints_of_its_label_only(full: Classifier, tmp_path: Path) -> None:
    plain((0, 255, 0)).save(tmp_path / "snake.png")
    judged = full.classify(tmp_path / "snake.png")
    assert (judged.record.verdict, judged.record.label) == (Verdict.ALERT, "live_snake")
    assert [(hint.taxon, hint.probability) for hint in judged.may_be] == [
        ("boa", 0.3),
        ("python", 0.2),
        ("viper", 0.15),
    ]
    assert judged.novelty == pytest.approx(0)


def test_an_alert_on_a_strange_photo_becomes_review(full: Classifier, tmp_path: Path) -> None:
    plain((0, 0, 255)).save(tmp_path / "strange.png")
    judged = full.classify(tmp_path / "strange.png")
    assert judged.novelty == pytest.approx(3)
    assert (judged.record.verdict, judged.record.label) == (Verdict.REVIEW, "live_lizard")
    rule = "live_lizard >= alert 0.9, but unlike known photos: novelty 3 >= 2"
    assert judged.record.rule == rule
    assert [hint.taxon for hint in judged.may_be] == ["iguana"]


def test_clear_and_failed_photos_have_no_hints(full: Classifier, tmp_path: Path) -> None:
    plain((255, 255, 255)).save(tmp_path / "white.png")
    assert full.classify(tmp_path / "white.png").record.verdict is Verdict.CLEAR
    assert full.classify(tmp_path / "white.png").may_be == ()
    failed = full.classify(tmp_path / "none.png")
    assert (failed.may_be, failed.novelty) == ((), None)


def test_a_model_without_them_works_as_ever(tiny_model: Model, tmp_path: Path) -> None:
    plain((0, 0, 255)).save(tmp_path / "blue.png")
    judged = Classifier(tiny_model).classify(tmp_path / "blue.png")
    assert judged.record.verdict is Verdict.ALERT
    assert (judged.novelty, judged.may_be) == (None, ())


@pytest.mark.parametrize(
    ("given", "novelty", "verdict"),
    [
        ({"ivory": 0.95}, None, Verdict.ALERT),
        ({"ivory": 0.95}, 1.99, Verdict.ALERT),
        ({"ivory": 0.95}, 2.0, Verdict.REVIEW),
        ({"ivory": 0.95}, float("nan"), Verdict.REVIEW),
        ({"ivory": 0.6}, 9.0, Verdict.REVIEW),
        ({}, 9.0, Verdict.CLEAR),
    ],
)
def test_novelty_only_ever_lowers_an_alert(
    given: dict[str, float], novelty: float | None, verdict: Verdict
) -> None:
    values = [given.get(label, 0.01) for label in SPEC.labels]
    made = decide(SPEC, values, policy(SPEC), novelty)
    plainly = decide(SPEC, values, policy(SPEC))
    assert made.verdict is verdict
    assert (made.label, made.probability) == (plainly.label, plainly.probability)
    assert (made.rule == plainly.rule) == (made.verdict is plainly.verdict)


@pytest.mark.parametrize(
    ("given", "only", "expected"),
    [
        # The family decided, its kind is open: taxa of all its labels fit.
        (
            {"live_snake": 0.45, "live_lizard": 0.45},
            None,
            ["boa", "python", "viper"],
        ),
        ({"live_lizard": 0.95}, None, ["iguana"]),
        # Two labels are hits at once.
        ({"live_lizard": 0.95, "parrot": 0.6}, None, ["macaw", "iguana"]),
        ({"live_lizard": 0.95, "parrot": 0.6}, ["live_lizard"], ["iguana"]),
        ({"ivory": 0.95}, None, []),
    ],
)
def test_hints_fit_the_labels_of_the_photo(
    given: dict[str, float], only: list[str] | None, expected: list[str]
) -> None:
    values = [given.get(label, 0.01) for label in SPEC.labels]
    rules = policy(SPEC, labels=only)
    found = hints(SPEC, CHANCES, decide(SPEC, values, rules), values, rules)
    assert [hint.taxon for hint in found] == expected
    assert len(found) <= MOST and all(hint.probability >= FLOOR for hint in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taxa": ()}, "'taxon' is not in both"),
        ({"novelty": None}, "'novelty' is not in both"),
        ({"taxa": TAXA[:5]}, "'taxon' has 6 taxa, metadata has 5"),
    ],
)
def test_refuses_a_file_that_contradicts_itself(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = write_full_model(tmp_path / "odd.onnx", replace(SPEC, **change))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=message):
        Model(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("taxa", [{"id": "boa", "label": "live_snake"}] * 2, "each taxon once"),
        ("taxa", [{"id": "boa", "label": "snake"}], "unknown labels: snake"),
        ("taxa", [{"id": "boa"}], "malformed"),
        ("novelty", {"threshold": 1, "rate": 1, "method": "x"}, "rate < 1"),
        ("novelty", {"threshold": 1}, "malformed"),
    ],
)
def test_refuses_faulty_metadata(key: str, value: object, message: str) -> None:
    raw = {**json.loads(SPEC.to_json()), key: value}
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(raw))


def test_the_metadata_round_trip_keeps_them_and_their_absence() -> None:
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    assert not {"taxa", "novelty"} & set(json.loads(tiny_spec().to_json()))
