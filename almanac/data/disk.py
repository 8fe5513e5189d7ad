"""Errors of a full disk."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from almanac.core.errors import AlmanacError, SourceError

# No space, a used-up quota, and a file above the size that the system or `ulimit -f` allows.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def named_when_full(*paths: Path) -> Iterator[None]:
    """Translate the error of a full disk, from the system or from Polars, to a SourceError with a remedy.

    Raises:
        SourceError: there was no space left to write to `paths`.
    """
    try:
        yield
    # A SourceError is an OSError as well, and has its message already.
    except AlmanacError:
        raise
    except (OSError, pl.exceptions.PolarsError) as error:
        # Polars has no error numbers, but its messages end as Rust writes them: (os error 28).
        if getattr(error, "errno", None) not in _FULL and not any(f"(os error {code})" in str(error) for code in _FULL):
            raise
        path = getattr(error, "filename", None) or " or ".join(map(str, paths))
        raise SourceError(
            f"no space is left to write {path}; free some and run again: nothing half-written is kept"
        ) from None
