"""Texts from outside: reasons that people type, labels of alarms, messages of errors."""

import re

# Control characters but for tab and the ends of lines, marks that turn the direction of a text around, and halves of
# characters that UTF-8 cannot hold.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)")


def printable(text: str) -> str:
    """Return a text with a replacement mark for each character that a terminal obeys or a database cannot hold."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
