"""Pictures through the whole product, from the file to the verdict."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from faunalens.decide import Policy, Verdict
from faunalens.pipeline import Classifier
from faunalens.record import Record
from faunalens_data.row import Row
from faunalens_train import run as folder
from faunalens_train.scored import Scored, TestSet

_BATCH = 8
_JUDGES = 2


def judge_photos(classifier: Classifier, photos: Sequence[Path | bytes], what: str) -> list[Record]:
    """Records of photos by the whole product, in order, with a progress bar.

    Raises:
        RunError: A photo cannot be judged; figures over the others would mean something else.
    """
    batches = [photos[i : i + _BATCH] for i in range(0, len(photos), _BATCH)]
    records: list[Record] = []
    with (
        ThreadPoolExecutor(_JUDGES) as pool,
        tqdm(total=len(photos), desc=what, unit="photo", disable=None) as bar,
    ):
        for judged in pool.map(classifier.classify_batch, batches):
            records += [one.record for one in judged]
            bar.update(len(judged))
    for record in records:
        if record.failure is not None:
            raise folder.RunError(f"{record.source} cannot be judged: {record.failure.message}")
    return records


def score_photos(classifier: Classifier, test: TestSet, what: str = "test photos") -> Scored:
    """The test pictures, judged as the product judges them: from the file to the verdict.

    Raises:
        RunError: A photo cannot be judged.
    """
    records = judge_photos(classifier, [test.images / row.file for row in test.rows], what)
    return of_records(records, test.rows, classifier.rules, test.unknown)


def of_records(
    records: Sequence[Record], rows: Sequence[Row], rules: Policy, unknown: dict[str, list[str]]
) -> Scored:
    """Records of the rows, in order, as `Scored`."""
    labels = rules.labels
    probability = np.array([[dict(r.probabilities or {})[x] for x in labels] for r in records])
    return Scored.of(
        rows,
        probability.reshape(len(rows), len(labels)),
        [Verdict(str(record.verdict)) for record in records],
        [str(record.label) for record in records],
        rules,
        unknown,
    )
