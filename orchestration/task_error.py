"""The error that ended a task, read from its log line by line."""

import re

from almanac.core.errors import AlmanacError

_OURS = re.compile(rf"^{re.escape(AlmanacError.__module__)}\.\w+: (.*)$")
_UNEXPECTED = re.compile(r"^([\w.]*(?:Error|Exception)\b.*)$")


def followed(error: str | None, line: str) -> str | None:
    """Return the message of a task's error as of a further line of its log.

    Args:
        error: the message so far; None before an error.
        line: the line, stripped.
    """
    if match := _OURS.match(line):
        return match[1]
    if match := _UNEXPECTED.match(line):
        return f"unexpected {match[1]}"
    # Messages may have several lines, such as one a broken rule.
    return f"{error}\n{line}" if error is not None and line else error
