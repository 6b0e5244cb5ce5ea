"""What officers decided about judged photos, kept in a database (SQLAlchemy; extra `app`).

SQLite unless told otherwise, PostgreSQL by URL. Photos are not in it.
"""

import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sql

from faunalens.errors import FaunalensError, UsageError
from faunalens.record import Record


class StoreError(FaunalensError):
    """The database cannot be reached, or refused."""


class Choice(StrEnum):
    """What an officer says of a verdict."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNSURE = "unsure"
    OTHER = "other"  # it shows another label


@dataclass(frozen=True)
class OfficerDecision:
    """One decision about one photo.

    Attributes:
        choice: Of the photo's verdict.
        officer: Who decided, as they call themselves or as they signed in.
        other_label: Id of the label it shows instead, with Choice.OTHER alone.
        note: The officer's own words.
        language: Of the screen it was made on.
        id: Made here; saving a decision twice keeps one.
        at: When, in UTC.
    """

    choice: Choice
    officer: str
    sha256: str
    source: str
    verdict: str
    label: str
    probability: float
    rule: str
    model_name: str
    model_version: str
    model_sha256: str
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    other_label: str | None = None
    note: str = ""
    language: str = "en"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __post_init__(self) -> None:
        if (self.choice is Choice.OTHER) != (self.other_label is not None):
            raise ValueError("other_label goes with the choice `other`, and with no other one")
        if len(self.note) > MAX_NOTE or len(self.officer) > MAX_NAME:
            raise ValueError(f"a note has at most {MAX_NOTE} characters, a name {MAX_NAME}")

    @classmethod
    def of(cls, record: Record, choice: Choice, officer: str, **more: Any) -> Self:
        """A decision about a judged photo.

        Raises:
            ValueError: The photo was not judged, or the values do not fit.
        """
        if record.verdict is None or record.sha256 is None:
            raise ValueError("a photo that could not be judged has no verdict to decide about")
        return cls(
            choice=choice,
            officer=officer,
            sha256=record.sha256,
            source=_storable(record.source),
            verdict=str(record.verdict),
            label=str(record.label),
            probability=float(record.probability or 0.0),
            rule=str(record.rule),
            model_name=str(record.model.get("name")),
            model_version=str(record.model.get("version")),
            model_sha256=str(record.model.get("sha256")),
            bytes=record.bytes,
            width=record.width,
            height=record.height,
            **more,
        )

    @property
    def agrees(self) -> bool | None:
        """Whether the officer agrees with the model; None if unsure."""
        return None if self.choice is Choice.UNSURE else self.choice is Choice.CONFIRMED

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "choice": str(self.choice), "at": self.at.isoformat()}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: Fields are missing, unknown, or do not fit.
        """
        try:
            at = datetime.fromisoformat(raw["at"])
            return cls(**{**raw, "choice": Choice(raw["choice"]), "at": at.astimezone(UTC)})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a decision: {error}") from error


MAX_NOTE = 4000
MAX_NAME = 200
NOTHING = "nothing"
"""`other_label` of a photo that shows nothing protected."""

_TYPES: dict[str, Any] = {
    "id": sql.String(32),
    "at": sql.DateTime(timezone=True),
    "choice": sql.String(16),
    "officer": sql.String(MAX_NAME),
    "sha256": sql.String(64),
    "probability": sql.Float,
    "bytes": sql.BigInteger,
    "width": sql.Integer,
    "height": sql.Integer,
    "note": sql.Text,
    "source": sql.Text,
    "rule": sql.Text,
}
_META = sql.MetaData()
_DECISION = sql.Table(
    "decision",
    _META,
    *(
        sql.Column(
            one.name,
            _TYPES.get(one.name, sql.String(200)),
            primary_key=one.name == "id",
            nullable=one.name in ("bytes", "width", "height", "other_label"),
            index=one.name in ("at", "sha256"),
        )
        for one in fields(OfficerDecision)
    ),
)
_ISSUED = sql.Table(
    "case_record",
    _META,
    sql.Column("sha256", sql.String(64), primary_key=True),
    sql.Column("at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("officer", sql.String(MAX_NAME), nullable=False),
)


class Store:
    """The database. It is opened when first needed, so that a page can start without it.

    Args:
        url: As SQLAlchemy writes it: `sqlite:///file`, `postgresql+psycopg://user@host/name`.

    Raises:
        UsageError: The URL cannot be understood, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sql.make_url(url)
            if parsed.drivername in ("postgresql", "postgres"):  # our extra brings this driver
                parsed = parsed.set(drivername="postgresql+psycopg")
            wait = {"timeout": 10} if parsed.drivername.startswith("sqlite") else {}
            if parsed.drivername.startswith("postgresql"):
                wait = {"connect_timeout": 5}
            self._engine = sql.create_engine(parsed, pool_pre_ping=True, connect_args=wait)
        except sql.exc.ArgumentError as error:
            raise UsageError(
                f"cannot understand the database URL; expected for example sqlite:///decisions.db "
                f"or postgresql://user@host/name ({error})"
            ) from error
        except ImportError as error:
            raise UsageError(
                f"the database needs the driver {error.name}; for PostgreSQL, run: pip install "
                "'faunalens[postgres]'"
            ) from error
        self.name = parsed.render_as_string(hide_password=True)
        self._ready = False

    def save(self, decision: OfficerDecision) -> None:
        """Keep a decision; once, however often it is saved.

        Raises:
            StoreError: The database is down, full or read-only.
        """
        with self._connection() as connection:
            known = sql.select(_DECISION.c.id).where(_DECISION.c.id == decision.id)
            if connection.execute(known).first() is None:
                values = {**asdict(decision), "choice": str(decision.choice)}
                connection.execute(_DECISION.insert().values(**values))

    def decisions(self) -> Iterator[OfficerDecision]:
        """All decisions, oldest first, one at a time.

        Raises:
            StoreError: As for `save`.
        """
        query = sql.select(_DECISION).order_by(_DECISION.c.at, _DECISION.c.id)
        with self._connection() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                at = row["at"] if row["at"].tzinfo else row["at"].replace(tzinfo=UTC)
                values = {**row, "choice": Choice(row["choice"]), "at": at.astimezone(UTC)}
                yield OfficerDecision(**values)

    def issue(self, sha256: str, officer: str) -> None:
        """Remember that a case record with this hash was made here."""
        with self._connection() as connection:
            if not self._is_issued(connection, sha256):
                values = {"sha256": sha256, "at": datetime.now(UTC), "officer": officer}
                connection.execute(_ISSUED.insert().values(**values))

    def is_issued(self, sha256: str) -> bool:
        """Whether a case record with this hash was made here."""
        with self._connection() as connection:
            return self._is_issued(connection, sha256)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @staticmethod
    def _is_issued(connection: sql.Connection, sha256: str) -> bool:
        query = sql.select(_ISSUED.c.sha256).where(_ISSUED.c.sha256 == sha256)
        return connection.execute(query).first() is not None

    def _connection(self) -> "_Session":
        return _Session(self)

    def prepare(self) -> sql.Engine:
        """The engine, with its tables made."""
        if not self._ready:
            database = self._engine.url.database
            if self._engine.dialect.name == "sqlite" and database not in (None, "", ":memory:"):
                Path(str(database)).parent.mkdir(parents=True, exist_ok=True)
            _META.create_all(self._engine)
            self._ready = True
        return self._engine


class _Session:
    """A transaction whose failures are StoreErrors of one line."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> sql.Connection:
        try:
            self._begun = self._store.prepare().begin()
            return self._begun.__enter__()
        except (sql.exc.SQLAlchemyError, OSError) as error:
            raise self._failed(error) from error

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._begun.__exit__(kind, error, trace)
        except sql.exc.SQLAlchemyError as failure:
            raise self._failed(failure) from failure
        if isinstance(error, sql.exc.SQLAlchemyError):
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        return StoreError(f"the database {self._store.name} failed: {(reason or ['?'])[0]}")


def default_url() -> str:
    """A SQLite file in the user's data folder (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return f"sqlite:///{Path(home) / 'faunalens' / 'decisions.sqlite'}"


def _storable(name: str) -> str:
    """File names may hold bytes that are not UTF-8, and NUL, which PostgreSQL refuses."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
