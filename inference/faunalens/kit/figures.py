"""Measured operating points that ship with the model, and the precision they give."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

FIGURES = Path(str(resources.files("faunalens.kit") / "figures.json"))
"""Written by `faunalens-train operating-points`."""

SCHEMA = 1


def figures_of(model_sha256: str, path: Path = FIGURES) -> dict[str, Any] | None:
    """What was measured of this very model file; None if nothing was."""
    if not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, Any] | None = next(
        (one for one in stored["models"] if one["sha256"] == model_sha256), None
    )
    return found


def precision(recall: float, fpr: float, prevalence: float) -> float:
    """Share of hits that are right where `prevalence` of the photos show the label.

    Args:
        recall, fpr, prevalence: 0 to 1.
    """
    right, wrong = recall * prevalence, fpr * (1 - prevalence)
    return right / (right + wrong) if right + wrong else 0.0
