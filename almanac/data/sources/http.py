"""Downloads that are retried, resumed and not repeated when nothing has changed."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from almanac.core.errors import SourceError
from almanac.core.files import read_json, write_json
from almanac.data.cache import Cache, Content

if TYPE_CHECKING:
    import httpx

_CONTENT_RANGE = re.compile(r"^bytes (\d+)-\d+/(\d+|\*)$")


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: How often each address is tried.
        first_wait: Seconds before the second attempt; doubled from attempt to attempt.
        longest_wait: Most seconds between two attempts.
        timeout: Seconds without an answer, or without a byte of it.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 8.0
    timeout: float = 30.0


class TransientError(SourceError):
    """A failure that may pass."""


def plain(url: str) -> str:
    """Return an address as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def download(url: str, cache: Cache, patience: Patience) -> Content:
    """Return the content at `url`, from the cache where the server says that it has not changed.

    A download that broke off, even by a kill, goes on where it stopped if the server can tell that
    the file is still the same (RFC 9110, If-Range).

    Raises:
        SourceError: the server refused, or failed at every attempt.
    """
    import httpx
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

    retrying = Retrying(
        stop=stop_after_attempt(patience.attempts),
        wait=wait_exponential(patience.first_wait, patience.longest_wait) + wait_random(0, patience.first_wait),
        retry=retry_if_exception_type(TransientError),
        reraise=True,
    )
    path = cache.partial(url)
    with _locked(path), httpx.Client(follow_redirects=True, timeout=patience.timeout) as client:
        try:
            return retrying(_attempt, client, url, cache, _Partial(path))
        except TransientError as error:
            raise SourceError(f"{plain(url)}: {error}, at each of {patience.attempts} attempts") from None
        except SourceError as error:
            raise SourceError(f"{plain(url)}: {error}") from None


def _attempt(client: "httpx.Client", url: str, cache: Cache, partial: "_Partial") -> Content:
    import httpx

    known = cache.recall(url)
    headers = {"Accept-Encoding": "identity", **partial.headers()}
    if known is not None and "Range" not in headers:
        headers |= {name: known[1][name] for name in ("If-None-Match", "If-Modified-Since") if name in known[1]}
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED and known is not None:
                return known[0]
            _refuse(response, partial)
            partial.receive(response)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise SourceError(str(error)) from None
    except httpx.TransportError as error:
        raise TransientError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from None
    content = cache.keep(partial.data(), plain(url))
    cache.remember(url, content, _conditions(response))
    partial.clear()
    return content


def _refuse(response: "httpx.Response", partial: "_Partial") -> None:
    """Raise for an answer that brings no bytes."""
    status = response.status_code
    if status in (200, 206):
        return
    reason = f"answered {status} {response.reason_phrase}".rstrip()
    if status == 416:
        partial.clear()
    if status in (408, 416, 425, 429) or status >= 500:
        raise TransientError(reason)
    raise SourceError(reason)


def _conditions(response: "httpx.Response") -> dict[str, str]:
    pairs = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    return {name: response.headers[header] for name, header in pairs.items() if header in response.headers}


class _Partial:
    """A download in the making: a file that grows, and what tells that the server's file is still the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_name(f"{path.name}.json")

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest, or none where it must begin again."""
        try:
            size, validator = self._path.stat().st_size, read_json(self._note)["validator"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return {"Range": f"bytes={size}-", "If-Range": str(validator)} if size and validator else {}

    def receive(self, response: "httpx.Response") -> None:
        """Write what comes; raise TransientError when it ends early."""
        expected = self._begin(response)
        with open(self._path, "ab") as stream:
            for chunk in response.iter_raw():
                stream.write(chunk)
        size = self._path.stat().st_size
        if expected is not None and size != expected:
            if size > expected:
                self.clear()
            raise TransientError(f"ended after {size} of {expected} bytes")

    def data(self) -> bytes:
        """Return the bytes so far."""
        return self._path.read_bytes()

    def clear(self) -> None:
        """Forget the download."""
        self._note.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _begin(self, response: "httpx.Response") -> int | None:
        """Make the file ready for the answer's bytes; return the size that it must have in the end."""
        if response.status_code == 206:
            return self._continue(response.headers.get("content-range", ""))
        self.clear()
        etag = response.headers.get("etag", "")
        validator = response.headers.get("last-modified") if etag.startswith("W/") or not etag else etag
        self._path.touch()
        write_json(self._note, {"validator": validator})
        length = response.headers.get("content-length")
        return None if length is None else int(length)

    def _continue(self, content_range: str) -> int | None:
        match = _CONTENT_RANGE.match(content_range)
        if match is None or int(match[1]) != self._path.stat().st_size:
            self.clear()
            raise TransientError(f"answered with another part than was asked for ({content_range or 'no range'})")
        return None if match[2] == "*" else int(match[2])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time download to `path`; a kill releases the lock."""
    with open(path.with_name(f"{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
