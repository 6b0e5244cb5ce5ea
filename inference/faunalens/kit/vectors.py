"""Golden vectors: pictures, and what every right client makes of them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faunalens.decide import Policy, decide
from faunalens.decode import decode
from faunalens.errors import ModelError
from faunalens.model import Model
from faunalens.preprocess import preprocess
from faunalens.spec import ModelSpec

SCHEMA = 1
TOLERANCE = 1e-3
"""How far a probability may be off: other processors and runtimes round otherwise."""

VECTORS = "vectors.json"
_PICTURES = (".jpg", ".png", ".webp")


@dataclass(frozen=True)
class Steps:
    """What becomes of a picture on its way: `(H, W, 3)` and `(S, S, 3)` uint8 RGB, `(L,)`.

    `novelty` is None if the model has no such output.
    """

    pixels: npt.NDArray[np.uint8]
    tensor: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    novelty: float | None


def folder() -> Path:
    """Where the golden pictures and their vectors lie in this package."""
    return Path(str(resources.files("faunalens.kit") / "golden"))


def pictures(where: Path) -> Iterator[Path]:
    """The golden pictures by name."""
    return (path for path in sorted(where.iterdir()) if path.suffix in _PICTURES)


def steps(model: Model, data: bytes) -> Steps:
    """Decode whole, resize, run: the reference for every client.

    Raises:
        PhotoError: It cannot be decoded.
    """
    pixels = decode(data).pixels
    tensor = preprocess(pixels, model.spec.resize)
    found = model.predict(tensor[None])
    novelty = None if found.novelty is None else float(found.novelty[0])
    return Steps(pixels, tensor, found.probability[0], novelty)


def measure(models: list[Model], where: Path) -> dict[str, Any]:
    """The content of `vectors.json` for these models."""
    files = list(pictures(where))
    described = []
    for path in files:
        data = path.read_bytes()
        pixels = decode(data).pixels
        described.append(
            {
                "file": path.name,
                "sha256": hashlib.sha256(data).hexdigest(),
                "width": pixels.shape[1],
                "height": pixels.shape[0],
                "pixels_sha256": sha256(pixels),
            }
        )
    return {
        "schema": SCHEMA,
        "tolerance": TOLERANCE,
        "pictures": described,
        "models": [_of_model(model, files) for model in models],
    }


def read(where: Path) -> dict[str, Any]:
    """The stored vectors.

    Raises:
        ModelError: They are missing or of another schema.
    """
    try:
        stored = json.loads((where / VECTORS).read_text(encoding="utf-8"))
        if stored["schema"] != SCHEMA:
            raise ModelError(f"golden vectors have schema {stored['schema']}, expected {SCHEMA}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"no golden vectors in {where}: {error}; install faunalens anew"
        ) from error
    assert isinstance(stored, dict)
    return stored


def check(model: Model, where: Path) -> float | None:
    """Compare this machine's results with the stored vectors.

    Returns:
        The largest difference of a probability; None if the vectors are of another model.

    Raises:
        ModelError: A resized tensor differs, or a probability by more than TOLERANCE.
    """
    wanted = {one["sha256"]: one for one in read(where)["models"]}.get(model.identity["sha256"])
    if wanted is None:
        return None
    worst = 0.0
    for golden in wanted["vectors"]:
        got = steps(model, (where / golden["file"]).read_bytes())
        if sha256(got.tensor) != golden["tensor_sha256"]:
            raise ModelError(
                f"{golden['file']} is decoded or resized otherwise here than when the model was "
                "made; expected Pillow's bundled libjpeg-turbo and libwebp (pip install pillow)"
            )
        difference = float(np.abs(got.probability - np.array(golden["probability"])).max())
        if not difference <= TOLERANCE:
            raise ModelError(
                f"{golden['file']}: probabilities differ by {difference:.1e} from the golden ones, "
                f"at most {TOLERANCE} was expected; try another onnxruntime"
            )
        worst = max(worst, difference)
    return worst


def own_rules(spec: ModelSpec) -> Policy:
    """The thresholds of this file alone, whatever second model it names."""
    return Policy(spec.labels, spec.thresholds, spec.families)


def sha256(pixels: npt.NDArray[np.uint8]) -> str:
    """Of the bytes in row order: R, G, B of the first pixel first."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _of_model(model: Model, files: list[Path]) -> dict[str, Any]:
    rules = own_rules(model.spec)
    vectors = []
    for path in files:
        got = steps(model, path.read_bytes())
        values = [round(float(value), 6) for value in got.probability]
        decision = decide(model.spec, values, rules, got.novelty)
        vectors.append(
            {
                "file": path.name,
                "tensor_sha256": sha256(got.tensor),
                "probability": values,
                **({} if got.novelty is None else {"novelty": round(got.novelty, 4)}),
                "verdict": str(decision.verdict),
                "label": decision.label,
                "rule": decision.rule,
            }
        )
    return {
        "file": model.path.name,
        "sha256": model.identity["sha256"],
        "labels": list(model.spec.labels),
        "vectors": vectors,
    }
