"""Is an int8 model worth shipping? Builds the variants, and measures recall and speed of each.

    python tests/benchmarks/int8.py train/recipes/first.toml --work FOLDER [--model FILE]

Calibrates on validation pictures, measures on test pictures, both through the product's own resize.
Speeds are of one core and in one run; only their ratios travel. Without VNNI instructions x86 adds
pairs of u8 x s8 products in 16 bits, which saturate: to see that, run the same command for a few
pictures under an emulated processor that has none:

    qemu-x86_64 -cpu Haswell PYTHON tests/benchmarks/int8.py ... --only-recall --pictures 60
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from faunalens.model import Model, shipped_model_path
from faunalens_train.int8 import Images, quantise

_CALIBRATION = 200  # pictures
_ROUNDS = 30
_STATIC = "fp32 static"  # batch fixed to 1

VARIANTS: dict[str, dict[str, Any]] = {
    "s8s8": {"activations": "s8", "symmetric": True, "direct": False},
    "u8s8": {"direct": False},
    "u8s8 direct": {},
    "u8s8 reduced": {"reduce_range": True},
    "u8u8": {"weights": "u8", "per_channel": False, "direct": False},
}
"""`s8s8` is what ONNX Runtime's tool does unless told otherwise; see `faunalens_train.int8`."""


def pictures(recipe: Path, work: Path) -> tuple[Images, Images, npt.NDArray[np.float32]]:
    """Validation and test inputs `(N, S, S, 3)`, and what the test pictures show `(N, L)`."""
    from faunalens.decode import decode, read_file
    from faunalens.preprocess import preprocess
    from faunalens_train.dataset import load_parts, targets
    from faunalens_train.recipe import load_config

    model = Model()
    side = model.spec.resize.size_px
    stored = work / f"pictures-{side}.npz"
    if not stored.exists():
        config = load_config(recipe)
        parts = load_parts(config.data, model.spec.labels, "part")

        def inputs(rows: list[Any]) -> Images:
            return np.stack(
                [
                    preprocess(decode(read_file(parts.images / row.file).data).pixels, rule)
                    for row in rows
                ]
            )

        rule = model.spec.resize
        chosen = np.random.default_rng(0).permutation(len(parts.val))[:_CALIBRATION]
        wanted = targets(parts.test, model.spec.labels, config.data.unknown)
        negative = np.array([row.is_negative for row in parts.test])
        wanted[~negative & (np.nan_to_num(wanted).sum(1) == 0)] = np.nan
        np.savez(
            stored,
            val=inputs([parts.val[i] for i in chosen]),
            test=inputs(parts.test),
            wanted=wanted,
        )
    with np.load(stored, allow_pickle=False) as found:
        return found["val"], found["test"], found["wanted"]


def build(model: Path, work: Path, val: Images) -> dict[str, Path]:
    """Name to file of every variant."""
    made = {"fp32": model, _STATIC: variant(work, _STATIC)}
    fixed = onnx.load(model)
    for tensor in (*fixed.graph.input, *fixed.graph.output):
        size = tensor.type.tensor_type.shape.dim[0]
        size.Clear()
        size.dim_value = 1
    onnx.save(fixed, made[_STATIC])
    for name, options in VARIANTS.items():
        made[name] = variant(work, name)
        quantise(model, val, made[name], **options)
    return made


def variant(work: Path, name: str) -> Path:
    """Where a variant lies."""
    return work / f"{name.replace(' ', '-')}.onnx"


def session(path: Path, profile: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, images: Images) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Probabilities and embeddings, one picture a run."""
    loaded = session(path)
    found = [loaded.run(["probability", "embedding"], {"image": image[None]}) for image in images]
    return np.concatenate([p for p, _ in found]), np.concatenate([e for _, e in found])


def quality(
    found: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]], wanted: npt.NDArray[Any]
) -> dict[str, dict[str, float]]:
    """Recall and false alarms at the shipped thresholds; how far from fp32."""
    spec = Model().spec
    negative = (wanted == 0).all(1)
    out = {}
    for name, (probability, embedding) in found.items():
        one: dict[str, float] = {}
        for verdict in ("alert", "review"):
            at = [getattr(spec.thresholds[k], verdict).probability for k in spec.labels]
            over = probability >= np.array(at)
            one[f"recall {verdict}"] = float(over[wanted == 1].mean())
            one[f"negatives {verdict}"] = float(over[negative].any(1).mean())
        reference = found["fp32"]
        one["largest difference"] = float(np.abs(probability - reference[0]).max())
        one["embedding cosine"] = float((embedding * reference[1]).sum(1).mean())
        out[name] = one
    return out


def speed(made: dict[str, Path], image: Images) -> dict[str, list[float]]:
    """Milliseconds of processor time of each round, the variants taking turns.

    Processor time: on a shared machine the clock tells what the neighbours do.
    """
    loaded = {name: session(path) for name, path in made.items()}
    times: dict[str, list[float]] = {name: [] for name in loaded}
    for one in loaded.values():
        one.run(["probability"], {"image": image[None]})
    for _ in range(_ROUNDS):
        for name, one in loaded.items():
            best = []
            for _ in range(5):
                started = time.process_time()
                one.run(["probability"], {"image": image[None]})
                best.append(time.process_time() - started)
            times[name].append(1000 * min(best))
    return times


def profile(path: Path, work: Path, image: Images) -> list[tuple[str, float, int]]:
    """Share of the time by kind of node, and how many there are."""
    loaded = session(path, work / "profile")
    for _ in range(20):
        loaded.run(["probability"], {"image": image[None]})
    events = json.loads(Path(loaded.end_profiling()).read_text())
    total: dict[str, float] = {}
    nodes: dict[str, set[str]] = {}
    for event in events:
        kind = event.get("args", {}).get("op_name")
        if event.get("cat") == "Node" and kind and event["name"].endswith("_kernel_time"):
            total[kind] = total.get(kind, 0) + event["dur"]
            nodes.setdefault(kind, set()).add(event["name"])
    every = sum(total.values())
    ordered = sorted(total.items(), key=lambda item: -item[1])
    return [(kind, dur / every, len(nodes[kind])) for kind, dur in ordered]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for the variants")
    parser.add_argument("--model", type=Path, default=shipped_model_path())
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--only-recall", action="store_true")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    val, test, wanted = pictures(options.recipe, options.work)
    made = (
        {
            "fp32": options.model,
            **{name: variant(options.work, name) for name in options.variants},
        }
        if options.only_recall
        else build(options.model, options.work, val)
    )
    if not options.only_recall:
        times = speed(made, test[0])
        for name, values in times.items():
            ratios = [a / b for a, b in zip(times["fp32"], values, strict=True)]
            print(
                f"{name:14} {statistics.median(values):6.2f} ms, {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f}-{max(ratios):.2f}) times as fast as fp32",
                flush=True,
            )
        for name, path in made.items():
            parts = profile(path, options.work, test[0])
            shown = ", ".join(
                f"{kind} x{n} {share:.0%}" for kind, share, n in parts if share > 0.005
            )
            print(f"nodes of {name}: {shown}", flush=True)
    step = max(1, len(test) // options.pictures)
    chosen = test[::step][: options.pictures]
    found = {name: run(path, chosen) for name, path in made.items()}
    for name, one in quality(found, wanted[::step][: options.pictures]).items():
        print(f"{name:14} " + ", ".join(f"{key} {value:.4f}" for key, value in one.items()))


if __name__ == "__main__":
    main()
