"""What belongs to all officers: the store of decisions, and the photos that may be kept."""

import os
from dataclasses import dataclass
from pathlib import Path

from faunalens.decisions import OfficerDecision, Store, StoreError
from faunalens_app.guard import basic_credentials
from faunalens_app.seen import Seen

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})


@dataclass(frozen=True)
class Desk:
    """Where decisions go.

    Attributes:
        store: The database.
        keep: Folder for the photos that a decision was saved for; None keeps none.
        signed_in: Whether officers sign in, so that their names are known.
    """

    store: Store
    keep: Path | None = None
    signed_in: bool = False

    def officer(self, typed: str, authorization: str | None) -> str:
        """The officer's name: that of the sign-in, or else the one typed."""
        known = basic_credentials(authorization or "") if self.signed_in else None
        return known[0] if known else typed.strip()

    def save(self, waiting: list[OfficerDecision]) -> list[OfficerDecision]:
        """Save decisions; those that could not be saved come back."""
        for done, decision in enumerate(waiting):
            try:
                self.store.save(decision)
            except StoreError:
                return waiting[done:]
        return []

    def try_to_keep(self, seen: Seen) -> str:
        """Keep a copy as `keep_photo` does; a full disk costs the copy, and gives a sentence."""
        try:
            self.keep_photo(seen)
        except OSError as error:
            return str(error.strerror or error)
        return ""

    def keep_photo(self, seen: Seen) -> None:
        """Keep a copy of the photo, under its SHA-256, if the operator wants that."""
        if self.keep is None or seen.path is None or seen.record.sha256 is None:
            return
        sha256, suffix = seen.record.sha256, seen.path.suffix.lower()
        suffix = suffix if suffix in _SUFFIXES else ".photo"
        folder = self.keep / sha256[:2]
        target = folder / f"{sha256}{suffix}"
        if target.exists() or not seen.path.is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{sha256}.{os.getpid()}.part"
        part.write_bytes(seen.path.read_bytes())
        os.replace(part, target)
