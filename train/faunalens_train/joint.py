"""Two models to one answer: who is in doubt, how the logits add up, where verdicts begin.

All from the validation pictures, which trained neither.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import softplus
from tqdm import tqdm

from faunalens.decide import Look, policy
from faunalens.decode import read_file
from faunalens.limits import SecondModel, Threshold, Thresholds
from faunalens.model import Model
from faunalens.second import SecondLook, joint_probability, logit
from faunalens_data.row import Row
from faunalens_train.calibrate import (
    Floats,
    advert_weights,
    choose_thresholds,
    threshold_at,
    view_weights,
)
from faunalens_train.config import ThresholdConfig
from faunalens_train.probe import masked_bce

_PULL = 2.0  # as in calibrate.py: of each offset to 0, in units of log-loss of one picture


def fit_joint(
    first: Floats,
    second: Floats,
    wanted: npt.NDArray[np.float32],
    labels: Sequence[str],
    families: Mapping[str, Sequence[str]],
    config: ThresholdConfig,
    *,
    products: Collection[str],
    weights: npt.NDArray[np.float64] | None = None,
    changed: Sequence[tuple[Floats, Floats]] = (),
    file: str = "second.onnx",
    sha256: str = "",
) -> SecondModel:
    """Join two calibrated models.

    Args:
        first, second: `(N, L)` calibrated probabilities of the same pictures.
        wanted: `(N, L)`, NaN for unknown.
        labels: In model order.
        families: Family id to its label ids.
        config: Rates and floors of the thresholds, and the rate of doubt.
        products: Labels that need a sharper look; of the others only what the first model would
            show to a person is judged again. Thresholds: see `choose_thresholds`.
        weights: `(N,)` what each negative stands for, see `advert_weights`.
        changed: Probabilities `(N, L)` of both for each set of changed views of the pictures, which
            take part in how logits add up, but set no threshold.
        file, sha256: Of the second model's file.
    """
    nothing = (wanted == 0).all(axis=1)
    alone, _ = choose_thresholds(
        first, wanted, labels, families, config, weights, products=products
    )
    doubt = {}
    for place, label in enumerate(labels):
        limit = alone[label].review.probability
        if label in products:
            share = None if weights is None else weights[nothing]
            often = threshold_at(first[nothing, place], config.doubt_fpr, share)
            # A product of an unknown source seldom scores high at first.
            limit = min(limit, often, config.doubt_most)
        doubt[label] = float(np.floor(limit * 1e6) / 1e6)
    dummy = Thresholds(Threshold(1.0, 0.5), Threshold(1.0, 0.5))
    joint = SecondModel(
        file=file,
        sha256=sha256,
        doubt=doubt,
        weights=((0.5,) * len(labels),) * 2,
        offset=(0.0,) * len(labels),
        zoom_penalty=(0.0,) * len(labels),
        thresholds={label: dummy for label in labels},
        families={},
    )
    both = [np.concatenate(one) for one in zip((first, second), *changed, strict=True)]
    asked = in_doubt(joint, both[0], labels)
    share = view_weights(len(first), len(changed))[asked]
    aim = np.tile(wanted, (1 + len(changed), 1))[asked]
    slopes, offset = _fit(logit(both[0][asked]), logit(both[1][asked]), aim, share)
    joint = replace(
        joint,
        weights=(tuple(slopes[0].tolist()), tuple(slopes[1].tolist())),
        offset=tuple(offset.tolist()),
    )
    probability = joint_scores(joint, first, second, labels)
    thresholds, family_specs = choose_thresholds(
        probability, wanted, labels, families, config, weights, products=products
    )
    return replace(joint, thresholds=thresholds, families=family_specs)


def in_doubt(joint: SecondModel, first: Floats, labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """`(N,)` whether a photo is judged again."""
    limits = np.array([joint.doubt.get(label, np.inf) for label in labels])
    return np.asarray((first >= limits).any(axis=1))


def joint_scores(
    joint: SecondModel, first: Floats, second: Floats, labels: Sequence[str]
) -> Floats:
    """`(N, L)` probabilities as the product gives them: joint where in doubt, else the first's."""
    asked = in_doubt(joint, first, labels)[:, None]
    return np.where(asked, joint_probability(joint, first, second), first)


def zoom_penalty(
    first: Model, negatives: Sequence[Row], images: Path, config: ThresholdConfig
) -> tuple[float, ...]:
    """What a part's logit must lose, per label, so that zooming costs no more false alarms.

    Args:
        first: The first model's file, whose metadata names the second with a penalty of 0.
        negatives: Validation pictures that show nothing protected.
        images: Folder that their files lie in.
        config: The rates aimed for.
    """
    rules = policy(first.spec, look=Look.ZOOM)
    look = SecondLook(first, rules)
    limits = [rules.thresholds[label] for label in first.spec.labels]
    none = -100.0  # logit of what is not zoomed into, or not raised by it
    found = np.full((len(negatives), len(limits)), none)
    for number, row in enumerate(
        tqdm(negatives, desc="zoom", unit="photo", leave=False, disable=None)
    ):
        data = read_file(images / row.file).data
        photo = look.first_probability(data)
        if look.doubts(photo[None])[0]:
            seen = look.look(data, photo)
            places = sorted(seen.zoomed)
            found[number, places] = logit(seen.probability[places])
    weights = advert_weights(negatives, config.hard_share)
    penalties = []
    for place, pair in enumerate(limits):
        needed = max(
            threshold_at(found[:, place], rate, weights) - float(logit(limit.probability))
            for rate, limit in ((config.alert_fpr, pair.alert), (config.review_fpr, pair.review))
        )
        penalties.append(float(np.ceil(max(needed, 0.0) * 100) / 100))
    return tuple(penalties)


def _fit(
    first: Floats,
    second: Floats,
    wanted: npt.NDArray[np.float32],
    share: npt.NDArray[np.float64],
) -> tuple[Floats, Floats]:
    """Least log-loss over an offset per label, and two weights of 0 or more that all labels share.

    Args:
        first, second: `(N, L)` logits.
        wanted: `(N, L)`, NaN for unknown.
        share: `(N,)`, how much each counts, 1 being a picture.

    Returns:
        Weights `(2, L)` and offsets `(L,)`.
    """
    both = torch.from_numpy(np.stack([first, second]))
    aim = torch.from_numpy(wanted).double()
    raw = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(first.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([raw, offset], max_iter=200, line_search_fn="strong_wolfe")

    def weights() -> torch.Tensor:
        return softplus(raw).expand(2, first.shape[1])

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        each = masked_bce((weights()[:, None] * both).sum(0) + offset, aim)
        loss = each @ torch.from_numpy(share)
        loss = loss + _PULL * offset.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights().detach().numpy().copy(), offset.detach().numpy()
