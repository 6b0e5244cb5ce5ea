"""A scan on a real Ray cluster, of which a worker is killed and a machine lost."""

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import plain
from test_cluster import COLOURS, rows_of, scan

from faunalens.batch_worker import Settings
from faunalens.cluster.plan import part_name
from faunalens.cluster.scan import scan_on_cluster
from faunalens.decide import policy
from faunalens.inputs import find_photos
from faunalens.inputs_item import Item
from faunalens.model import Model
from faunalens.output_target import Form
from faunalens.scan_here import stoppable


@pytest.fixture
def expected(tmp_path: Path, tiny_model_path: Path) -> list[dict[str, Any]]:
    """What one machine says of tmp_path/photos: 60, large enough that a part takes a while."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        path, same = folder / f"{number:04}.png", folder / f"{number - len(COLOURS):04}.png"
        if same.exists():
            path.hardlink_to(same)
        else:
            plain(COLOURS[number], 3000, 2000).save(path)
    (folder / "0033.png").unlink()
    (folder / "0033.png").write_text("no photo")
    done = scan(
        folder, "--out", tmp_path / "here.jsonl", "--model", tiny_model_path, "--workers", 0
    )
    assert done.exit_code == 3
    lines = (tmp_path / "here.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray leaves sockets and files open at its end
def test_a_worker_is_killed(
    tmp_path: Path, tiny_model: Model, expected: list[dict[str, Any]]
) -> None:
    """Two workers of a local cluster, one killed at its work; then a run that is stopped and
    continued."""
    pytest.importorskip("ray")
    form = Form("parquet", tiny_model.spec.labels, {"model": tiny_model.identity})
    settings = Settings(tiny_model.path, policy(tiny_model.spec))
    out = tmp_path / "out"
    told: list[int] = []
    pids: list[int] = []

    def done(number: int, judged: Counter[str], pid: int) -> None:
        told.append(number)
        pids.append(pid)
        if len(pids) == 1:
            os.kill(pid, signal.SIGKILL)
        if len(pids) == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    def run(**options: Any) -> Counter[str]:
        counts: Counter[str] = Counter()
        scan_on_cluster(
            lambda: (Item(path) for path in find_photos([str(tmp_path / "photos")])),
            out, form, tiny_model, settings, shipped=False, time_limit_s=60, part_rows=5,
            workers=2, quiet=True, counts=counts, done=done, **options,
        )  # fmt: skip
        return counts

    counts = run()
    assert sorted(told) == list(range(12))
    assert pids[0] not in pids[6:], "the killed one judges no more"
    assert counts == Counter(row["verdict"] or "failed" for row in expected)
    assert rows_of(out) == expected
    assert not list(out.glob("*.tmp"))
    missing = {3, 4, 7, 8, 10, 11}
    for number in missing:
        (out / part_name(number, "parquet")).unlink()
    with pytest.raises(SystemExit), stoppable(Counter(), quiet=True, resumable=True):
        run(resume=True)
    missing -= {n for n in missing if (out / part_name(n, "parquet")).exists()}
    assert missing, "it was stopped before the end"
    told.clear()
    assert run(resume=True).total() == 5 * len(missing) and set(told) == missing
    assert rows_of(out) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_machine_is_lost(
    tmp_path: Path, tiny_model_path: Path, expected: list[dict[str, Any]]
) -> None:
    """A cluster of three nodes, of which one goes while it judges."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    left: list[int] = []
    try:
        nodes = {raylet_of(node): node for node in (cluster.add_node(num_cpus=1) for _ in "ab")}
        out = tmp_path / "out"

        def lose() -> None:
            while not (list(out.glob("part-*")) and (at_work := list(out.glob("_part-*.tmp")))):
                time.sleep(0.01)
            worker = int(at_work[0].name.split(".")[-2])
            status = Path(f"/proc/{worker}/status").read_text()
            raylet = int(status.partition("PPid:")[2].split()[0])
            left.append(12 - len(list(out.glob("part-*"))))
            cluster.remove_node(nodes[raylet], allow_graceful=False)

        thread = threading.Thread(target=lose, daemon=True)
        thread.start()
        done = scan(
            tmp_path / "photos", "--out", out, "--engine", "ray", "--ray-address", cluster.address,
            "--model", tiny_model_path, "--part-rows", 5,
        )  # fmt: skip
        assert done.exit_code == 3, done.output
        thread.join(60)
        assert left and left[0] > 0, "the machine went before the end"
        assert rows_of(out) == expected
    finally:
        cluster.shutdown()


def raylet_of(node: Any) -> int:
    """Process id of a node's own Ray process, the parent of its workers."""
    return int(node.all_processes["raylet"][0].process.pid)
