"""The pages about the model and about agreement with it, and decisions that a page keeps."""

import json
from datetime import UTC, datetime

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `app` is not installed")
pytest.importorskip("gradio", reason="the extra `app` is not installed")

from faunalens.decisions import Choice, OfficerDecision
from faunalens.labels import LANGUAGES
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app.about import about
from faunalens_app.agreement import Agreement, agreement_page
from faunalens_app.catalogue import catalogue
from faunalens_app.deciding import read_waiting
from faunalens_app.seen import Bench


def decision(choice: Choice, label: str, day: int) -> OfficerDecision:
    return OfficerDecision(
        choice=choice, officer="A", sha256="a" * 64, source="a.jpg", verdict="alert",
        label=label, probability=0.9, rule="", model_name="m", model_version="1",
        model_sha256="b", other_label="rhino" if choice is Choice.OTHER else None,
        at=datetime(2026, 11, day, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_agreement_over_time_and_by_label(tiny_model: Model, language: str) -> None:
    counted = Agreement.of(
        [
            decision(Choice.CONFIRMED, "ivory", 3),
            decision(Choice.REJECTED, "ivory", 10),
            decision(Choice.OTHER, "ivory", 10),
            decision(Choice.UNSURE, "parrot", 11),
            decision(Choice.CONFIRMED, "no_such_label", 12),
        ]
    )
    assert counted.to_dict()["ivory"] == {"confirmed": 1, "rejected": 1, "unsure": 0, "other": 1}
    assert {week.isoformat(): dict(lines) for week, lines in counted.weeks.items()} == {
        "2026-11-02": {None: [1, 1], "ivory": [1, 1]},
        "2026-11-09": {None: [1, 3], "ivory": [0, 2], "no_such_label": [1, 1]},
    }
    bench, say = Bench.of(Classifier(tiny_model)), catalogue(language)
    page = agreement_page(counted, bench, say)
    assert "<svg" in page and "33" in page and "50" in page and "\N{EN DASH}" in page
    assert say("agree.none") in agreement_page(Agreement.of([]), bench, say)


def test_decisions_the_page_keeps() -> None:
    one = decision(Choice.CONFIRMED, "ivory", 3)
    assert read_waiting(json.dumps([one.to_dict(), {"id": 1}, 7])) == [one]
    assert read_waiting("{}") == read_waiting("x") == read_waiting("") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_model_learnt_from_is_said_in_the_language(language: str) -> None:
    shipped, say = Model(), catalogue(language)
    page = about(Bench.of(Classifier(shipped)), say)
    for key in ("train", "val", "test"):
        assert say(f"model.{key}", value=say.number(shipped.spec.dataset[key])) in page
    assert shipped.spec.dataset["fingerprint"] in page and "held_out" not in page
