"""The audit of the console: a line for every login, refusal and act, without a secret."""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from almanac.core.errors import ConsoleError


class Audit:
    """Appends lines of JSON to a file that only its owner can read.

    Args:
        path: the file.

    Raises:
        ConsoleError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        try:
            path.absolute().parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        except OSError as error:
            raise ConsoleError(f"--audit {path}: cannot be written ({error.strerror})") from None

    def write(self, act: str, who: str, client: str, outcome: str, **facts: str) -> None:
        """Append a line: person, act, address and result."""
        line = {"when": datetime.now(UTC).isoformat(timespec="milliseconds"), "act": act, "who": who}
        text = json.dumps({**line, "client": client, "outcome": outcome, **facts}, ensure_ascii=False)
        # Opened each time, so that a rotated file is left alone.
        with self._lock, os.fdopen(os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "a") as file:
            file.write(text + "\n")
