"""Console output of a local run: a line a step, and a bar for a step that reports its progress."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from almanac.core.progress import Progress, Summary, parse
from orchestration.task_error import followed

# kfp reports steps only in its log, with colour codes around the names.
_STARTED = re.compile(r"Executing task .*?'([\w-]+)'")
_FINISHED = re.compile(r"Task .*?'([\w-]+)'.* finished with status .*?(SUCCESS|FAILURE)")


@dataclass
class Step:
    """One step of a run."""

    name: str
    seconds: float = 0.0
    cached: bool = False
    failed: bool = False
    rows: int | None = None
    figure: str = ""


class RunLog(TextIOBase):
    """Writes the output of kfp and the tasks to a file, and reports the steps that it mentions.

    Args:
        path: The log file.
        on_step: Called with each finished step.
        on_progress: Called with (step, progress).
    """

    def __init__(
        self, path: Path, on_step: Callable[[Step], None], on_progress: Callable[[str, Progress], None]
    ) -> None:
        self.steps: list[Step] = []
        self.error: str | None = None
        self._file = path.open("w", encoding="utf-8")
        self._on_step, self._on_progress = on_step, on_progress
        self._rest = ""
        self._current: Step | None = None
        self._started = 0.0

    def write(self, text: str) -> int:
        """Write a piece of text."""
        self._file.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._read(line)
        return len(text)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._file.close()

    def finish(self, step: Step) -> None:
        """Record a finished step and report it."""
        self.steps.append(step)
        self._on_step(step)

    def _read(self, raw: str) -> None:
        line = raw.strip()
        if match := _STARTED.search(line):
            self._current, self._started = Step(match[1]), time.monotonic()
            # The message of the first failed step explains the run; those of later steps follow from it.
            self.error = self.error if self._failed else None
        elif match := _FINISHED.search(line):
            step = self._current or Step(match[1])
            step.seconds, step.failed = time.monotonic() - self._started, match[2] == "FAILURE"
            self._current = None
            self.finish(step)
        elif self._current is not None:
            self._read_task(line)

    def _read_task(self, line: str) -> None:
        """Read a line of a task: its progress or summary, or the error that ended it."""
        report = parse(line)
        if report is not None:
            self._report(report)
        elif not self._failed:
            self.error = followed(self.error, line)

    @property
    def _failed(self) -> bool:
        """Whether a step has failed. Steps that do not depend on it still run, and its message is kept."""
        return any(step.failed for step in self.steps)

    def _report(self, report: Progress | Summary) -> None:
        if self._current is None:
            return
        if isinstance(report, Summary):
            self._current.rows, self._current.figure = report.rows, report.text
        else:
            self._on_progress(self._current.name, report)


class Screen:
    """Draws steps and progress on a terminal, or writes plain lines elsewhere."""

    def __init__(self, stream: TextIO = sys.stdout, quiet: bool = False) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True, quiet=quiet)
        self._bar: Bar | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show a bar below the lines while the block runs, on a terminal."""
        # In a log file a bar would be a line each time it moves.
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("  {task.description:<15}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(*columns, TextColumn("{task.fields[text]}"), console=self._console, transient=True) as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def line(self, text: str = "") -> None:
        """Write a line."""
        self._console.print(text, markup=False)

    def step(self, step: Step) -> None:
        """Write the line of a finished step: name, seconds, rows, key figure."""
        if self._bar is not None:
            for task in list(self._bar.task_ids):
                self._bar.remove_task(task)
        duration = "cached" if step.cached else f"{step.seconds:.1f} s"
        rows = "" if step.rows is None else f"{step.rows:,} rows"
        self.line(f"  {step.name:<15}{duration:>9}{rows:>14}  {'failed' if step.failed else step.figure}".rstrip())

    def progress(self, step: str, progress: Progress) -> None:
        """Move the bar of a step."""
        if self._bar is None:
            return
        if not self._bar.task_ids:
            self._bar.add_task(step, total=progress.total, text="")
        self._bar.update(self._bar.task_ids[0], completed=progress.done, total=progress.total, text=progress.text)
