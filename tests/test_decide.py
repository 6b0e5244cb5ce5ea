"""The decision: tables of probabilities and what must be said of them."""

from pathlib import Path

import pytest
from conftest import tiny_spec

from faunalens.decide import Verdict, decide, load_overrides, policy
from faunalens.errors import FileError, UsageError

SPEC = tiny_spec()


def probabilities(**given: float) -> list[float]:
    return [given.get(label, 0.01) for label in SPEC.labels]


@pytest.mark.parametrize(
    ("given", "verdict", "label", "rule"),
    [
        ({}, Verdict.CLEAR, "ivory", "ivory < review 0.5"),
        ({"ivory": 0.95}, Verdict.ALERT, "ivory", "ivory >= alert 0.9"),
        ({"ivory": 0.9}, Verdict.ALERT, "ivory", "ivory >= alert 0.9"),
        ({"ivory": 0.8999}, Verdict.REVIEW, "ivory", "ivory >= review 0.5"),
        ({"ivory": 0.7, "parrot": 0.95}, Verdict.ALERT, "parrot", "parrot >= alert 0.9"),
        ({"ivory": 0.93, "parrot": 0.95}, Verdict.ALERT, "parrot", "parrot >= alert 0.9"),
        # Neither kind of reptile alone, but some reptile: 1 - 0.55 * 0.55 > 0.5.
        (
            {"live_snake": 0.45, "live_lizard": 0.45},
            Verdict.REVIEW,
            "live_snake",
            "family live_reptile >= review 0.5",
        ),
        # A label that reaches the same verdict says more than its family.
        (
            {"live_snake": 0.6, "live_lizard": 0.45},
            Verdict.REVIEW,
            "live_snake",
            "live_snake >= review 0.5",
        ),
        (
            {"live_snake": 0.8, "live_lizard": 0.8},
            Verdict.ALERT,
            "live_snake",
            "family live_reptile >= alert 0.9",
        ),
    ],
)
def test_decision(given: dict[str, float], verdict: Verdict, label: str, rule: str) -> None:
    made = decide(SPEC, probabilities(**given), policy(SPEC))
    assert (made.verdict, made.label, made.rule) == (verdict, label, rule)
    assert made.family == SPEC.family_of(made.label)


def test_a_family_is_told_from_a_label_of_the_same_name() -> None:
    both = probabilities(pangolin=0.45, pangolin_scales=0.45)
    assert decide(SPEC, both, policy(SPEC)).rule == "family pangolin >= review 0.5"
    rules = policy(SPEC, labels=["pangolin"])
    assert rules.labels == ("pangolin",)


def test_only_chosen_labels_decide() -> None:
    rules = policy(SPEC, labels=["turtle_shell", "live_reptile"])
    assert decide(SPEC, probabilities(ivory=0.99), rules).verdict is Verdict.CLEAR
    assert decide(SPEC, probabilities(live_lizard=0.99), rules).label == "live_lizard"


def test_a_family_cut_down_has_no_threshold_of_its_own() -> None:
    rules = policy(SPEC, labels=["live_snake", "live_lizard"])
    both = probabilities(live_snake=0.45, live_lizard=0.45)
    assert decide(SPEC, both, rules).verdict is Verdict.CLEAR


def test_overrides() -> None:
    rules = policy(SPEC, overrides={"ivory": {"alert": 0.6}, "live_reptile": {"review": 0.8}})
    assert decide(SPEC, probabilities(ivory=0.61), rules).rule == "ivory >= alert 0.6"
    both = probabilities(live_snake=0.45, live_lizard=0.45)
    assert decide(SPEC, both, rules).verdict is Verdict.CLEAR


@pytest.mark.parametrize(
    ("labels", "overrides", "message"),
    [
        (["ivroy"], None, "unknown label or family 'ivroy'; this model knows ivory,"),
        ([], None, "no labels chosen"),
        (None, {"ivroy": {"alert": 0.5}}, "unknown label or family 'ivroy'"),
        (None, {"ivory": {"alert": 0.3}}, "ivory: review threshold 0.5 is above"),
    ],
)
def test_refused_choices(
    labels: list[str] | None, overrides: dict[str, dict[str, float]] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        policy(SPEC, labels=labels, overrides=overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ivory\n", "cannot read thresholds"),
        ("[ivory]\nalert = 2\n", r"\[ivory\] must hold"),
        ("[ivory]\nalarm = 0.2\n", r"\[ivory\] must hold"),
        ("ivory = 0.5\n", r"\[ivory\] must hold"),
        ("[ivory]\nalert = true\n", r"\[ivory\] must hold"),
    ],
)
def test_refused_threshold_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        load_overrides(path)


def test_threshold_file(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("[ivory]\nalert = 0.95\n[live_reptile]\nreview = 0.2\n")
    assert load_overrides(path) == {"ivory": {"alert": 0.95}, "live_reptile": {"review": 0.2}}


def test_wrong_number_of_probabilities() -> None:
    with pytest.raises(ValueError, match="expected 14"):
        decide(SPEC, [0.5], policy(SPEC))
