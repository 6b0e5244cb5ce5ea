"""The ONNX model: uint8 photos in, probabilities, embedding and evidence out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from faunalens.errors import ModelError
from faunalens.onnx_file import check_file
from faunalens.spec import METADATA_KEY, ModelSpec

INPUT = "image"
OUTPUTS = ("probability", "embedding", "evidence")
OPTIONAL_OUTPUTS = ("taxon", "novelty")
SHIPPED = "faunalens.onnx"
"""File name of the model inside this package."""

MAX_MODEL_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True)
class Prediction:
    """What the network says of a batch of N photos.

    Attributes:
        probability: `(N, L)` float32, calibrated, in label order.
        embedding: `(N, D)` float32, each row of length 1.
        evidence: `(N, L, h, w)` float32 class activation maps (Zhou et al. 2016,
            arXiv:1512.04150): their mean over h and w, plus a bias, is what the trained head adds
            to the label's logit (EMBEDDING.md says what else may).
        taxon: `(N, T)` float32 chance of each of the spec's taxa, a row's sum at most 1; None if
            the file has no such output.
        novelty: `(N,)` float32, larger = less like the training photos; None if the file has no
            such output.
    """

    probability: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]
    taxon: npt.NDArray[np.float32] | None = None
    novelty: npt.NDArray[np.float32] | None = None


class Model:
    """A loaded model file.

    Args:
        path: An ONNX file that keeps the contract; the shipped one if None.
        threads: Intra-op threads of onnxruntime. 1 is right when several workers share the
            machine; the core count when one photo must be quick.

    Raises:
        ModelError: Missing, unreadable, or breaking the contract.
    """

    def __init__(self, path: Path | None = None, *, threads: int = 1) -> None:
        # Inside, so that `--help` and the pure parts of the package start without it.
        import onnxruntime as ort

        self.path = path or shipped_model_path()
        self.threads = threads
        try:
            if self.path.stat().st_size > MAX_MODEL_BYTES:
                raise ModelError(f"model file {self.path} is larger than {MAX_MODEL_BYTES:,} bytes")
            content = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read model file {self.path}: {error.strerror}") from error
        try:
            metadata = check_file(content)
        except ModelError as error:
            raise ModelError(f"{self.path} {error}") from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            # From bytes, not from the path: what was checked is what runs.
            self._session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self.path} is not a usable ONNX model: {reason}") from error
        self._content_sha256 = hashlib.sha256(content).hexdigest()
        self.spec = self._read_spec(metadata)
        self._check_contract()
        self._outputs = [*OUTPUTS, *(name for name, has in self._optional().items() if has)]

    @classmethod
    def shipped(cls, *, threads: int = 1) -> Self:
        """The model inside this package."""
        return cls(threads=threads)

    @cached_property
    def identity(self) -> dict[str, str]:
        """The `model` field of a record: name, version, sha256 of the file."""
        return {
            "name": self.spec.name,
            "version": self.spec.version,
            "sha256": self._content_sha256,
        }

    @cached_property
    def evidence_shape(self) -> tuple[int, int]:
        """(h, w) of an evidence map."""
        blank = np.zeros((1, self.spec.resize.size_px, self.spec.resize.size_px, 3), np.uint8)
        height, width = self.predict(blank).evidence.shape[2:]
        return int(height), int(width)

    @cached_property
    def embedding_width(self) -> int:
        """D of the embedding."""
        blank = np.zeros((1, self.spec.resize.size_px, self.spec.resize.size_px, 3), np.uint8)
        return int(self.predict(blank).embedding.shape[1])

    def predict(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Run the network.

        Args:
            images: `(N, S, S, 3)` uint8 RGB from `preprocess`, N from 1.

        Raises:
            ValueError: Wrong shape or dtype.
        """
        side = self.spec.resize.size_px
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
            raise ValueError(
                f"expected (N, {side}, {side}, 3) uint8 RGB, got {images.shape} {images.dtype}"
            )
        found = self._session.run(self._outputs, {INPUT: images})
        return Prediction(**dict(zip(self._outputs, found, strict=True)))

    def _read_spec(self, metadata: Mapping[str, str]) -> ModelSpec:
        text = metadata.get(METADATA_KEY)
        if text is None:
            raise ModelError(
                f"{self.path} has no {METADATA_KEY!r} metadata; expected a file written by "
                "`faunalens-train export`"
            )
        return ModelSpec.from_json(text)

    def _optional(self) -> dict[str, bool]:
        """Whether the metadata promises each of OPTIONAL_OUTPUTS."""
        promised = (bool(self.spec.taxa), self.spec.novelty is not None)
        return dict(zip(OPTIONAL_OUTPUTS, promised, strict=True))

    def _check_contract(self) -> None:
        side, count = self.spec.resize.size_px, len(self.spec.labels)
        inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = {node.name: node for node in self._session.get_outputs()}
        wrong = []
        if list(inputs) != [INPUT]:
            wrong.append(f"inputs are {sorted(inputs)}, expected ['{INPUT}']")
        elif inputs[INPUT].type != "tensor(uint8)" or inputs[INPUT].shape[1:] != [side, side, 3]:
            wrong.append(
                f"input is {inputs[INPUT].type} {inputs[INPUT].shape}, expected tensor(uint8) "
                f"[N, {side}, {side}, 3]"
            )
        for name in OUTPUTS:
            if name not in outputs:
                wrong.append(f"output {name!r} is missing")
            elif outputs[name].type != "tensor(float)":
                wrong.append(f"output {name!r} is {outputs[name].type}, expected tensor(float)")
        for name in ("probability", "evidence"):
            if name in outputs and _known(outputs[name].shape, 1) not in (None, count):
                wrong.append(
                    f"output {name!r} has {outputs[name].shape[1]} labels, metadata has {count}"
                )
        for name, promised in self._optional().items():
            if promised != (name in outputs):
                wrong.append(f"output {name!r} is not in both the graph and the metadata")
            elif promised and outputs[name].type != "tensor(float)":
                wrong.append(f"output {name!r} is {outputs[name].type}, expected tensor(float)")
        if self.spec.taxa and "taxon" in outputs:
            found = _known(outputs["taxon"].shape, 1)
            if found not in (None, len(self.spec.taxa)):
                wrong.append(f"output 'taxon' has {found} taxa, metadata has {len(self.spec.taxa)}")
        if wrong:
            raise ModelError(f"{self.path} breaks the model contract: {'; '.join(wrong)}")


def shipped_model_path() -> Path:
    """Where the model inside this package lies.

    Raises:
        ModelError: The installation has none.
    """
    path = Path(str(resources.files("faunalens") / SHIPPED))
    if not path.is_file():
        raise ModelError(
            f"this installation has no {SHIPPED}; install faunalens again, or name a model file"
        )
    return path


def shipped_models() -> list[Path]:
    """All model files inside this package, the first pass first."""
    first = shipped_model_path()
    return [first, *sorted(path for path in first.parent.glob("*.onnx") if path != first)]


def _known(shape: Sequence[Any], axis: int) -> int | None:
    value = shape[axis] if len(shape) > axis else None
    return value if isinstance(value, int) else None
