"""Photos that are judged together, and what is known of each of them so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from faunalens.errors import FailureKind
from faunalens.inputs_item import Item
from faunalens.record import Failure, Record


@dataclass(frozen=True)
class Judged:
    """A photo's record, with the seconds that reading and decoding it took."""

    record: Record
    seconds: float


def known(item: Item, model: Mapping[str, str]) -> Judged | None:
    """The record of an item that needs no judging; None if it does."""
    failure = item.failure
    if item.duplicate_of is not None:
        # Stands if the first of these files could not be judged either.
        message = f"the same file as {item.duplicate_of}, which could not be judged"
        failure = Failure(FailureKind.INTERNAL, message)
    if failure is None:
        return None
    record = Record(
        source=item.source,
        model=model,
        sha256=item.sha256,
        failure=failure,
        duplicate_of=item.duplicate_of,
    )
    return Judged(record, 0.0)


@dataclass(eq=False)
class Task:
    """Some items for one worker, in order.

    Attributes:
        items: What to judge; one that is judged gives way to an empty one, as its photo may be in
            memory.
        model: The `model` field for records that this process writes.
        judged: Per item its record, or None.
        deaths: Per item, how many workers died with it open.
        alone: Whether only one item at a time may be given away, to find which does the harm.
    """

    items: list[Item]
    model: Mapping[str, str]
    judged: list[Judged | None] = field(init=False)
    deaths: list[int] = field(init=False)
    alone: bool = False

    def __post_init__(self) -> None:
        self.judged = [known(item, self.model) for item in self.items]
        self.deaths = [0] * len(self.items)

    @property
    def todo(self) -> list[int]:
        """Indexes still to judge in the next round."""
        left = [index for index, one in enumerate(self.judged) if one is None]
        return left[:1] if self.alone else left

    @property
    def done(self) -> bool:
        return all(self.judged)

    def settle(self, index: int, record: Record, seconds: float) -> None:
        """An item has its record."""
        self.judged[index] = Judged(record, seconds)
        self.items[index] = Item("")

    def fail(self, index: int, kind: FailureKind, message: str) -> None:
        """An item will not be judged."""
        source = self.items[index].source
        failed = Record(source=source, model=self.model, failure=Failure(kind, message))
        self.settle(index, failed, 0.0)
