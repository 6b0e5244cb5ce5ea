"""Many photos: several workers, records in input order, memory that does not grow."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from faunalens.batch_pool import Note, Pool
from faunalens.batch_task import Judged, known
from faunalens.batch_worker import Settings, judge
from faunalens.decide import Policy, policy
from faunalens.inputs_item import Item
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.record import Record

TIME_LIMIT_S = 60.0
"""For one photo: a 150-megapixel PNG takes about 5 s on a busy core."""

MEMORY_MB = 3000
"""For one photo: 150 megapixels with transparency pass through three copies of 600 MB."""

_CHUNK = 8  # photos judged at once without worker processes


def scan(
    paths: Iterable[str],
    *,
    model_path: Path | None = None,
    rules: Policy | None = None,
    workers: int = 0,
) -> Iterator[Record]:
    """Judge photos, lazily, in order.

    Args:
        paths: Photo files, from `find_photos`; consumed only a little ahead.
        model_path: The shipped model if None.
        rules: The model's own thresholds if None.
        workers: Processes. With 0 everything runs in this one, which a photo may then crash.

    Yields:
        One record per path; a photo that fails costs no more than its own record, with workers
        even one that crashes or hangs its process.

    Raises:
        ModelError: The model cannot be loaded.
    """
    model = Model(model_path)
    settings = Settings(model.path, rules or policy(model.spec))
    items = (Item(path) for path in paths)
    return (one.record for one in judge_items(items, model, settings, workers=workers))


def judge_items(
    items: Iterable[Item],
    model: Model,
    settings: Settings,
    *,
    workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    note: Note = lambda event, details: None,
) -> Iterator[Judged]:
    """Judge items, lazily, in order; like `scan`, with what an item says carried to its record.

    Args:
        workers: 0 for none but this process; `time_limit_s` and the memory limit then do not act.
    """
    # The items on their way: what comes out is in their order.
    waiting: deque[Item] = deque()

    def watched() -> Iterator[Item]:
        for item in items:
            waiting.append(replace(item, data=None))
            yield item

    def finish(batch: Iterable[Judged]) -> Iterator[Judged]:
        for one in batch:
            item = waiting.popleft()
            if item.ad is None and item.columns is None:
                yield one
            else:
                record = replace(one.record, ad=item.ad, columns=item.columns)
                yield Judged(record, one.seconds)

    if workers:
        with Pool(
            settings, model.identity, workers=workers, time_limit_s=time_limit_s, note=note
        ) as pool:
            yield from finish(pool.judge(watched()))
    else:
        yield from finish(_here(watched(), Classifier(model, settings.rules), settings))


def _here(items: Iterator[Item], classifier: Classifier, settings: Settings) -> Iterator[Judged]:
    identity = classifier.model.identity
    while chunk := list(islice(items, _CHUNK)):
        ready = [known(item, identity) for item in chunk]
        todo = [(i.source, i.data) for i, one in zip(chunk, ready, strict=True) if one is None]
        judged = iter(zip(*judge(classifier, settings, todo), strict=True)) if todo else iter(())
        for one in ready:
            yield Judged(*next(judged)) if one is None else one
