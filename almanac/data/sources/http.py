"""Files on web servers: downloads are retried, resumed, and not repeated when nothing has changed."""

import fcntl
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field

from almanac.core.errors import SourceError
from almanac.core.files import read_json, write_json
from almanac.data.cache import Cache, Content
from almanac.data.compression import zip_member
from almanac.data.sources import FetchContext, RetryPolicy, SourceKind
from almanac.usecase.data_section import SourceBase
from almanac.usecase.types import Address, Section

if TYPE_CHECKING:
    import httpx

_CONTENT_RANGE = re.compile(r"^bytes (\d+)-\d+/(\d+|\*)$")


def _check_web(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    return address


class HttpMirror(Section):
    """An address to fall back to, and the file to take from the archive found there."""

    url: Annotated[Address, AfterValidator(_check_web)]
    """http or https address."""
    member: str | None = None
    """Member to take out of a zip archive."""


class HttpSource(SourceBase):
    """A file on web servers, mirrors in order; an interrupted download resumes."""

    type: Literal["http"]
    mirrors: Annotated[list[HttpMirror], Field(min_length=1)]
    """Addresses, tried in order."""


class TransientError(SourceError):
    """A failure that may pass."""


def without_credentials(url: str) -> str:
    """Return an address as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))


def from_mirrors(mirrors: list[HttpMirror], context: FetchContext) -> Iterator[Callable[[], Content]]:
    """Yield the downloads from mirrors, in order."""
    for mirror in mirrors:
        yield partial(_from_mirror, mirror, context)


def _from_mirror(mirror: HttpMirror, context: FetchContext) -> Content:
    content = _download(mirror.url, context.cache, context.retries)
    if mirror.member is None:
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
            data = zip_member(archive, mirror.member, content.location)
    except zipfile.BadZipFile:
        raise SourceError(f"{content.location}: is not a zip archive, and cannot hold {mirror.member}") from None
    return context.cache.keep(data, f"{content.location}, {mirror.member}")


def _download(url: str, cache: Cache, retries: RetryPolicy) -> Content:
    """Return the content at `url`, from the cache if the server says that it has not changed.

    An interrupted download, even by a kill, resumes if the server confirms that the file is still the same
    (RFC 9110, If-Range).

    Raises:
        SourceError: the server refused, or failed at every attempt.
    """
    import httpx
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

    retrying = Retrying(
        stop=stop_after_attempt(retries.attempts),
        wait=wait_exponential(retries.first_wait, retries.longest_wait) + wait_random(0, retries.first_wait),
        retry=retry_if_exception_type(TransientError),
        # Otherwise tenacity would raise a RetryError of its own instead of the last failure.
        reraise=True,
    )
    path = cache.partial(url)
    # Two runs of one use case would otherwise write to one unfinished file.
    with _locked(path), httpx.Client(follow_redirects=True, timeout=retries.timeout) as client:
        try:
            return retrying(_attempt, client, url, cache, _Unfinished(path))
        except TransientError as error:
            raise SourceError(f"{without_credentials(url)}: {error}, at each of {retries.attempts} attempts") from None
        except SourceError as error:
            raise SourceError(f"{without_credentials(url)}: {error}") from None


def _attempt(client: "httpx.Client", url: str, cache: Cache, unfinished: "_Unfinished") -> Content:
    import httpx

    recalled = cache.recall(url)
    # Byte ranges of a compressed response could not be joined.
    headers = {"Accept-Encoding": "identity", **unfinished.headers()}
    if recalled is not None and "Range" not in headers:
        headers |= {name: recalled[1][name] for name in ("If-None-Match", "If-Modified-Since") if name in recalled[1]}
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED and recalled is not None:
                return recalled[0]
            _check_status(response, unfinished)
            unfinished.receive(response)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise SourceError(str(error)) from None
    except httpx.TransportError as error:
        raise TransientError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from None
    content = cache.keep(unfinished.data(), without_credentials(url))
    cache.remember(url, content, _conditions(response))
    unfinished.clear()
    return content


def _check_status(response: "httpx.Response", unfinished: "_Unfinished") -> None:
    """Raise SourceError for a response without content, TransientError if a later attempt may succeed."""
    status = response.status_code
    if status in (200, 206):
        return
    reason = f"answered {status} {response.reason_phrase}".rstrip()
    # The unfinished file is longer than the server's: it is a part of another version.
    if status == 416:
        unfinished.clear()
    if status in (408, 416, 425, 429) or status >= 500:
        raise TransientError(reason)
    raise SourceError(reason)


def _conditions(response: "httpx.Response") -> dict[str, str]:
    pairs = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    return {name: response.headers[header] for name, header in pairs.items() if header in response.headers}


class _Unfinished:
    """A download in progress: a growing file, and the validator of the version that it is a part of."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_name(f"{path.name}.json")

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest, or none if the download must start again."""
        try:
            size, validator = self._path.stat().st_size, read_json(self._note)["validator"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return {"Range": f"bytes={size}-", "If-Range": str(validator)} if size and validator else {}

    def receive(self, response: "httpx.Response") -> None:
        """Append the body of a response; raise TransientError if it ends early."""
        expected = self._begin(response)
        with open(self._path, "ab") as stream:
            # Raw, because lengths and ranges count the bytes as they are sent.
            for chunk in response.iter_raw():
                stream.write(chunk)
        size = self._path.stat().st_size
        if expected is not None and size != expected:
            # A file that is longer than announced cannot be resumed.
            if size > expected:
                self.clear()
            raise TransientError(f"ended after {size} of {expected} bytes")

    def data(self) -> bytes:
        """Return the downloaded bytes."""
        return self._path.read_bytes()

    def clear(self) -> None:
        """Discard the download."""
        self._note.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _begin(self, response: "httpx.Response") -> int | None:
        """Prepare the file for the response; return its expected final size, if known."""
        if response.status_code == 206:
            return self._continue(response.headers.get("content-range", ""))
        self.clear()
        etag = response.headers.get("etag", "")
        # A weak ETag does not promise equal bytes (RFC 9110, 8.8.1).
        validator = response.headers.get("last-modified") if etag.startswith("W/") or not etag else etag
        self._path.touch()
        write_json(self._note, {"validator": validator})
        length = response.headers.get("content-length")
        return None if length is None else int(length)

    def _continue(self, content_range: str) -> int | None:
        match = _CONTENT_RANGE.match(content_range)
        # Appended anywhere but at its end, the part would give a wrong file without an error.
        if match is None or int(match[1]) != self._path.stat().st_size:
            self.clear()
            raise TransientError(f"answered with another part than was asked for ({content_range or 'no range'})")
        return None if match[2] == "*" else int(match[2])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time download to `path`; a kill releases the lock."""
    with open(path.with_name(f"{path.name}.lock"), "w") as lock:
        # The lock's file is never removed: a process that waits for it would then lock a file that no other one opens.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _attempts(source: HttpSource, context: FetchContext) -> Iterator[Callable[[], Content]]:
    return from_mirrors(source.mirrors, context)


KIND = SourceKind("http", HttpSource, _attempts)
