"""A case record: one or more judged photos with the decision about each, sealed by hashes.

    {"schema": 1, "kind": "faunalens case record", "sha256": of `content`, "content": {...}}

`content` is hashed as JSON with sorted keys, no spaces, ASCII only. Each of its photos carries the
file itself and the evidence picture, with their hashes. A hash shows that a record is whole; that
nobody made another one shows the store it was issued by (`faunalens verify --store`).
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from faunalens.errors import FileError

SCHEMA = 1
KIND = "faunalens case record"


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The record around a content."""
    return {"schema": SCHEMA, "kind": KIND, "sha256": content_hash(content), "content": content}


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def attached(data: bytes, media_type: str) -> dict[str, Any]:
    """A file inside a record."""
    return {
        "media_type": media_type,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "base64": base64.b64encode(data).decode("ascii"),
    }


def read_case(data: bytes, name: str) -> dict[str, Any]:
    """Read a record as JSON.

    Raises:
        FileError: It is not one.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name} is not a case record: expected JSON ({error})") from error
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise FileError(f'{name} is not a case record: expected "kind": "{KIND}"')
    if raw.get("schema") != SCHEMA:
        raise FileError(f"{name} has schema {raw.get('schema')!r}, this program reads {SCHEMA}")
    content = raw.get("content")
    if not isinstance(content, dict) or not isinstance(content.get("photos"), list):
        raise FileError(f"{name} is not a case record: it has no content with photos")
    return raw


def faults(case: Mapping[str, Any]) -> Iterator[str]:
    """Every hash of a record that does not hold, a sentence each; none if it is whole."""
    content = case["content"]
    if content_hash(content) != case.get("sha256"):
        yield "the record was changed: the hash of its content is another"
    for number, photo in enumerate(content["photos"], 1):
        if not isinstance(photo, dict) or not isinstance(photo.get("record"), dict):
            yield f"photo {number}: expected the photo and its record, found something else"
            continue
        wanted = photo["record"].get("sha256")
        for part in ("file", "evidence_picture"):
            held = photo.get(part)
            if held is None:
                continue
            found = _hash_of(held)
            if found is None or found != held.get("sha256"):
                yield f"photo {number}: its {part} was changed: the hash is another"
            elif part == "file" and found != wanted:
                yield f"photo {number}: its file is not the one that was judged"
        decision = photo.get("decision")
        if isinstance(decision, dict) and decision.get("sha256") != wanted:
            yield f"photo {number}: the decision is about another photo"


def _hash_of(held: object) -> str | None:
    try:
        text = held["base64"] if isinstance(held, dict) else None
        return hashlib.sha256(base64.b64decode(str(text), validate=True)).hexdigest()
    except (KeyError, binascii.Error, ValueError):
        return None
