"""`faunalens bench` measures every step and gives advice that follows from its rows."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from faunalens.bench import Bench, Row, bench, processor, steps
from faunalens.cli import main


def test_measures_every_step(tiny_model_path: Path) -> None:
    done = []
    found = bench(tiny_model_path, seconds=0.01, step=lambda: done.append(1))
    assert len(done) == len(found.rows) == steps()
    assert {row.step for row in found.rows} == {"decode", "preprocess", "network", "whole"}
    assert {row.batch for row in found.rows if row.step == "network"} == {1, 8}
    assert {row.threads for row in found.rows if row.step == "network"} >= {1, found.cores}
    assert all(row.ms > 0 for row in found.rows)


def test_command(tiny_model_path: Path) -> None:
    words = ["bench", "--model", str(tiny_model_path), "--seconds", "0.01"]
    table = CliRunner().invoke(main, words)
    assert table.exit_code == 0, table.output
    assert "recommended" in table.output and "--workers" in table.output
    raw = CliRunner().invoke(main, [*words, "--json"])
    assert json.loads(raw.stdout)["model"]["name"] == "tiny"


@pytest.mark.parametrize(
    ("one", "eight", "said"),
    [(10.0, 5.0, "2.00 times the photos per second; this is worth it"), (10.0, 9.8, "one by one")],
)
def test_advice(one: float, eight: float, said: str) -> None:
    rows = (
        Row("network", 1, 1, one),
        Row("network", 4, 1, one / 2),
        Row("network", 4, 8, eight / 2),
        Row("whole", 1, 1, 20.0),
        Row("whole", 4, 1, 6.0),
    )
    lines = Bench("cpu", (), 4, {}, rows).advice()
    assert "--workers 4" in lines[0] and "167 photos" in lines[0]
    assert "threads=4" in lines[1]
    assert said in lines[2]


def test_processor_has_a_name() -> None:
    name, features = processor()
    assert name
    assert len(set(features)) == len(features)
