"""Items with their bytes: what comes from a network is fetched several at a time, order kept."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from faunalens.errors import FailureKind, FaunalensError, MissingExtraError, PhotoError
from faunalens.inputs_item import Item
from faunalens.record import Failure

_AHEAD = 4  # items per thread that are under way or wait for the one before them
_HELD_BYTES = 256 << 20  # of fetched photos that wait; more are not begun beyond this


def loaded(items: Iterable[Item], *, threads: int) -> Iterator[Item]:
    """The same items in the same order, with `data` where there was `load`.

    An item that cannot be loaded becomes a failed one. Items of an archive are loaded one after
    another, as that can only be read in order.

    Raises:
        MissingExtraError: What an item needs is not installed.
    """
    source = iter(items)
    queue: deque[tuple[Item, Future[Item] | None]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
    more = True
    try:
        while more or queue:
            while more and _room(queue, threads):
                item = next(source, None)
                if item is None:
                    more = False
                elif item.load is None:
                    queue.append((item, None))
                    if not queue[0][1]:
                        break  # nothing to wait for: on with it
                elif item.remote:
                    queue.append((item, pool.submit(_load, item)))
                else:
                    queue.append((_load(item), None))
            if queue:
                item, future = queue.popleft()
                yield item if future is None else future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _room(queue: deque[tuple[Item, Future[Item] | None]], threads: int) -> bool:
    if not queue:
        return True
    if queue[0][1] is None or len(queue) >= threads * _AHEAD:
        return False
    held = 0
    for item, future in queue:
        if future is not None and future.done() and future.exception() is None:
            item = future.result()
        held += len(item.data or b"")
    return held < _HELD_BYTES


def _load(item: Item) -> Item:
    try:
        return replace(item, data=item.read(), load=None)
    except PhotoError as error:
        failure = Failure(error.kind, str(error))
    except (FaunalensError, MissingExtraError):
        raise
    except Exception as error:  # a broken library must cost one photo, not the run
        failure = Failure(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
    return replace(item, load=None, failure=failure)
