"""Messages of the errors that the code raises, read from its syntax trees, for the page `reference/errors.md`."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic_core._pydantic_core import list_all_errors

ROOMS = ("almanac", "governance", "monitoring", "serving", "orchestration", "operations", "components", "pipelines")
ELLIPSIS = "…"
#: Fewer words than these, which are a name or a separator.
_FEWEST_WORDS = 2
#: Functions that make an answer or a finding of their text.
_MAKERS = {
    "append",
    "invalid",
    "not_found",
    "not_ready",
    "unavailable",
    "beyond",
    "too_large",
    "conflict",
    "busy",
    "echo",
    "warning",
    "error",
}
#: Names of what becomes a part of a message.
_PARTS = {"text", "message", "reason", "expected", "problem", "why", "wrong", "fact", "hint", "said"}
#: Packages whose functions yield or return the rules that were broken.
_RULES = ("almanac/core", "almanac/usecase", "almanac/data", "almanac/features", "almanac/training", "orchestration")


@dataclass(frozen=True, order=True)
class Message:
    """A message with an ellipsis for each value that it shows, and the module that has it."""

    module: str
    text: str

    def is_in(self, printed: str) -> bool:
        """Return whether printed text holds the message, with any values."""
        position = 0
        # A regular expression would try each place of each part.
        for part in self.text.strip().split(ELLIPSIS):
            position = printed.find(part, position)
            if position < 0:
                return False
            position += len(part)
        return True


def messages(root: Path) -> list[Message]:
    """Return the messages of all rooms, each once a module."""
    found: set[Message] = set()
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            module = path.relative_to(root).with_suffix("").as_posix()
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {Message(module, text) for text in _texts(tree, module.startswith(_RULES))}
    return sorted(found)


def field_messages() -> list[Message]:
    """Return the messages on fields of use case, settings and policy files, which pydantic words."""
    templates = {error["message_template_python"] for error in list_all_errors()}
    texts = {re.sub(r"\{\w+\}", ELLIPSIS, template) for template in templates}
    return sorted(Message("pydantic", f"{text[0].lower()}{text[1:]}") for text in texts if " " in text)


def page(root: Path) -> str:
    """Return the page: the messages of each room and module."""
    lines = ["# Error messages", ""]
    lines += [
        f"{ELLIPSIS} stands for a value, such as a name, a number or a path. What helps is a part of the message.",
        "",
    ]
    found = messages(root)
    for room in ROOMS:
        lines += [f"## {room}", ""]
        for module in sorted({message.module for message in found if message.module.startswith(f"{room}/")}):
            lines += [f"`{module}`", ""]
            lines += [f"- {_as_code(message.text)}" for message in found if message.module == module]
            lines.append("")
    return "\n".join(lines)


def _as_code(text: str) -> str:
    shown = " ".join(text.split())
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def _texts(tree: ast.Module, rules: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if _speaks(node, rules):
            for text in _literals(node):
                if len(text.replace(ELLIPSIS, " ").split()) >= _FEWEST_WORDS:
                    yield text.strip()


def _speaks(node: ast.AST, rules: bool) -> bool:
    """Return whether the text in a node is shown to people as an error or a part of one."""
    match node:
        case ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name.endswith("Error") or name in _MAKERS
        case ast.Assign(targets=[ast.Name(id=name), *_]):
            return name in _PARTS
        case ast.Yield() | ast.Return():
            return rules
    return False


def _literals(node: ast.AST) -> Iterator[str]:
    """Yield the texts below a node; a formatted one as a whole."""
    if isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS for part in node.values)
        yield "".join(parts)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _literals(child)
