"""The page of error messages, asked whether it has what was printed."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Letters of a message that have to be those of the page; what only shows values would match anything.
_FEWEST_LETTERS = 7


@cache
def _messages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", ROOT / "docs" / "messages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules["messages"] = module
    spec.loader.exec_module(module)
    return module


@cache
def _listed() -> list[Any]:
    known = _messages()
    return [
        message
        for message in [*known.messages(ROOT), *known.field_messages()]
        if sum(letter.isalpha() for letter in message.text) >= _FEWEST_LETTERS
    ]


def is_listed(printed: str) -> bool:
    """Return whether the page has a message that is in a printed text."""
    return any(message.is_in(printed) for message in _listed())
