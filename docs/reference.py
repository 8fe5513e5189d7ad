"""Write the pages of `docs/reference` that follow from code: `python docs/reference.py [--check]`.

`kinds.md` lists the registries of kinds, `commands.md` the tree of commands with their options and examples, and
`errors.md` the messages of errors.
"""

import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import messages

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path(__file__).with_suffix("")

#: Where the registries are, in the order of the page.
REGISTRIES = {
    "Feature kinds": "almanac.usecase.features_section:FEATURE_KINDS",
    "Candidates": "almanac.usecase.training_section:CANDIDATES",
    "Model bodies": "almanac.model.bodies:BODIES",
    "Sources": "almanac.usecase.data_section:SOURCES",
    "Formats": "almanac.usecase.data_section:FORMATS",
    "Shapes of tables": "almanac.usecase.shape_section:SHAPES",
    "Checks of validation": "almanac.usecase.validation_section:CHECKS",
    "Gate rules": "almanac.usecase.gate_section:GATE_RULES",
    "Drift measures": "almanac.drift.measures:MEASURES",
    "Governance documents": "governance.documents.kind:KINDS",
    "Causes of alarms": "operations.agent.causes:CAUSES",
    "Actions of the agent": "operations.agent.actions:ACTIONS",
}


def kinds() -> str:
    """Return the page of the registries."""
    parts = ["# Kinds", "One file each; the schema of the use case file (`almanac schema`) has all their fields."]
    for title, address in REGISTRIES.items():
        module, _, name = address.partition(":")
        registry = getattr(importlib.import_module(module), name)
        more = f", and entry points of `{registry.group}`" if registry.group else ""
        parts.append(f"## {title}\n\nIn `{registry.folder.replace('.', '/')}`{more}.")
        rows = [f"| `{kind}` | {_summary(registry, kind)} |" for kind in registry]
        parts.append("\n".join(["| name | what it is |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """Return the page of the command line."""
    import orchestration.commands
    from orchestration.commands.app import SECTIONS

    parts = ["# Commands"]
    text = inspect.cleandoc(orchestration.commands.__doc__ or "").replace("The command line `almanac`.", _HOW)
    parts.append(text)
    for section, entries in SECTIONS.items():
        parts.append(f"## {section}")
        parts += [
            f"### almanac {' '.join(path)}\n\n```text\n{text}\n```" for name in entries for path, text in _helps(name)
        ]
    return "\n\n".join(parts) + "\n"


_HOW = (
    "`almanac` is one command line for everything; `python pipeline.py` is the same. Every command explains itself and "
    "shows an example with `--help`; `--json` prints what a program reads."
)


def _summary(registry: Any, kind: str) -> str:
    """Return the first line of the kind's declaration, or of its module."""
    declaration = getattr(registry[kind], "declaration", None)
    if declaration is not None and declaration.__doc__:
        return inspect.cleandoc(declaration.__doc__).split("\n")[0]
    package = importlib.import_module(registry.folder)
    for found in pkgutil.iter_modules(package.__path__, f"{registry.folder}."):
        module = importlib.import_module(found.name)
        if getattr(module, "KIND", None) is registry[kind]:
            return inspect.cleandoc(module.__doc__ or "").split("\n")[0]
    return ""


def _helps(name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the help of a command, or of each command of a group."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from orchestration.commands.app import app

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        below = getattr(command, "commands", {})
        if not below:
            yield path
        for each in below:
            yield from walk(command.get_command(None, each), (*path, each))

    tree: Any = get_command(app)
    for path in walk(tree.get_command(None, name), (name,)):
        done = CliRunner().invoke(app, [*path, "--help"], prog_name="almanac")
        yield path, "\n".join(line.rstrip() for line in done.output.strip().splitlines())


def main() -> int:
    """Write the pages, or with --check fail where one is not that of the code; return the exit code."""
    sys.path.insert(0, str(ROOT))
    # The help of a command is laid out for the width of the terminal.
    os.environ |= {"COLUMNS": "100", "TERMINAL_WIDTH": "100"}
    stale = []
    for name, text in {"kinds.md": kinds(), "commands.md": commands(), "errors.md": messages.page(ROOT)}.items():
        path = PAGES / name
        if not path.exists() or path.read_text() != text:
            stale.append(f"docs/reference/{name}")
            if "--check" not in sys.argv[1:]:
                path.write_text(text)
    for name in stale:
        sys.stdout.write(f"{name}\n")
    if stale and "--check" in sys.argv[1:]:
        sys.stderr.write("error: these pages are stale; run python docs/reference.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
