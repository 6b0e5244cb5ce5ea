"""`faunalens verify`: whether a case record is whole, and `faunalens password`."""

import hashlib
import io
from pathlib import Path

import click

from faunalens.casefile import faults, read_case
from faunalens.decode import MAX_BYTES
from faunalens.errors import FaunalensError, FileError, MissingExtraError
from faunalens.fragments import visible
from faunalens_app.passwords import line

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_RECORD_BYTES = 20 * MAX_BYTES


@click.command()
@click.argument("record", type=_FILE)
@click.option("--photo", type=_FILE, help="Also check that this photo file is in the record.")
@click.option("--store", help="Also check that the record was issued by this database (its URL).")
def verify(record: Path, photo: Path | None, store: str | None) -> None:
    """Check the hashes of a case RECORD (PDF or JSON); exit 1 if one does not hold.

    The hashes show that a record is whole. That nobody made another one shows --store alone: it
    knows each record, and each PDF, that the app made.
    """
    data = _read(record)
    is_pdf = data[:5] == b"%PDF-"
    case = read_case(_attachment(data, record) if is_pdf else data, str(record))
    found = list(faults(case))
    photos = case["content"]["photos"]
    if photo is not None:
        sha256 = hashlib.sha256(_read(photo)).hexdigest()
        if all(one.get("record", {}).get("sha256") != sha256 for one in photos):
            found.append(f"the photo {photo} (SHA-256 {sha256}) is not in the record")
    if store is not None:
        from faunalens.decisions import Store

        sha256 = hashlib.sha256(data).hexdigest() if is_pdf else case["sha256"]
        if not Store(store).is_issued(str(sha256)):
            found.append(
                "the database does not know this record: it was not issued there, or not so"
            )
    for fault in found:
        click.echo(f"NOT WHOLE: {visible(fault)}")
    if found:
        raise SystemExit(1)
    content = case["content"]
    click.echo(f"Whole: {record}")
    click.echo(
        f"made {visible(str(content.get('made')))} by {visible(str(content.get('officer')))}"
    )
    for one in photos:
        rows = one["record"]
        decision = one.get("decision") or {}
        click.echo(
            f"photo {visible(str(rows.get('source')))}: {rows.get('verdict')} {rows.get('label')}, "
            f"decision: {visible(str(decision.get('choice', 'none')))}"
        )
    if store is None:
        click.echo("That the app issued it was not checked (--store).", err=True)


@click.command()
@click.argument("name")
@click.password_option(help="Asked for if not given.")
def password(name: str, password: str) -> None:
    """Print the line for NAME in the password file of `faunalens serve --auth`."""
    if ":" in name or name != name.strip() or not name.isprintable() or not name:
        raise click.BadParameter("a name has no colon and no space at its ends", param_hint="NAME")
    if len(password) < 10:
        raise click.BadParameter("expected at least 10 characters", param_hint="--password")
    click.echo(line(name, password))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            raise FileError(f"{path} is larger than {_MAX_RECORD_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error


def _attachment(data: bytes, path: Path) -> bytes:
    """The JSON record inside a PDF."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingExtraError("app", "checking a PDF (pypdf)") from error
    try:
        attachments = PdfReader(io.BytesIO(data)).attachments
        held = attachments["record.json"]
    except KeyError as error:
        raise FileError(f"{path} has no record.json attached; expected a case record") from error
    except (PyPdfError, FaunalensError, ValueError, RecursionError, OSError) as error:
        raise FileError(f"{path} is a damaged PDF: {error}") from error
    return bytes(held[0])
