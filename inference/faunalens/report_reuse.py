"""Where else a hit's photo occurs, from the clusters that `faunalens link` wrote."""

import csv
from collections.abc import Mapping
from pathlib import Path

from faunalens.errors import FileError

_NEEDED = ("cluster", "photos", "sha256")
_COUNT = "different_"


def read_reuse(clusters: Path) -> Mapping[str, str]:
    """SHA-256 of a photo to a sentence about its cluster.

    Raises:
        FileError: Unreadable, or not a CSV of `faunalens link`.
    """
    said: dict[str, str] = {}
    try:
        with clusters.open(encoding="utf-8", newline="") as handle:
            table = csv.DictReader(handle)
            names = table.fieldnames or []
            groups = next((name for name in names if name.startswith(_COUNT)), None)
            if groups is None or not set(_NEEDED) <= set(names):
                raise FileError(
                    f"{clusters} has no columns {', '.join(_NEEDED)} and {_COUNT}...; expected the "
                    "CSV of `faunalens link`"
                )
            for row in table:
                by = groups.removeprefix(_COUNT)
                said[row["sha256"]] = (
                    f"cluster {row['cluster']}: {row['photos']} photos, {row[groups]} different "
                    f"by {by}"
                )
    except OSError as error:
        raise FileError(f"cannot read {clusters}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{clusters} is not a CSV of `faunalens link`: {error}") from error
    return said
