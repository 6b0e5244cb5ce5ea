"""Photos named by URLs: `https://` by a polite fetcher, `s3://` and the like through fsspec."""

import io
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from faunalens import decode
from faunalens.errors import FailureKind, FaunalensError, FileError, MissingExtraError, PhotoError
from faunalens.inputs_archive import is_archive, photos_in
from faunalens.inputs_fetch import Fetcher, FetchOptions
from faunalens.inputs_item import Item, photo_name
from faunalens.record import Failure

# Of fsspec's file systems, those that a table of strangers may name. The others read local files,
# run through HTTP without the fetcher's checks, or chain one to another.
_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "hf", "hdfs", "memory"}
)


def is_url(path: str) -> bool:
    """Whether it names something by scheme and not by path."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.isascii() and scheme.replace("+", "").isalnum()


class Remote:
    """Gets what URLs name.

    Args:
        options: Of the fetcher for `http(s)`.
    """

    def __init__(self, options: FetchOptions | None = None) -> None:
        self._options = options or FetchOptions()
        self._fetcher: Fetcher | None = None

    def item(self, url: str) -> Item:
        """One photo."""
        scheme = url.partition("://")[0].lower()
        if scheme in ("http", "https"):
            if self._fetcher is None:
                self._fetcher = Fetcher(self._options)
            return Item(url, load=partial(self._fetcher.fetch, url), remote=True)
        if scheme not in _STORES or "::" in url:
            message = f"no photos are read from {scheme}://; expected https://, s3://, gs:// ..."
            return Item(url, failure=Failure(FailureKind.UNSUPPORTED, message))
        return Item(url, load=partial(_download, url), remote=True)

    def find(self, url: str, ad: str | None) -> Iterator[Item]:
        """What a user named: a photo, and in a store also an archive, a folder or a glob.

        Raises:
            FileError: The store cannot be listed.
            MissingExtraError: fsspec, or what it needs for this store, is not installed.
        """
        one = self.item(url)
        if one.failure or one.load is None or url.startswith(("http://", "https://")):
            yield one
            return
        try:
            system, path = _filesystem(url)
            found = sorted(system.glob(path)) if "*" in path else sorted(system.find(path))
        except (FaunalensError, MissingExtraError):
            raise
        except Exception as error:  # each store has its own
            raise FileError(f"cannot list {url}: {error}") from error
        for name in found or [path]:
            full = system.unstrip_protocol(name)
            if is_archive(name):
                with system.open(name, "rb") as handle:
                    yield from photos_in(full, handle, int(system.size(name)), ad=ad)
            elif photo_name(name)[0] or name == path:
                yield self.item(full)

    def close(self) -> None:
        """End what is under way."""
        if self._fetcher is not None:
            self._fetcher.close()


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("remote", f"{url.partition('://')[0]}://") from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:  # fsspec says which package: s3fs, gcsfs ...
        raise FaunalensError(f"{url}: {error}") from error
    return system, path


def _download(url: str) -> bytes:
    try:
        system, path = _filesystem(url)
        with system.open(path, "rb") as handle:
            data = _read(handle)
    except (FaunalensError, MissingExtraError):
        raise
    except FileNotFoundError as error:
        raise PhotoError(FailureKind.MISSING, "no such object") from error
    except PermissionError as error:
        raise PhotoError(FailureKind.DENIED, "no permission to read this object") from error
    except Exception as error:  # each store has its own
        raise PhotoError(FailureKind.MISSING, f"could not be read: {error}") from error
    return data


def _read(handle: IO[bytes]) -> bytes:
    out = io.BytesIO()
    while block := handle.read(1 << 20):
        out.write(block)
        if out.tell() > decode.MAX_BYTES:
            raise PhotoError(FailureKind.TOO_LARGE, f"longer than {decode.MAX_BYTES:,} bytes")
    return out.getvalue()
