"""A file of lines that is appended to, whole lines or nothing, and opened again when it was rotated."""

import fcntl
import os
from pathlib import Path


class LineFile:
    """Appends lines to a file, which several processes may share.

    The file is created readable by its owner alone. It is opened again when its path names another file or none, as
    after a rotation.

    Args:
        path: the file; its directory is created.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()

    def write(self, data: bytes) -> None:
        """Append lines; after an error the file is as it was before.

        Raises:
            OSError: they cannot be written, as on a full disk.
        """
        self._reopen()
        # Locked, so that a part that was written can be taken back without another process's lines.
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            size, written = os.fstat(self._fd).st_size, 0
            try:
                while written < len(data):
                    written += os.write(self._fd, memoryview(data)[written:])
            except OSError:
                if written:
                    os.ftruncate(self._fd, size)
                raise
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def flush(self) -> None:
        """Do nothing: lines are not buffered here."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _reopen(self) -> None:
        mine = os.fstat(self._fd)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            new = self._open()
            os.close(self._fd)
            self._fd = new


class StandardError:
    """Writes lines to standard error, which belongs to the process and is left open."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        """Write lines.

        Raises:
            OSError: nobody reads them, or the disk behind is full; a part may have been written.
        """
        written = 0
        while written < len(data):
            written += os.write(self._fd, memoryview(data)[written:])

    def flush(self) -> None:
        """Do nothing: lines are not buffered here."""

    def close(self) -> None:
        """Leave standard error open."""
