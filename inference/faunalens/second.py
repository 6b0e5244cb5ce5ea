"""The second look: a sharper model on the photos that leave the first one in doubt.

Ivory is told from bone, and tortoiseshell from resin, by the surface, which needs resolution; most
photos show neither, and need none. And an ivory bangle on a wrist may fill a twentieth of the
photo: looked at by itself, it fills the model's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faunalens.decide import Look, Policy, Verdict, decide
from faunalens.decode import decode
from faunalens.errors import ModelError
from faunalens.limits import SecondModel
from faunalens.model import Model
from faunalens.parts import WHOLE, Box, Map, cut, finer, pasted, sampled
from faunalens.preprocess import preprocess
from faunalens.spec import ModelSpec

# A JPEG is decoded at no less than this times the model's side: below, the block averages of scaled
# decoding alias (libvips advises the same factor before a good filter).
OVERSAMPLING = 2
# Parts of a photo are cut from four times the side of the model, so that the smallest is not blown
# up by much.
_ZOOM_SAMPLING = 4
# Four corners and the middle, as shares of each side: overlapping, so that what one part cuts in
# two another holds whole.
_TILE = 0.6
# Around the strongest evidence: what fills a twentieth of the photo then fills two fifths of this.
_WINDOW = 0.35
# A part is looked at for labels within reach of their review threshold.
_REACH = 0.1


@dataclass(frozen=True)
class Second:
    """What a second look at one photo says.

    Attributes:
        probability: `(L,)` float64, joint.
        evidence: `(L, h, w)` float32 over what was looked at.
        zoomed: Positions of the labels whose probability a part of the photo raised.
    """

    probability: npt.NDArray[np.float64]
    evidence: Map
    zoomed: frozenset[int] = frozenset()


class SecondLook:
    """Judges photos again, by the first model and its second one together.

    Args:
        first: A model that names a second one.
        rules: From `policy`, with the look SECOND or ZOOM.

    Raises:
        ModelError: The second model's file is missing, not the one named, or does not fit.
    """

    def __init__(self, first: Model, rules: Policy) -> None:
        self.first = first
        self.rules = rules
        self.joint = _named(first.spec)
        self.sharp = open_second(first)
        self._doubt = np.array(
            [self.joint.doubt.get(label, np.inf) for label in first.spec.labels], np.float64
        )

    def doubts(self, probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which photos ask for a second look.

        Args:
            probability: `(N, L)` of the first model.

        Returns:
            `(N,)` bool.
        """
        return np.asarray((np.asarray(probability) >= self._doubt).any(axis=1))

    def first_probability(self, data: bytes) -> npt.NDArray[np.float32]:
        """`(L,)` probabilities of the first model for the file of one photo.

        Raises:
            PhotoError: It cannot be decoded.
        """
        rule = self.first.spec.resize
        pixels = decode(data, at_least_px=OVERSAMPLING * rule.size_px).pixels
        probability: npt.NDArray[np.float32]
        probability = self.first.predict(preprocess(pixels, rule)[None]).probability[0]
        return probability

    def look(self, data: bytes, probability: npt.NDArray[np.float32], box: Box = WHOLE) -> Second:
        """Judge the file of one photo again.

        Args:
            data: Bytes of the file.
            probability: `(L,)` of the first model.
            box: Where the photo is, in a sheet of several.

        Raises:
            PhotoError: It cannot be decoded.
        """
        side = self.sharp.spec.resize.size_px
        pixels = cut(decode(data, at_least_px=sampled(OVERSAMPLING * side, box)).pixels, box)
        second = self.sharp.predict(preprocess(pixels, self.sharp.spec.resize)[None])
        whole = Second(
            joint_probability(self.joint, probability, second.probability[0]), second.evidence[0]
        )
        if self.rules.look is not Look.ZOOM:
            return whole
        wanted = self._within_reach(whole.probability)
        if not wanted:
            return whole
        pixels = cut(decode(data, at_least_px=sampled(_ZOOM_SAMPLING * side, box)).pixels, box)
        return self._zoom(pixels, whole, wanted)

    def _within_reach(self, probability: npt.NDArray[np.float64]) -> list[int]:
        """Positions of labels worth a closer look; none if the photo raises an alert as it is."""
        spec, rules = self.first.spec, self.rules
        if decide(spec, probability.tolist(), rules).verdict is Verdict.ALERT:
            return []
        return [
            place
            for place, label in enumerate(spec.labels)
            if label in rules.thresholds
            and probability[place] >= _REACH * rules.thresholds[label].review.probability
        ]

    def _zoom(self, pixels: npt.NDArray[np.uint8], whole: Second, wanted: Sequence[int]) -> Second:
        """Judge parts of a photo; keeps the highest of whole and parts for each wanted label."""
        likeliest = max(wanted, key=lambda place: float(whole.probability[place]))
        boxes = [*_tiles(), _around_peak(whole.evidence[likeliest], WHOLE, _WINDOW)]
        parts = [self._part(pixels, box) for box in boxes]
        best = max(range(len(parts)), key=lambda n: float(parts[n][0][likeliest]))
        boxes.append(_around_peak(parts[best][1][likeliest], boxes[best], _WINDOW))
        parts.append(self._part(pixels, boxes[-1]))

        probability = whole.probability.copy()
        evidence = finer(whole.evidence)
        raised = set()
        for place in wanted:
            best = max(range(len(parts)), key=lambda n: float(parts[n][0][place]))
            found, its_map = parts[best]
            if found[place] > probability[place]:
                probability[place] = found[place]
                evidence[place] = pasted(evidence[place], its_map[place], boxes[best])
                raised.add(place)
        return Second(probability, evidence, frozenset(raised))

    def _part(self, pixels: npt.NDArray[np.uint8], box: Box) -> tuple[npt.NDArray[np.float64], Map]:
        part = cut(pixels, box)
        first = self.first.predict(preprocess(part, self.first.spec.resize)[None])
        second = self.sharp.predict(preprocess(part, self.sharp.spec.resize)[None])
        return (
            joint_probability(
                self.joint,
                first.probability[0],
                second.probability[0],
                penalty=self.joint.zoom_penalty,
            ),
            second.evidence[0],
        )


def joint_probability(
    joint: SecondModel, first: npt.ArrayLike, second: npt.ArrayLike, *, penalty: npt.ArrayLike = 0.0
) -> npt.NDArray[np.float64]:
    """`(..., L)` probabilities of both models to the joint one, float64."""
    ours, sharper = np.asarray(joint.weights, np.float64)
    z = ours * logit(first) + sharper * logit(second)
    return np.asarray(1 / (1 + np.exp(np.asarray(penalty) - z - np.asarray(joint.offset))))


def logit(probability: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Log-odds; probabilities that float32 rounds to 0 or 1 become about -16 and 16."""
    p = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(p) - np.log1p(-p))


def open_second(first: Model) -> Model:
    """The model that `first` names.

    Raises:
        ModelError: Its file is missing, not the one named, or has other labels.
    """
    joint = _named(first.spec)
    path = first.path.with_name(joint.file)
    if not path.is_file():
        raise ModelError(
            f"{first.path} names the second model {joint.file}, which is not beside it; put it "
            "there, or use the first alone (scan --first-only)"
        )
    second = Model(path, threads=first.threads)
    if second.identity["sha256"] != joint.sha256:
        raise ModelError(
            f"{path} is not the second model that {first.path} names: its SHA-256 is "
            f"{second.identity['sha256']}, expected {joint.sha256}"
        )
    if second.spec.labels != first.spec.labels:
        raise ModelError(f"{path} has other labels than {first.path}")
    return second


def _named(spec: ModelSpec) -> SecondModel:
    if spec.second is None:
        raise ModelError(f"{spec.name} {spec.version} names no second model")
    return spec.second


def _tiles() -> list[Box]:
    starts = (0.0, 1 - _TILE)
    corners = [(left, top, left + _TILE, top + _TILE) for top in starts for left in starts]
    edge = (1 - _TILE) / 2
    return [*corners, (edge, edge, edge + _TILE, edge + _TILE)]


def _around_peak(evidence: Map, box: Box, side: float) -> Box:
    """A square part around the strongest cell of the evidence over `box`, inside the photo."""
    down, across = np.unravel_index(int(evidence.argmax()), evidence.shape)
    left, top, right, bottom = box
    x = left + (float(across) + 0.5) / evidence.shape[1] * (right - left)
    y = top + (float(down) + 0.5) / evidence.shape[0] * (bottom - top)
    x, y = (min(max(at - side / 2, 0.0), 1 - side) for at in (x, y))
    return (x, y, x + side, y + side)
