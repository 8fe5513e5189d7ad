"""The whole tree of commands: help, examples, exit codes, and what an import of the command line costs."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import orchestration.commands
from almanac.core import errors
from orchestration.commands.app import ENTRIES, SECTIONS, app

ROOT = Path(__file__).resolve().parents[3]


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name in getattr(command, "commands", {}):
        yield from _walk(command.get_command(None, name), (*path, name))


PATHS = list(_walk(get_command(app)))


def _help(path: tuple[str, ...]) -> str:
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"}, prog_name="almanac")
    assert done.exit_code == 0, done.output
    return done.output


def test_the_tree_has_the_commands_that_are_documented() -> None:
    local = {
        "run",
        "new",
        "check",
        "compile",
        "predict",
        "monitor",
        "compare",
        "serve",
        "keys",
        "registry",
        "verify",
        "drift",
    }
    assert local | {"submit", "schedule", "plans", "upload", "schema", "deploy", "ingest"} <= ENTRIES.keys()
    assert {("registry", "promote"), ("plans", "approve"), ("deploy", "apply"), ("dev", "sbom")} <= set(PATHS)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_explains_itself_and_shows_an_example(path: tuple[str, ...]) -> None:
    text = _help(path)
    line = re.search(r"Example:\s+(almanac .*)", text)
    assert line is not None, text
    words = shlex.split(line[1])[1:]
    assert tuple(words[: len(path)]) == path
    # Of a group, the example is one of a command in it.
    chosen = max((each for each in PATHS if tuple(words[: len(each)]) == each), key=len)
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    text = _help(chosen)
    assert [option for option in options if option not in text] == []


def test_the_summaries_of_the_help_are_those_of_the_commands() -> None:
    text = _help(())
    for section in SECTIONS.values():
        for name, (_, summary) in section.items():
            assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)


def test_the_exit_codes_are_the_documented_ones() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", str(orchestration.commands.__doc__), re.MULTILINE)}
    raised = {each.exit_code for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "exit_code")}
    assert raised <= documented
    assert documented - raised == {0, 2}


def _almanac(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "pipeline.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_error_is_one_line_and_wrong_usage_another_code() -> None:
    done = _almanac("check", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: nowhere.yaml: cannot be read")
    assert done.stderr.count("\n") == 1
    assert _almanac("check").returncode == 2
    wrong = _almanac("chek", "usecases/air_quality.yaml")
    assert wrong.returncode == 2
    assert "Did you mean 'check'" in wrong.stderr


@pytest.mark.parametrize("command", [["console"], ["agent"], ["exporter", "figures"]])
def test_a_port_that_no_machine_has_is_wrong_usage(command: list[str]) -> None:
    done = _almanac(*command, "--port", "99999")
    assert done.returncode == 2
    assert "--port" in done.stderr and "65535" in done.stderr


def test_make_compose_asks_for_a_run_before_it_makes_keys() -> None:
    command = ["make", "-s", "-o", ".venv/.dev", "compose", "USECASE=usecases/nowhere.yaml", f"DOCKER={sys.executable}"]
    # Under `make -j` these would tell the inner make of jobs that it cannot have.
    apart = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(command, cwd=ROOT, env=apart, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    told = "error: nothing is registered for nowhere; first make run USECASE=usecases/nowhere.yaml"
    assert done.stderr.startswith(told)
    command[-1] = "DOCKER=no-such-program"
    done = subprocess.run(command, cwd=ROOT, env=apart, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("error: no-such-program is not installed, which starts the containers")


def _loaded(*words: str) -> set[str]:
    """Return the packages that a command has imported when it ends."""
    program = f"import sys; sys.argv = {['almanac', *words]}; import pipeline, atexit\n"
    program += "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr)); pipeline.main()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_the_command_line_imports_no_room_before_one_of_its_commands_is_called() -> None:
    loaded = _loaded("--help")
    assert {"orchestration", "typer"} <= loaded
    rooms = {"components", "pipelines", "serving", "monitoring", "governance"}
    assert not loaded & {*rooms, "kfp", "polars", "pydantic", "numpy"}


def test_the_help_of_a_command_waits_for_no_library_that_it_works_with() -> None:
    assert not _loaded("run", "--help") & {"kfp", "kubernetes", "polars", "numpy"}
    assert not _loaded("keys", "--help") & {"kfp", "polars", "numpy"}
