"""Every command that the documents quote is held against the Makefile and the command lines."""

import io
import re
import runpy
import shlex
import sys
import warnings
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestration.commands.app import app

ROOT = Path(__file__).resolve().parents[3]
# The page of errors quotes what messages say, with an ellipsis for each value.
QUOTED = "docs/reference/errors.md"
PAGES = sorted({str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")} - {QUOTED})
DOCUMENTS = ("README.md", "GOVERNANCE.md", "CONTRIBUTING.md", "serving/README.md", "monitoring/runbooks.md", *PAGES)
COMMAND_LINES = ("pipeline", "benchmarks", "serving", "governance", "monitoring")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_PROGRAMS = ("make ", "python ", "almanac ")
_INLINE = re.compile(r"`((?:make|python|almanac) [^`\n]+)`")
_WORD = re.compile(r"[a-z][a-z-]*")


def commands(document: str) -> list[str]:
    """Return the commands of a document: the lines of its shell blocks, and those in the running text."""
    text = (ROOT / document).read_text()
    lines = [line.split("  #")[0] for block in _BLOCK.findall(text) for line in block.splitlines()]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [line.strip() for line in [*whole, *_INLINE.findall(text)] if line.strip().startswith(_PROGRAMS)]


ALL = sorted({command for document in DOCUMENTS for command in commands(document)})


def test_there_are_commands_to_hold() -> None:
    assert sum(command.startswith("make ") for command in ALL) > 5
    assert sum(command.startswith(("python ", "almanac ")) for command in ALL) > 10


@pytest.mark.parametrize("command", [one for one in ALL if one.startswith("make ")])
def test_make_knows_its_targets_and_variables(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in shlex.split(command)[1:]:
        name, given, _ = word.partition("=")
        wanted = rf"^{name} \?=" if given else rf"^{name}:"
        assert re.search(wanted, makefile, re.MULTILINE), command


@pytest.mark.parametrize("command", [one for one in ALL if one.startswith(("python ", "almanac "))])
def test_a_program_knows_its_commands_and_options(command: str) -> None:
    # An editable install runs `almanac` from one checkout; its script is that of every checkout.
    words = shlex.split(re.sub("^almanac ", "python pipeline.py ", command).split(">")[0])[1:]
    program, rest = (words[:2], words[2:]) if words[0] == "-m" else (words[:1], words[1:])
    if program[-1].partition(".")[0] not in COMMAND_LINES:
        # A program without a parser would do its work when asked for help.
        path = ROOT / program[-1].replace(".", "/") if len(program) == 2 else ROOT / program[0]
        assert path.is_file() or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), command
        return
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
    """Return the help of a command, which must be one: of `pipeline.py` or of `-m` and a module."""
    if program[0] == "pipeline.py":
        shown = CliRunner().invoke(app, [*program[1:], "--help"])
        assert shown.exit_code == 0, shown.output
        return shown.output
    module, *words = program[1:]
    # In this process, which has loaded most of what these programs import.
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
        patch.setattr(sys, "argv", [module, *words, "--help"])
        # The module may have been imported before as a part of its package.
        warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__")
    assert not ended.value.code
    return out.getvalue()


def test_the_picture_shows_the_tasks_of_the_training_pipeline() -> None:
    drawn = re.findall(r'class="task" .*/>\n<text [^>]*>([a-z]+)</text>', (ROOT / "docs" / "overview.svg").read_text())
    spec = yaml.safe_load((ROOT / "compiled" / "air_quality_training.yaml").read_text().split("\n---\n")[0])
    (changed,) = (name for name in spec["components"] if name.startswith("comp-condition"))
    # The use case, which that task writes, is drawn as the file.
    assert sorted(drawn) == sorted(spec["components"][changed]["dag"]["tasks"].keys() - {"configuration"})
