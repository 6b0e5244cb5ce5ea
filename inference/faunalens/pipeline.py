"""The one flow: photo -> decode -> preprocess -> model -> decide -> record.

A picture that is a sheet of several photos is judged as a whole and photo by photo; each label has
the highest probability of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faunalens.decide import Look, Policy, decide, policy, with_novelty
from faunalens.decode import FileBytes, Photo, decode, read_file
from faunalens.errors import FailureKind, PhotoError
from faunalens.hints import Hint, hints
from faunalens.model import Model, Prediction
from faunalens.parts import WHOLE, Box, cut, finer, pasted, sampled
from faunalens.preprocess import preprocess
from faunalens.record import Failure, Record
from faunalens.second import OVERSAMPLING, Second, SecondLook
from faunalens.sheet import SEEN, photos_of


@dataclass(frozen=True)
class Judgement:
    """A record together with what explains it.

    Attributes:
        photo: The decoded photo, None if it failed.
        evidence: `(L, h, w)` float32, None if it failed; on a finer grid where the second model
            or one photo of a sheet decided.
        embedding: `(D,)` float32 of length 1, None if it failed.
        novelty: How unlike the training photos it is, or the photo of a sheet that decided; None
            if it failed or the model cannot say.
        may_be: The taxa it may show, likeliest first (see `hints`). They never touch the verdict.
    """

    record: Record
    photo: Photo | None = None
    evidence: npt.NDArray[np.float32] | None = None
    embedding: npt.NDArray[np.float32] | None = None
    novelty: float | None = None
    may_be: tuple[Hint, ...] = ()


class Classifier:
    """Judges photos with one model, its second one where that is in doubt, and one set of rules.

    Thread-safe: onnxruntime sessions may be shared, and nothing else is kept.

    Args:
        model: The shipped one if None.
        rules: From `policy`, which also says how closely to look; the model's own if None.
        sheets: False judges a sheet of several photos as a whole only.

    Raises:
        ModelError: A model file cannot be used, or the second one is not there.
    """

    def __init__(
        self, model: Model | None = None, rules: Policy | None = None, *, sheets: bool = True
    ) -> None:
        self.model = model or Model.shipped()
        self.rules = rules or policy(self.model.spec)
        self.sheets = sheets
        self.second = None if self.rules.look is Look.FIRST else SecondLook(self.model, self.rules)

    def classify(self, photo: str | Path | bytes, *, source: str | None = None) -> Judgement:
        """Judge one photo, given as a path or as the bytes of a file.

        Args:
            source: What the record calls it; the path by default, `bytes` for bytes.
        """
        return self.classify_batch([photo], sources=None if source is None else [source])[0]

    def classify_batch(
        self, photos: Sequence[str | Path | bytes], *, sources: Sequence[str] | None = None
    ) -> list[Judgement]:
        """Judge several photos in one run of the network.

        A photo that cannot be read or decoded gives a record with its failure; it neither raises
        nor touches the others.

        Returns:
            One judgement per photo, in order.
        """
        if sources is None:
            sources = ["bytes" if isinstance(photo, bytes) else str(photo) for photo in photos]
        opened = [self._open(photo, source) for photo, source in zip(photos, sources, strict=True)]
        ready = [one for one in opened if isinstance(one, _Opened)]
        if not ready:
            return [one for one in opened if isinstance(one, Judgement)]
        prediction = self.model.predict(np.stack([one.image for one in ready]))
        judged = iter(self._judge(one, prediction, row) for row, one in enumerate(ready))
        return [next(judged) if isinstance(one, _Opened) else one for one in opened]

    def model_input(self, data: bytes) -> tuple[Photo, npt.NDArray[np.uint8]]:
        """The bytes of a photo file, decoded, and resized to `(S, S, 3)` by the model's rule.

        Raises:
            PhotoError: It cannot be decoded.
        """
        rule = self.model.spec.resize
        photo = decode(data, at_least_px=OVERSAMPLING * rule.size_px)
        return photo, preprocess(photo.pixels, rule)

    def _open(self, photo: str | Path | bytes, source: str) -> "_Opened | Judgement":
        sha256 = None
        size = None
        try:
            file = FileBytes.of(photo) if isinstance(photo, bytes) else read_file(photo)
            size, sha256 = len(file.data), file.sha256
            return _Opened(source, file, *self.model_input(file.data))
        except Exception as error:
            return self._failed(source, sha256, size, error)

    def _failed(
        self, source: str, sha256: str | None, size: int | None, error: Exception
    ) -> Judgement:
        if isinstance(error, PhotoError):
            failure = Failure(error.kind, str(error))
        else:  # a bug or a broken library must cost one photo, not the run
            failure = Failure(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
        return Judgement(
            Record(
                source=source,
                sha256=sha256,
                bytes=size,
                failure=failure,
                model=self.model.identity,
            )
        )

    def _judge(self, one: "_Opened", prediction: Prediction, row: int) -> Judgement:
        spec = self.model.spec
        try:
            views = [self._look(one.file.data, prediction, row)]
            boxes = photos_of(self._seen(one)) if self.sheets else []
            if boxes:
                apart = self.model.predict(self._parts(one.file.data, boxes))
                views += [self._look(one.file.data, apart, n, box) for n, box in enumerate(boxes)]
        except Exception as error:
            return self._failed(one.source, one.file.sha256, len(one.file.data), error)
        found = np.stack([view.probability for view in views])
        best = found.argmax(axis=0)  # of each label; the whole picture, if it is no sheet
        # Six digits say all a float32 sigmoid can, and keep a row short.
        values = [round(float(p), 6) for p in found.max(axis=0)]
        decision = decide(spec, values, self.rules)
        place = spec.labels.index(decision.label)
        number = int(best[place])
        view = views[number]
        decision = with_novelty(spec, decision, view.novelty)
        how = [f"photo {number} of {len(boxes)}"] if number else []
        if view.second is not None:
            how.append("zoom" if place in view.second.zoomed else "second model")
        record = Record(
            source=one.source,
            sha256=one.file.sha256,
            bytes=len(one.file.data),
            width=one.photo.width,
            height=one.photo.height,
            verdict=decision.verdict,
            label=decision.label,
            family=decision.family,
            probability=round(decision.probability, 6),
            rule=f"{decision.rule} ({', '.join(how)})" if how else decision.rule,
            probabilities=dict(zip(spec.labels, values, strict=True)),
            model=self.model.identity,
        )
        evidence = views[0].evidence
        if best.any():
            evidence = finer(evidence)
            for label in np.flatnonzero(best):
                shown = views[best[label]].evidence[label]
                evidence[label] = pasted(evidence[label], shown, boxes[best[label] - 1])
        return Judgement(
            record,
            one.photo,
            evidence,
            prediction.embedding[row],
            view.novelty,
            hints(spec, view.taxon.tolist(), decision, values, self.rules)
            if view.taxon is not None
            else (),
        )

    def _look(self, data: bytes, prediction: Prediction, row: int, box: Box = WHOLE) -> "_View":
        """What the models say of a photo: a whole file, or one photo of a sheet."""
        first = prediction.probability[row]
        second = None
        if self.second is not None and self.second.doubts(first[None])[0]:
            second = self.second.look(data, first, box)
        return _View(
            probability=(first if second is None else second.probability).astype(np.float64),
            evidence=prediction.evidence[row] if second is None else second.evidence,
            novelty=None if prediction.novelty is None else float(prediction.novelty[row]),
            taxon=None if prediction.taxon is None else prediction.taxon[row],
            second=second,
        )

    def _seen(self, one: "_Opened") -> npt.NDArray[np.uint8]:
        if self.model.spec.resize == SEEN:
            return one.image  # as a rule
        return preprocess(one.photo.pixels, SEEN)

    def _parts(self, data: bytes, boxes: Sequence[Box]) -> npt.NDArray[np.uint8]:
        """`(N, S, S, 3)` model inputs of the photos of a sheet."""
        rule = self.model.spec.resize
        side = max(sampled(OVERSAMPLING * rule.size_px, box) for box in boxes)
        pixels = decode(data, at_least_px=side).pixels
        return np.stack([preprocess(cut(pixels, box), rule) for box in boxes])


@dataclass(frozen=True)
class _View:
    probability: npt.NDArray[np.float64]
    evidence: npt.NDArray[np.float32]
    novelty: float | None
    taxon: npt.NDArray[np.float32] | None
    second: Second | None


@dataclass(frozen=True)
class _Opened:
    source: str
    file: FileBytes
    photo: Photo
    image: npt.NDArray[np.uint8]
