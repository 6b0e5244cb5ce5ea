"""Names and passwords of officers: a file with one line each, made with `faunalens password`.

    NAME:scrypt:SALT:HASH

scrypt (RFC 7914) with N = 2^14, r = 8, p = 1; salt and hash in hex.
"""

import hashlib
import hmac
import os
import secrets
import threading
import time
from pathlib import Path

from faunalens.errors import FileError

_N, _R, _P, _LENGTH = 2**14, 8, 1, 32
_PAUSE_S = 1.0


def line(name: str, password: str) -> str:
    """The line for one officer."""
    salt = secrets.token_bytes(16)
    return f"{name}:scrypt:{salt.hex()}:{_hash(password, salt).hex()}"


class Passwords:
    """Who may sign in.

    Raises:
        FileError: The file cannot be read, is readable by others, or a line is not one.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[str, tuple[bytes, bytes]] = {}
        try:
            text = path.read_text(encoding="utf-8")
            if os.name == "posix" and path.stat().st_mode & 0o007:
                raise FileError(f"{path} can be read by every user; run: chmod o-rwx {path}")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"cannot read the passwords in {path}: {error}") from error
        for number, row in enumerate(text.splitlines(), 1):
            if not row.strip() or row.startswith("#"):
                continue
            try:
                name, kind, salt, hashed = row.strip().split(":")
                if kind != "scrypt" or not name:
                    raise ValueError
                self._known[name] = bytes.fromhex(salt), bytes.fromhex(hashed)
            except ValueError:
                raise FileError(
                    f"{path}, line {number}: expected NAME:scrypt:SALT:HASH; make the line with "
                    "`faunalens password NAME`"
                ) from None
        if not self._known:
            raise FileError(f"{path} names nobody; add a line with `faunalens password NAME`")
        # scrypt is slow on purpose, and a page makes many requests: right answers are remembered,
        # as keyed hashes.
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._turn = threading.Lock()

    def check(self, name: str, password: str) -> bool:
        """Whether the password is right. A wrong one takes a second, one at a time."""
        seen = hmac.digest(self._key, f"{name}\0{password}".encode(), "sha256")
        if seen in self._right:
            return True
        with self._turn:
            salt, hashed = self._known.get(name, (b"\0" * 16, b""))
            if hmac.compare_digest(_hash(password, salt), hashed):
                self._right.add(seen)
                return True
            time.sleep(_PAUSE_S)
            return False


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=_LENGTH)
