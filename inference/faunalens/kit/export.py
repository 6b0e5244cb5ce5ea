"""Write the embedding kit: a folder from which a platform runs the model without this package."""

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

from faunalens.errors import FileError, MissingExtraError
from faunalens.kit import vectors
from faunalens.kit.bom import bill_of_materials
from faunalens.kit.figures import FIGURES
from faunalens.model import Model

CHECKSUMS = "SHA256SUMS"
_PACKAGE_FILES = ("labels.toml", "MODEL_CARD.md")
"""Files of the package that travel with the kit if it has them."""


def export_kit(out: Path, models: list[Model], *, report: Callable[[str], None] = print) -> None:
    """Write the kit.

    Before anything is written the golden vectors are run on this machine.

    Args:
        out: A folder that is empty or not there yet.
        models: The first pass first.
        report: Called with one line for each thing that a person should know.

    Raises:
        FileError: `out` holds something, or cannot be written.
        ModelError: This machine does not reproduce the golden vectors.
        MissingExtraError: The `onnx` package is not installed.
    """
    try:
        from faunalens.kit.any_size import SUFFIX, with_resize
        from faunalens.kit.document import embedding_document
    except ModuleNotFoundError as error:
        raise MissingExtraError("kit", "writing the embedding kit") from error
    golden = vectors.folder()
    for model in models:
        difference = vectors.check(model, golden)
        report(
            f"{model.path.name}: no golden vectors of this file ship; they are made now"
            if difference is None
            else f"{model.path.name}: golden vectors reproduced, off by at most {difference:.1e}"
        )
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FileError(f"{out} is not an empty folder; name a new one")
        out.mkdir(parents=True, exist_ok=True)
        for model in models:
            content = model.path.read_bytes()
            (out / model.path.name).write_bytes(content)
            resizing = with_resize(content, model.spec.resize)
            (out / f"{model.path.stem}{SUFFIX}").write_bytes(resizing)
            _write_json(out / f"{model.path.stem}.metadata.json", json.loads(model.spec.to_json()))
        _write_golden(out / "golden", models, golden)
        (out / "EMBEDDING.md").write_text(embedding_document(models[0]), encoding="utf-8")
        _write_json(out / "sbom.cdx.json", bill_of_materials(models))
        schema = resources.files("faunalens.kit") / "metadata.schema.json"
        (out / "metadata.schema.json").write_bytes(schema.read_bytes())
        if FIGURES.is_file():
            shutil.copyfile(FIGURES, out / FIGURES.name)
        for name in _PACKAGE_FILES:
            source = resources.files("faunalens") / name
            if source.is_file():
                (out / name).write_bytes(source.read_bytes())
        (out / "LICENSE").write_text(_licence(), encoding="utf-8")
        _write_checksums(out)
    except OSError as error:
        raise FileError(f"cannot write {error.filename or out}: {error.strerror}") from error


def _write_golden(out: Path, models: list[Model], golden: Path) -> None:
    out.mkdir()
    for path in (*vectors.pictures(golden), golden / "CREDITS.md"):
        shutil.copyfile(path, out / path.name)
    stored = vectors.read(golden)
    known = {one["sha256"] for one in stored["models"]}
    same = all(model.identity["sha256"] in known for model in models)
    _write_json(out / vectors.VECTORS, stored if same else vectors.measure(models, golden))
    # The tensors themselves: whoever differs sees at once where.
    for model in models:
        folder = out / "tensors" / model.path.stem
        folder.mkdir(parents=True)
        for path in vectors.pictures(golden):
            tensor = vectors.steps(model, path.read_bytes()).tensor
            (folder / f"{path.name}.rgb").write_bytes(np.ascontiguousarray(tensor).tobytes())


def _licence() -> str:
    # Beside a source tree there may be an egg-info of the same name, which has no licence file.
    for installed in metadata.distributions(name="faunalens"):
        text = installed.read_text("licenses/LICENSE")
        if text:
            return text
    raise FileError("the installation has lost its licence file; install faunalens again")


def _write_checksums(out: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out).as_posix()}\n"
        for path in sorted(out.rglob("*"))
        if path.is_file()
    ]
    (out / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
