"""Which photos are still to judge, when some have rows already."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from faunalens.flat import text
from faunalens.inputs_item import Item
from faunalens.record import Record


def _key(source: str, ad: str | None) -> tuple[str, str | None]:
    return text(source), None if ad is None else text(ad)


def not_done(
    items: Iterable[Item], done: Iterator[Record], seen: Callable[[Record], None]
) -> Iterator[Item]:
    """The items without a row, in order.

    As long as items come in the order of the rows, which is so unless files were added or removed
    since, nothing is held but one of each; from the first difference on, the keys of the remaining
    rows are held (about 200 bytes each). An item that occurs twice needs two rows.

    Args:
        done: Rows of the earlier run; read in full before the first item without a row is given.
        seen: Called with each of these rows.
    """
    rest = iter(items)
    first: Item | None = None
    for record in done:
        seen(record)
        first = next(rest, None)
        if first is None or _key(first.source, first.ad) != _key(record.source, record.ad):
            break
        first = None
    else:
        yield from rest
        return
    left = Counter([_key(record.source, record.ad)])
    for record in done:
        seen(record)
        left[_key(record.source, record.ad)] += 1
    for item in chain([] if first is None else [first], rest):
        key = _key(item.source, item.ad)
        if left[key] > 0:
            left[key] -= 1
        else:
            yield item
