"""Write the golden files anew, after the model or (rarely, with a reason) the resize has changed.

Run from anywhere: python tests/golden/renew.py. Look at the difference before you commit it.
"""

import json
import sys
from pathlib import Path

import numpy as np

from faunalens import Classifier, ResizeRule
from faunalens.decode import decode, read_file
from faunalens.kit import vectors
from faunalens.kit.document import embedding_document
from faunalens.model import Model, shipped_models
from faunalens.preprocess import preprocess

HERE = Path(__file__).parent
PHOTOS = HERE.parent / "photos"
TENSORS = HERE / "preprocess.npz"
RECORDS = HERE / "records.jsonl"
VECTORS = vectors.folder() / vectors.VECTORS
DOCUMENT = HERE.parents[1] / "inference" / "EMBEDDING.md"
RULES = {"stretched": ResizeRule(64), "padded": ResizeRule(64, filter="bilinear", padding="grey")}


def photos() -> list[Path]:
    """All test photos by name."""
    return sorted(p for p in PHOTOS.iterdir() if p.suffix in (".webp", ".jpg", ".png"))


def tensors() -> dict[str, np.ndarray]:
    """Every photo under both rules: name to `(64, 64, 3)` uint8 RGB."""
    return {
        f"{path.name}/{name}": preprocess(decode(read_file(path).data).pixels, rule)
        for path in photos()
        for name, rule in RULES.items()
    }


def main() -> None:
    np.savez_compressed(TENSORS, **tensors())  # type: ignore[arg-type]
    judged = Classifier().classify_batch(photos(), sources=[p.name for p in photos()])
    lines = "".join(one.record.to_json() + "\n" for one in judged)
    RECORDS.write_text(lines, encoding="utf-8")
    models = [Model(path) for path in shipped_models()]
    measured = json.dumps(vectors.measure(models, VECTORS.parent), indent=1)
    VECTORS.write_text(measured + "\n", encoding="utf-8")
    DOCUMENT.write_text(embedding_document(models[0]), encoding="utf-8")
    sys.stdout.write("".join(f"{path}\n" for path in (TENSORS, RECORDS, VECTORS, DOCUMENT)))


if __name__ == "__main__":
    main()
