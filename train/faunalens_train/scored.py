"""Pictures with what a model said of them: the one form that every figure is computed from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from faunalens.decide import Policy, Verdict, decide, policy
from faunalens.labels import load_labels
from faunalens.spec import ModelSpec, family_probability
from faunalens_data.row import Row
from faunalens_train import run as folder
from faunalens_train.calibrate import Floats
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import Parts, load_parts, targets
from faunalens_train.evaluate import finished_spec, logits_for
from faunalens_train.pair import load_pair


@dataclass(frozen=True)
class Scored:
    """N pictures, judged by one model, or each by the one of several that never saw it.

    Attributes:
        rows: The pictures.
        labels: L labels.
        families: F families of more than one label, as `live_reptile (family)`: an id may be that
            of a label too.
        wanted: `(N, L + F)` float32: 1 shows it, 0 does not, NaN not known.
        probability: `(N, L + F)`, calibrated; of a family, that it shows any of its labels.
        score: `(N, L + F)`: orders pictures, also those of different models.
        reached: `(N, L + F)` int8: 2 at or above the own alert threshold, 1 review, 0 below both.
        verdicts: Of the whole photo.
        decided: Label that decided, or the likeliest.
        fold: `(N,)`: which of several models judged; pictures of one fold share their negatives.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    families: tuple[str, ...]
    wanted: npt.NDArray[np.float32]
    probability: Floats
    score: Floats
    reached: npt.NDArray[np.int8]
    verdicts: tuple[Verdict, ...]
    decided: tuple[str, ...]
    fold: npt.NDArray[np.int64]

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the arrays."""
        return self.labels + self.families

    @property
    def negative(self) -> npt.NDArray[np.bool_]:
        """`(N,)`: shows none of the labels, nor a reserved one."""
        return np.array([row.is_negative for row in self.rows])

    @property
    def kinds(self) -> npt.NDArray[np.str_]:
        """`(N,)`: kind of negative, or empty."""
        return np.array([row.negative_kind or "" for row in self.rows])

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """`(N,)` groups."""
        return np.array([row.group for row in self.rows])

    @property
    def sources(self) -> npt.NDArray[np.str_]:
        """`(N,)` sources."""
        return np.array([row.source for row in self.rows])

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        probability: Floats,
        verdicts: Sequence[Verdict],
        decided: Sequence[str],
        rules: Policy,
        unknown: dict[str, list[str]],
    ) -> Self:
        """Pictures judged by one model.

        Args:
            probability: `(N, L)`, calibrated, in the order of `rules.labels`.
            rules: Whose thresholds count.
            unknown: See `DataConfig.unknown`.
        """
        labels = rules.labels
        families = {key: f for key, f in rules.families.items() if len(f.labels) > 1}
        members = [[labels.index(label) for label in f.labels] for f in families.values()]
        joint = [[family_probability(list(p[m])) for m in members] for p in probability]
        wanted = targets(rows, labels, unknown)
        any_of = [_any(wanted[:, m]) for m in members]
        both = np.c_[probability, np.array(joint).reshape(len(rows), len(members))]
        limits = [rules.thresholds[label] for label in labels]
        limits += [family.thresholds or limits[0] for family in families.values()]
        reached = sum(
            both >= np.array([getattr(pair, level).probability for pair in limits])
            for level in ("alert", "review")
        )
        return cls(
            rows=tuple(rows),
            labels=labels,
            families=tuple(f"{key} (family)" for key in families),
            wanted=np.column_stack([wanted, *any_of]),
            probability=both,
            score=both,
            reached=np.asarray(reached, np.int8),
            verdicts=tuple(verdicts),
            decided=tuple(decided),
            fold=np.zeros(len(rows), np.int64),
        )

    @classmethod
    def pooled(cls, folds: Sequence[Self]) -> Self:
        """Pictures of several folds together.

        Probabilities of different models are not on one scale, so each fold's scores become the
        share of that fold's negatives that score lower (for each label): 0.99 then means "at 1 %
        false positives" in every fold.
        """
        ranked = [replace(one, score=ranks(one.score, one.negative)) for one in folds]
        first = folds[0]
        if any(one.names != first.names for one in folds):
            raise folder.RunError("the folds' models do not have the same labels")
        return cls(
            rows=tuple(row for one in ranked for row in one.rows),
            labels=first.labels,
            families=first.families,
            wanted=np.concatenate([one.wanted for one in ranked]),
            probability=np.concatenate([one.probability for one in ranked]),
            score=np.concatenate([one.score for one in ranked]),
            reached=np.concatenate([one.reached for one in ranked]),
            verdicts=tuple(verdict for one in ranked for verdict in one.verdicts),
            decided=tuple(label for one in ranked for label in one.decided),
            fold=np.concatenate([np.full(len(one.rows), k) for k, one in enumerate(ranked)]),
        )


@dataclass(frozen=True)
class TestSet:
    """The test pictures of a run, and what is needed to judge them.

    Attributes:
        rows: The pictures; they never trained, nor set a threshold.
        every: All pictures of the manifest.
        images: Folder that their files lie in.
        unknown: See `DataConfig.unknown`.
        held_out: How they were held out: `part`, `group_fold:K` or `source_fold:K`.
    """

    __test__ = False  # not a test of pytest's

    rows: list[Row]
    every: list[Row]
    images: Path
    unknown: dict[str, list[str]]
    held_out: str


def test_set(run: Path) -> TestSet:
    """The test pictures of a run folder.

    Raises:
        RunError: The folder holds no run, or the manifest has changed since.
    """
    config, parts, held_out = _parts(run)
    return TestSet(parts.test, parts.every, parts.images, config.data.unknown, held_out)


def score_run(
    run: Path, logits: str = "test.npz", *, second: Path | None = None
) -> tuple[Scored, ModelSpec]:
    """The test pictures of a run, by the logits in its folder, at the thresholds it would ship.

    Args:
        second: Run of the sharper model that is asked where the first is in doubt.

    Raises:
        RunError: A folder is incomplete, the manifest has changed since, or the runs do not fit.
    """
    config, parts, _ = _parts(run)
    spec, calibration = finished_spec(config, parts, run)
    if second is None:
        stored = folder.load_logits(run / logits)
        if missing := [row.file for row in parts.test if row.sha256 not in stored]:
            raise folder.RunError(f"{run / logits} lacks {len(missing)} pictures, as {missing[0]}")
        probability = calibration.probability(logits_for(parts.test, stored))
    else:
        pair = load_pair(run, second)
        probability, spec = pair.scores("test"), replace(spec, second=pair.joint)
    rules = policy(spec)
    decisions = [decide(spec, row.tolist(), rules) for row in probability]
    scored = Scored.of(
        parts.test,
        probability,
        [decision.verdict for decision in decisions],
        [decision.label for decision in decisions],
        rules,
        config.data.unknown,
    )
    return scored, spec


def fold_runs(crossval: Path) -> list[Path]:
    """The folds of a folder made by `crossval`, in order; or the one run that the folder is.

    Raises:
        RunError: There is none, or one is not finished.
    """
    if (crossval / folder.PROVENANCE).exists():
        runs = [crossval]
    else:
        runs = sorted(path for path in crossval.glob("fold*") if path.is_dir())
    if not runs:
        raise folder.RunError(f"{crossval} holds no folds; expected a folder made by `crossval`")
    if unfinished := [run.name for run in runs if not (run / folder.METRICS).exists()]:
        raise folder.RunError(
            f"{crossval}: {', '.join(unfinished)} not finished; run `crossval` again, or name the "
            "finished folds"
        )
    return runs


def spec_facts(spec: ModelSpec) -> dict[str, Any]:
    """A spec as plain values."""
    facts: dict[str, Any] = json.loads(spec.to_json())
    return facts


def _any(wanted: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`(N, M)` targets to `(N,)`: 1 if any is 1, else NaN if any is not known, else 0."""
    unknown = np.where(np.isnan(wanted).any(axis=1), np.nan, 0)
    return np.where((wanted == 1).any(axis=1), 1, unknown).astype(np.float32)


def _parts(run: Path) -> tuple[TrainConfig, Parts, str]:
    config = folder.load_config_of(run)
    facts = folder.read_json(run / folder.PROVENANCE)
    parts = load_parts(config.data, load_labels().ids, facts["held_out"])
    if parts.fingerprint != facts["manifest"]:
        raise folder.RunError(f"{config.data.manifest} has changed since {run} was trained")
    return config, parts, facts["held_out"]


def ranks(raw: Floats, negative: npt.NDArray[np.bool_]) -> Floats:
    """`(N, C)` share of negatives below, plus a hair of the raw score to keep the order."""
    out = np.empty_like(raw)
    for j in range(raw.shape[1]):
        ordered = np.sort(raw[negative, j])
        out[:, j] = np.searchsorted(ordered, raw[:, j], side="left") / max(1, len(ordered))
        out[:, j] += 1e-9 * raw[:, j]
    return out
