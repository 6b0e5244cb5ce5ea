"""How unlike a photo a picture is: a linear score on the means of the maps, cheap enough to ship.

Fitted by outlier exposure (Hendrycks et al. 2019, arXiv:1812.04606): photos, and their greyscale
versions, against pictures that are none (drawn ones, X-ray-like negatives and sketches of training
photos, the data set's own drawings). Scores that need no such pictures (Mahalanobis distance,
residual of principal axes as in ViM, norm of the features) did not tell the strange pictures that
alert from photos: AUROC 0.5 to 0.7. Whether kinds that it was not shown are found too is in
the report, each kind left out in turn.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from tqdm import tqdm

from faunalens.decide import Look, Verdict, decide, policy
from faunalens.decode import decode, read_file
from faunalens.preprocess import preprocess
from faunalens.spec import NoveltySpec, ResizeRule
from faunalens_data.row import Row
from faunalens_train import run as folder
from faunalens_train.evaluate import finished_spec
from faunalens_train.extras import Finished, Floats, finished, pooled
from faunalens_train.strange import DERIVED, DRAWN, Pixels

NOVELTY, NOVELTY_REPORT = "novelty.npz", "novelty.json"
RATE = 0.01
"""Share of held-out photos that may be called novel."""

LEARNT, ASKED = 150, 60
"""Strange pictures of each kind to learn from, and to ask of."""

_PENALTY = 0.01  # scikit-learn's C: small, as there are more features than pictures of a kind
_OWN = "drawing_in_set"
_METHOD = "linear on the maps' means, photos against pictures that are none; 1 at the threshold"


@dataclass(frozen=True)
class Novelty:
    """Means of the maps `(N, D)` to scores: 0 for a usual photo, 1 at the threshold.

    Attributes:
        weight: `(D,)`.
        bias: Added last.
    """

    weight: Floats
    bias: float

    def score(self, features: Floats) -> npt.NDArray[np.float64]:
        """`(N, D)`, or all pooled features `(N, F)`, which end in them, to `(N,)`."""
        means = features[:, -len(self.weight) :].astype(np.float64)
        found: npt.NDArray[np.float64] = means @ self.weight + self.bias
        return found

    def scaled(self, photos: Floats, stretch: float = 1.0) -> "Novelty":
        """The same with the photos' median at 0, and what RATE of them reach at `1 / stretch`."""
        scores = self.score(photos)
        usual = float(np.median(scores))
        width = stretch * max(_limit(scores) - usual, 1e-9)
        return Novelty((self.weight / width).astype(np.float32), (self.bias - usual) / width)


class NoveltyNet(nn.Module):
    """The same in the graph."""

    weight: Tensor

    def __init__(self, novelty: Novelty) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(novelty.weight))
        self.bias = novelty.bias

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weight + self.bias


@dataclass(frozen=True)
class _Shown:
    """Pictures that are no photos: features by kind, and the source fold they were made from."""

    features: dict[str, Floats]
    folds: dict[str, npt.NDArray[np.int64]]

    def of(self, kinds: Iterable[str], *, without: int = -2) -> Floats:
        return np.concatenate([self.features[k][self.folds[k] != without] for k in kinds])


def fit_novelty(run: Path) -> dict[str, Any]:
    """Fit the score of a finished run; leaves novelty.npz and novelty.json in its folder.

    The limit lets at most RATE of the validation photos be novel, and at most RATE of the photos of
    sources that the score did not see, each fold of sources left out in turn.

    Returns:
        The report, as written.

    Raises:
        FaunalensError: The run cannot be used.
    """
    data = finished(run)
    photo = np.array([is_photo(row) for row in data.rows])
    train, val, test = (photo & data.part(name) for name in ("train", "val", "test"))
    sources = data.fold("source")
    shown, grey, grey_folds = _learnt(data, train, sources)
    kinds = list(shown.features)

    def fitted(kinds: Iterable[str], fold: int = -2) -> Novelty:
        width = data.means.shape[1]
        photos = [data.means[train & (sources != fold)], grey[grey_folds != fold][:, -width:]]
        one = _fit(np.concatenate(photos), shown.of(kinds, without=fold)[:, -width:])
        return one.scaled(data.features[val & (sources != fold)])

    unseen = np.full(len(photo), np.nan)
    for fold in sorted(set(sources.tolist())):
        away, place = sources != fold, photo & (sources == fold)
        if (train & away).any() and (val & away).any():  # a single source leaves none to learn from
            unseen[place] = fitted(kinds, fold).score(data.features[place])
    judged = ~np.isnan(unseen)
    stretch = max(1.0, _limit(unseen[judged])) if judged.any() else 1.0
    final = fitted(kinds).scaled(data.features[val], stretch)
    asked, grey_asked = _asked(data, test)
    of_test = final.score(data.features[test])
    report = {
        "held-out photos": int(test.sum()),
        "novel of held-out photos": _share(of_test >= 1),
        "novel of their greyscale versions": _share(final.score(grey_asked) >= 1),
        "photos of unseen sources": int(judged.sum()),
        "novel of photos of unseen sources": _share(unseen[judged] >= stretch),
        "by label, unseen sources": _by_label(data.rows, unseen >= stretch, judged),
        "strange": {
            kind: {
                **_figures(final, of_test, features),
                "novel_if_kind_unseen": _share(
                    fitted([k for k in kinds if k != kind])
                    .scaled(data.features[val], stretch)
                    .score(features)
                    >= 1
                ),
                **_alerts(run, data, final, features),
            }
            for kind, features in asked.items()
        },
    }
    part = run / "novelty.part.npz"
    np.savez(part, weight=final.weight, bias=np.array(final.bias))
    part.replace(run / NOVELTY)
    folder.write_json(run / NOVELTY_REPORT, report)
    return report


def load_novelty(run: Path) -> tuple[Novelty, NoveltySpec] | None:
    """What `fit_novelty` left in a run folder; None if it was not called.

    Raises:
        RunError: It is malformed.
    """
    if not (run / NOVELTY).exists():
        return None
    try:
        with np.load(run / NOVELTY, allow_pickle=False) as stored:
            novelty = Novelty(stored["weight"], float(stored["bias"]))
    except (OSError, KeyError, ValueError) as error:
        raise folder.RunError(f"cannot read {run / NOVELTY}: {error}") from error
    rate = float(folder.read_json(run / NOVELTY_REPORT)["novel of held-out photos"])
    return novelty, NoveltySpec(1.0, rate, _METHOD)


def is_photo(row: Row) -> bool:
    """Whether a row is a photo of a thing; one of a toy or a picture may be a drawing."""
    drawn = ("drawing", "render", "screenshot")
    return row.photo_kind not in drawn and row.negative_kind != "toy_or_art"


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"called novel: {report['novel of held-out photos']:.2%} of {report['held-out photos']} "
        f"held-out photos, {report['novel of their greyscale versions']:.2%} of greyscale ones, "
        f"{report['novel of photos of unseen sources']:.2%} of "
        f"{report['photos of unseen sources']} photos of unseen sources",
        "by label (unseen sources): "
        + ", ".join(f"{k} {v:.1%}" for k, v in report["by label, unseen sources"].items()),
    ]
    for kind, one in report["strange"].items():
        lines.append(
            f"{kind:<16} {one['pictures']:>3} pictures  novel {one['novel']:.3f} (kind never seen "
            f"{one['novel_if_kind_unseen']:.3f})  AUROC {one['auroc']:.3f}  alert "
            f"{one['alert_without']:.3f} -> {one['alert']:.3f}"
        )
    return "\n".join(lines)


def _fit(photos: Floats, strange: Floats) -> Novelty:
    x = np.concatenate([photos, strange])
    y = np.repeat([0, 1], [len(photos), len(strange)])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=300)
    ).fit(x, y)
    scaler, linear = (step for _, step in model.steps)
    weight = linear.coef_[0] / scaler.scale_
    bias = float(linear.intercept_[0] - weight @ scaler.mean_)
    return Novelty(weight.astype(np.float32), bias)


def _learnt(data: Finished, train: Any, sources: Any) -> tuple[_Shown, Floats, Any]:
    """Strange pictures to learn from, and greyscale photos, which are photos, with their folds."""
    own = data.part("train") & _drawn_rows(data)
    places = _choose(np.flatnonzero(train), LEARNT)
    made = _make(data, places, seed=1, count=LEARNT)
    folds = {kind: sources[places] if kind in DERIVED else np.full(LEARNT, -1) for kind in made}
    grey = made.pop("grey")
    made[_OWN], folds[_OWN] = data.features[own], sources[own]
    return _Shown(made, folds), grey, sources[places]


def _asked(data: Finished, test: Any) -> tuple[dict[str, Floats], Floats]:
    """Strange pictures to ask of, some made of test photos that show a label; greyscale photos."""
    shows = np.array([bool(row.labels) for row in data.rows])
    made = _make(data, _choose(np.flatnonzero(test & shows), ASKED), seed=2, count=ASKED)
    grey = made.pop("grey")
    own = ~data.part("train") & _drawn_rows(data)
    return {**made, _OWN: data.features[own]}, grey


def _make(data: Finished, places: Any, *, seed: int, count: int) -> dict[str, Floats]:
    """Features by kind: drawn, made out of the photos at `places`, and these in `grey`."""
    rule = ResizeRule(data.config.net.size_px)
    kinds: dict[str, list[Pixels]] = {}
    for number, (kind, draw) in enumerate(DRAWN.items()):
        kinds[kind] = [draw(np.random.default_rng([seed, number, n])) for n in range(count)]
    photos = [decode(read_file(data.parts.images / data.rows[p].file).data).pixels for p in places]
    for kind, change in DERIVED.items():
        kinds[kind] = [change(p, np.random.default_rng([seed, n])) for n, p in enumerate(photos)]
    kinds["grey"] = [np.array(Image.fromarray(p).convert("L").convert("RGB")) for p in photos]
    return {
        kind: pooled(data.net, np.stack([preprocess(one, rule) for one in pictures]))
        for kind, pictures in tqdm(kinds.items(), desc="strange pictures", disable=None)
    }


def _drawn_rows(data: Finished) -> npt.NDArray[np.bool_]:
    return np.array([row.photo_kind in ("drawing", "render", "screenshot") for row in data.rows])


def _choose(places: Any, count: int) -> Any:
    return np.random.default_rng(0).choice(places, min(count, len(places)), replace=False)


def _figures(one: Novelty, photos: npt.NDArray[np.float64], features: Floats) -> dict[str, Any]:
    scores = one.score(features)
    return {
        "pictures": len(features),
        "novel": _share(scores >= 1),
        "auroc": _share(scores[:, None] > photos[None]),
    }


def _alerts(run: Path, data: Finished, one: Novelty, features: Floats) -> dict[str, float]:
    """Share that alerts without the score, and with it."""
    spec, calibration = finished_spec(data.config, data.parts, run)
    rules = policy(spec, look=Look.FIRST)
    with torch.inference_mode():
        logits = data.net.logits(torch.from_numpy(features.astype(np.float32))).numpy()
    chances = calibration.probability(logits)
    verdicts = [decide(spec, row.tolist(), rules).verdict for row in chances]
    alert = np.array([verdict is Verdict.ALERT for verdict in verdicts], bool)
    return {"alert_without": _share(alert), "alert": _share(alert & (one.score(features) < 1))}


def _by_label(rows: list[Row], novel: Any, judged: Any) -> dict[str, float]:
    found = {}
    for label in sorted({label for row in rows for label in row.labels}):
        mask = judged & np.array([label in row.labels for row in rows])
        if mask.any():
            found[label] = _share(novel[mask])
    return found


def _limit(scores: npt.NDArray[np.float64]) -> float:
    """The score that at most RATE are at or above."""
    return float(np.nextafter(np.quantile(scores, 1 - RATE, method="higher"), np.inf))


def _share(hits: Any) -> float:
    return round(float(np.mean(hits)), 4) if np.size(hits) else 0.0
