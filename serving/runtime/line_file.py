"""Files of lines that are appended to, whole lines or nothing, and opened again when they were rotated."""

import fcntl
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


class DailyFile:
    """Appends the lines of this process to a file for each day in UTC.

    A file is named by the end of its day, so that a reader of newer lines can skip it by its name.

    Args:
        directory: its directory, which is created.
        clock: returns the seconds since 1970.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._end = _end_of_day(clock())
        self._file = self._open(self._end)

    def write(self, data: bytes) -> None:
        """Append lines to the file of today; raises as `LineFile.write`."""
        now = self._clock()
        if now >= self._end.timestamp():
            end = _end_of_day(now)
            file = self._open(end)
            self._file.close()
            self._file, self._end = file, end
        self._file.write(data)

    def flush(self) -> None:
        """Do nothing: lines are not buffered here."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, end: datetime) -> LineFile:
        # One for each process, since not every volume that several mount can lock.
        name = f"until-{end:%Y%m%dT%H%M%S}-{socket.gethostname()}-{os.getpid()}.jsonl"
        return LineFile(self._directory / name)


def _end_of_day(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


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
