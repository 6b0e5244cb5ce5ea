"""The manifest of a run: what was done, with which model and options, as a JSON file."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from faunalens.errors import FileError

_SCHEMA = 1
# Options that change with another, and are not worth naming beside it.
_FOLLOW = {
    "model": ("look", "labels", "thresholds", "families"),
    "look": ("thresholds", "families"),
    "labels": ("thresholds", "families"),
}


@dataclass
class Manifest:
    """What is known of a run beside its rows.

    Attributes:
        options: All that decides what the rows say; a resumed run must have the same.
        program: Version of faunalens that began it.
        begun: When, ISO 8601, UTC.
        complete: Whether it came to its end.
        carried: Columns carried through from a table of adverts, in order of appearance.
        parts: Of a folder: name and number of rows of each part that is whole.
        base_rows: Of a file that is being added to: the rows it had.
        merging: Of a file: the name whose content is about to become the results; once no file
            has this name, it has.
    """

    options: dict[str, Any]
    program: str
    begun: str
    complete: bool = False
    carried: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    base_rows: int = 0
    merging: str | None = None

    def write(self, path: Path) -> None:
        """Replace the file atomically.

        Raises:
            OSError: Such as no space left; the old file is then whole.
        """
        scratch = path.with_name(path.name + ".tmp")
        with scratch.open("w", encoding="utf-8") as handle:
            json.dump({"schema": _SCHEMA, **asdict(self)}, handle, indent=1)
            handle.write("\n")
            handle.flush()
            os.fsync(handle.fileno())
        replace(scratch, path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None if there is no such file.

        Raises:
            FileError: It is not a manifest.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw.pop("schema") != _SCHEMA:
                raise ValueError("another schema")
            return cls(**raw)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FileError(
                f"{path} is not the manifest of a run: {error}; use --overwrite to begin anew"
            ) from error

    def must_agree(self, options: Mapping[str, Any], where: Path) -> None:
        """Refuse to mix rows that were made differently.

        Raises:
            FileError: Options differ; says which, and how.
        """
        now = json.loads(json.dumps(options))  # tuples are lists there
        names = [*self.options, *(key for key in now if key not in self.options)]
        changed = [name for name in names if self.options.get(name) != now.get(name)]
        follow = {name for cause in changed for name in _FOLLOW.get(cause, ())}
        differences = [
            _difference(name, self.options.get(name), now.get(name))
            for name in changed
            if name not in follow
        ]
        if differences:
            raise FileError(
                f"{where} was begun with other options: {'; '.join(differences)}. Use the same, "
                "another --out, or --overwrite"
            )


def replace(source: Path, target: Path) -> None:
    """Rename atomically, and bring the new name to the disk."""
    os.replace(source, target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _difference(name: str, was: Any, now: Any) -> str:
    if isinstance(was, dict) and isinstance(now, dict) and name != "model":
        keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        return f"{name} differ for {_some(keys)}"
    return f"{name} was {_short(was)} and is now {_short(now)}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and {"name", "version", "sha256"} <= value.keys():
        return f"{value['name']} {value['version']} (SHA-256 {value['sha256'][:12]})"
    if isinstance(value, list):
        return _some(value)
    words = json.dumps(value)
    return words if len(words) <= 80 else words[:77] + "..."


def _some(names: list[str]) -> str:
    more = len(names) - 4
    return ", ".join(names[:4]) + (f" and {more} more" if more > 0 else "")
