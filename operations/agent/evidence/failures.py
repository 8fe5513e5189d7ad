"""Figures of a failed run: the step that failed, and the subjects of its message."""

import re

#: Figure of a message that is about something.
_YES = 4.0
#: Figure -> words of a message that is about it; the messages are Almanac's own and those of the system below.
_ABOUT = {
    "run.unreachable": r"unreachable|cannot be (?:reached|fetched)|timed out|refused the connection|Connection refused"
    r"|Name or service not known|Temporary failure in name resolution|no mirror|HTTP (?:Error )?5\d\d|does not answer",
    "run.altered": r"sha256|digest|not the file that",
    "run.unreadable": r"cannot be read|not a (?:CSV|Parquet|JSON)|no column|has no|unknown column|missing column",
    "run.range": r"above \S+|below \S+|out of range|outside .* range|beyond",
    "run.categories": r"categor|level",
    "run.missing": r"missing|empty|gaps?\b|complete",
    "run.stale": r"stale|old(?:er)?\b|max_age",
    "run.flatline": r"one value for more than",
    "run.memory": r"MemoryError|Cannot allocate memory|Killed|exit code -9|exit code 137|out of memory",
    "run.killed": r"its container was killed|its pod was evicted|signal: killed",
    "run.disk": r"No space left|Disk quota|ENOSPC|Read-only file system",
    "run.store": r"Redis|redis|feature store",
}
_STEPS = ("ingestion", "validation", "preprocessing", "training", "evaluation", "gate", "registration", "deployment")


def failure_figures(step: str, message: str) -> dict[str, float]:
    """Return the figures of a failed run by name.

    Args:
        step: name of the step that failed.
        message: its message, without secrets.
    """
    figures = {f"run.{step}": _YES} if step in _STEPS else {}
    return figures | {name: _YES for name, words in _ABOUT.items() if re.search(words, message)}
