"""Every command that the documents quote is held against the Makefile and the command lines."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = ("README.md", "GOVERNANCE.md", "serving/README.md")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`((?:make|python) [^`\n]+)`")
_WORD = re.compile(r"[a-z][a-z-]*")


def commands(document: str) -> list[str]:
    """Return the commands of a document: the lines of its shell blocks, and those in the running text."""
    text = (ROOT / document).read_text()
    lines = [line.split("  #")[0] for block in _BLOCK.findall(text) for line in block.splitlines()]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [line.strip() for line in [*whole, *_INLINE.findall(text)] if line.strip().startswith(("make ", "python "))]


ALL = sorted({command for document in DOCUMENTS for command in commands(document)})


def test_there_are_commands_to_hold() -> None:
    assert sum(command.startswith("make ") for command in ALL) > 5
    assert sum(command.startswith("python ") for command in ALL) > 10


@pytest.mark.parametrize("command", [one for one in ALL if one.startswith("make ")])
def test_make_knows_its_targets_and_variables(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in shlex.split(command)[1:]:
        name, given, _ = word.partition("=")
        wanted = rf"^{name} \?=" if given else rf"^{name}:"
        assert re.search(wanted, makefile, re.MULTILINE), command


@pytest.mark.parametrize("command", [one for one in ALL if one.startswith("python ")])
def test_a_program_knows_its_commands_and_options(command: str) -> None:
    words = shlex.split(command.split(">")[0])[1:]
    program, rest = (words[:2], words[2:]) if words[0] == "-m" else (words[:1], words[1:])
    chosen = []
    for word in rest:
        if not _WORD.fullmatch(word):
            break
        chosen.append(word)
    text = usage(*program, *chosen)
    for word in rest[len(chosen) :]:
        if word.startswith("--"):
            assert word.split("=")[0] in text, f"{command}: {word}"
        elif word.startswith("usecases/"):
            assert (ROOT / word).is_file(), command


@cache
def usage(*program: str) -> str:
    """Return the help of a command, which must be one."""
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
