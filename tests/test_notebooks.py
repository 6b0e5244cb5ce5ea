"""Notebooks carry no outputs (the research pictures would be in them) and define nothing."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

NOTEBOOKS = [
    path
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb"))
    if ".ipynb_checkpoints" not in path.parts  # Jupyter's own copies, which git ignores
]
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def faults(notebook: dict[str, Any]) -> Iterator[str]:
    """Everything in a notebook that must not be committed, one sentence each."""
    if (notebook["nbformat"], notebook["nbformat_minor"]) != (4, 5):
        yield "expected nbformat 4.5"
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "expected the kernel python3"
    if notebook["metadata"].get("widgets"):
        yield "widgets hold outputs"
    ids = [cell["id"] for cell in notebook["cells"]]
    if len(set(ids)) < len(ids):
        yield "two cells have one id"
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell.get("outputs") or cell.get("execution_count") is not None:
            yield f"cell {number}: run `nbstripout` on it"
        if cell.get("attachments") or "data:image" in source:
            yield f"cell {number}: holds a picture"
        if cell["cell_type"] == "code" and any(
            isinstance(node, DEFINITIONS) for node in ast.walk(ast.parse(source))
        ):
            yield f"cell {number}: move what it defines into a package"


def notebook(*cells: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A notebook of these cells, a faultless one but for what the arguments say."""
    return {
        "cells": [
            {"cell_type": "code", "id": str(number), "source": [], "outputs": []} | cell
            for number, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    } | changes


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stripped_and_thin(path: Path) -> None:
    assert list(faults(json.loads(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("faulty", "expected"),
    [
        (notebook({"source": ["total = 1 + 1\n", "total"]}), []),
        (notebook({"cell_type": "markdown", "source": ["def is a word"]}), []),
        (
            notebook({"outputs": [{"output_type": "stream", "name": "stdout", "text": ["1"]}]}),
            ["cell 0: run `nbstripout` on it"],
        ),
        (notebook({}, {"execution_count": 3}), ["cell 1: run `nbstripout` on it"]),
        (
            notebook({"cell_type": "markdown", "attachments": {"a.png": {"image/png": "iVBO"}}}),
            ["cell 0: holds a picture"],
        ),
        (
            notebook({"cell_type": "markdown", "source": ["![a](data:image/png;base64,iVBO)"]}),
            ["cell 0: holds a picture"],
        ),
        (
            notebook({"source": ["if True:\n", "    def half(x):\n", "        return x / 2"]}),
            ["cell 0: move what it defines into a package"],
        ),
        (
            notebook({"source": ["half = lambda x: x / 2"]}),
            ["cell 0: move what it defines into a package"],
        ),
        (
            notebook({"source": ["class Half: ..."]}),
            ["cell 0: move what it defines into a package"],
        ),
        (notebook({"id": "a"}, {"id": "a"}), ["two cells have one id"]),
        (notebook(nbformat_minor=4), ["expected nbformat 4.5"]),
        (notebook(metadata={}), ["expected the kernel python3"]),
        (
            notebook(metadata={"kernelspec": {"name": "python3"}, "widgets": {"a": 1}}),
            ["widgets hold outputs"],
        ),
    ],
)
def test_faults_are_found(faulty: dict[str, Any], expected: list[str]) -> None:
    assert list(faults(faulty)) == expected
