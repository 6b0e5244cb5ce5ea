"""Results and everything that finds copies in them, together."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from faunalens.linking.fingerprint import Fingerprinter
from faunalens.linking.rows import Rows, fingerprint_results
from faunalens.linking.search import Neighbours
from faunalens.linking.store import Store
from faunalens.model import Model
from faunalens.output import read_results
from faunalens.pipeline import Classifier
from faunalens.record import Record


@dataclass(frozen=True)
class PhotoIndex:
    """The photos of a results file.

    Attributes:
        results: Of `faunalens scan`, in any form.
        store: Their fingerprints, and perhaps those of other results.
        rows: Which fingerprint each row of the results has.
        fingerprinter: Makes fingerprints that can be compared with these.
        threads: Cores to search with.
        quiet: No progress on stderr.
    """

    results: Path
    store: Store
    rows: Rows
    fingerprinter: Fingerprinter
    threads: int
    quiet: bool = False

    @classmethod
    def of_results(
        cls,
        results: Path,
        folder: Path | None = None,
        model_path: Path | None = None,
        *,
        threads: int,
        quiet: bool = False,
    ) -> Self:
        """Read what is not in the index yet.

        Args:
            folder: Of the index; by default beside the results, with the suffix `.index`.
            model_path: The shipped model if None.

        Raises:
            FileError: Unreadable results, or a folder that is not an index.
            MissingExtraError: The extra `link` is not installed.
            ModelError: The model cannot be loaded.
        """
        fingerprinter = Fingerprinter(Classifier(Model(model_path)))
        store = Store(
            folder or results.with_suffix(".index"),
            fingerprinter.model_sha256,
            fingerprinter.dimensions,
        )
        rows = fingerprint_results(results, store, fingerprinter, threads=threads, quiet=quiet)
        return cls(results, store, rows, fingerprinter, threads, quiet)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Built, or read from the index's folder."""
        return Neighbours(self.store, threads=self.threads, quiet=self.quiet)

    def records(self, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[int, Record]]:
        """Read the results again: rows for which `wanted`, `(R,)`, is true, with their numbers."""
        for (number, record), chosen in zip(
            enumerate(read_results(self.results)), wanted, strict=False
        ):
            if chosen:
                yield number, record
