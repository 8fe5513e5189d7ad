"""Fits of each entity of a panel, in processes of their own where there are many.

Statistical libraries hold Python's lock while they fit, so that threads would wait for each other.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError

#: Returns the parameters of one entity as values of JSON; called with its values (n,) and the arguments that all share.
Estimate = Callable[..., dict[str, Any]]
#: Entities below which starting processes takes longer than they save.
_FEWEST = 12
#: Times that a fit of all entities says how far it has come.
_TOLD = 5


@dataclass
class EntityFits:
    """Fits one model for each entity.

    Attributes:
        processes: processes that fit at the same time; they start with the first panel of many entities.
    """

    processes: int = 1
    _idle: "SimpleQueue[_Worker]" = field(default_factory=SimpleQueue, repr=False)
    _started: "list[_Worker]" = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def fit(
        self, estimate: Estimate, series: Mapping[str, Array], arguments: dict[str, Any], report: Callable[[str], None]
    ) -> dict[str, dict[str, Any]]:
        """Return the parameters of each entity, the same whatever the number of processes.

        Args:
            estimate: a function at the top of a module.
            series: values of each entity, NaN where unknown.
            arguments: values of JSON.
            report: called now and then with the number of entities that are done, in words.

        Raises:
            ValueError: an estimate failed; the message names the entity.
            TrainingError: a process ended.
        """
        if self.processes == 1 or len(series) < _FEWEST:
            results = (_here(name, estimate, values, arguments) for name, values in series.items())
            return dict(zip(series, _told(results, len(series), report), strict=True))
        self._start()
        with ThreadPoolExecutor(self.processes) as pool:
            answers = pool.map(lambda name: self._there(name, series[name], estimate, arguments), series)
            return dict(zip(series, _told(answers, len(series), report), strict=True))

    def _start(self) -> None:
        with self._lock:
            while len(self._started) < self.processes:
                self._started.append(_Worker())
                self._idle.put(self._started[-1])

    def _there(self, name: str, values: Array, estimate: Estimate, arguments: dict[str, Any]) -> dict[str, Any]:
        place = f"{estimate.__module__}:{estimate.__qualname__}"
        worker = self._idle.get()
        try:
            answer = worker.ask({"function": place, "arguments": arguments, "values": values.tolist()})
        finally:
            self._idle.put(worker)
        if "error" in answer:
            raise ValueError(f"{name}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """End the processes."""
        for worker in self._started:
            worker.close()
        self._started.clear()


@contextmanager
def entity_fits(processes: int) -> Iterator[EntityFits]:
    """Yield fits in this many processes, which end with the block."""
    fits = EntityFits(processes)
    try:
        yield fits
    finally:
        fits.close()


class _Worker:
    """A process that runs `almanac.training.entity_worker`, which imports nothing of the script that trains."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "almanac.training.entity_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # The module is found from here, wherever the training was started.
            cwd=Path(__file__).resolve().parents[2],
        )

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise TrainingError(f"a process that fits entities ended with code {self._process.wait()}; see its output")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _here(name: str, estimate: Estimate, values: Array, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return estimate(values, **arguments)
    # Libraries raise errors of every kind, and a worker passes on no more than their text.
    except Exception as error:
        raise ValueError(f"{name}: {str(error) or type(error).__name__}") from error


def _told(results: Iterator[dict[str, Any]], total: int, report: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield the results, and report from time to time how many there are."""
    every = -(-total // _TOLD)
    for done, result in enumerate(results, 1):
        if done % every == 0 or done == total:
            report(f"{done} of {total} entities")
        yield result
