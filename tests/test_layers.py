"""The borders between the packages, and what the base may load."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

HEAVY = (
    *("torch", "timm", "gradio", "ray", "pyarrow", "pandas", "matplotlib", "sklearn", "onnx"),
    *("faiss", "scipy", "imagehash"),
)
PACKAGES = {
    "faunalens": ROOT / "inference" / "faunalens",
    "faunalens_data": ROOT / "data" / "faunalens_data",
    "faunalens_train": ROOT / "train" / "faunalens_train",
    "faunalens_app": ROOT / "app" / "faunalens_app",
}
MAY_IMPORT = {
    "faunalens": set[str](),
    "faunalens_data": {"faunalens"},
    "faunalens_train": {"faunalens", "faunalens_data"},
    "faunalens_app": {"faunalens"},
}


@pytest.mark.parametrize(
    "program",
    [
        "import faunalens",
        "import faunalens.cli, faunalens.commands.scan, faunalens.commands.report",
        "from faunalens.cli import main; main(['--help'], standalone_mode=False)",
        "import faunalens.commands.link, faunalens.commands.similar",
        "import faunalens_data",
        "import faunalens_app.cli",
    ],
)
def test_nothing_heavy_is_loaded(program: str) -> None:
    code = f"import sys; {program}; print('LOADED', *sorted(set(sys.modules) & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "LOADED"


def test_help_needs_no_runtime() -> None:
    code = (
        "import sys; from faunalens.cli import main; main(['--help'], standalone_mode=False); "
        "assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    for path in PACKAGES[package].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                if top in PACKAGES and top != package:
                    assert top in MAY_IMPORT[package], f"{path.name} imports {name}"


def test_the_five_lists_of_folders_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tool = project["tool"]
    folders = tool["setuptools"]["packages"]["find"]["where"]
    assert folders == [path.parent.name for path in PACKAGES.values()]
    assert tool["pytest"]["ini_options"]["pythonpath"] == folders
    assert tool["ruff"]["src"] == folders
    assert tool["mypy"]["files"] == [*folders, "tests"]
    assert tool["mypy"]["mypy_path"] == ":".join(f"$MYPY_CONFIG_FILE_DIR/{f}" for f in folders)
    assert tool["pyright"]["extraPaths"] == folders


def test_one_way_to_make_a_model_input() -> None:
    """Only preprocess.py resizes for the model; only decode.py opens photo files."""
    openers = [
        str(path.relative_to(ROOT))
        for root in PACKAGES.values()
        for path in Path(root).rglob("*.py")
        if "Image.open(" in path.read_text(encoding="utf-8")
    ]
    assert openers == ["inference/faunalens/decode.py"]
