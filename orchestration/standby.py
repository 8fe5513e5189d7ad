"""Processes of local tasks, each started while the task before it runs.

Half a second of a task's start is imports that every task needs. On a second processor they cost no time.
"""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from kfp.local import subprocess_task_handler

from orchestration.component import MODULE

#: Argument by which the components' module waits for a task.
_WAIT = "--wait"


class Standby:
    """Runs each task in a process of its own, in which the imports of all tasks are made already.

    Args:
        more: Returns whether a task may follow the one that begins.
    """

    def __init__(self, more: Callable[[], bool]) -> None:
        self._more = more
        self._next: subprocess.Popen[str] | None = None
        self._start_anew: Callable[..., int] = subprocess_task_handler.run_local_subprocess

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let kfp's local runs start tasks here while the block runs."""
        # kfp has no way to hand in a process.
        subprocess_task_handler.run_local_subprocess = self.run
        try:
            yield
        finally:
            subprocess_task_handler.run_local_subprocess = self._start_anew
            self._end()

    def run(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Run a task, print its output, and return its exit code.

        Args:
            full_command: the interpreter, and its arguments.
            env_vars: environment variables of this task alone.
        """
        python, *arguments = full_command
        if arguments[:2] != ["-m", MODULE]:
            return self._start_anew(full_command, env_vars)
        with self._next or _start(python) as process:
            _send(process, {"arguments": arguments[2:], "environment": env_vars or {}})
            self._next = _start(python) if self._more() else None
            for line in process.stdout or ():
                print(line, end="")
            return process.wait()

    def _end(self) -> None:
        """End the process that no task came for."""
        if self._next is not None:
            with self._next:
                self._next.kill()


def _start(python: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [python, "-m", MODULE, _WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    )


def _send(process: "subprocess.Popen[str]", task: dict[str, Any]) -> None:
    if process.stdin is None:
        return
    # A process that has ended tells the reason in its output.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(task) + "\n")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
