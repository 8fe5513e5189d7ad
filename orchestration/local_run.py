"""A run of a pipeline on this machine: its options, and its steps and outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestration.console import Step

Runner = Literal["subprocess", "docker"]


@dataclass(frozen=True)
class LocalRun:
    """Steps, outputs and error of a local run.

    Attributes:
        steps: The steps in the order in which they ended.
        outputs: Outputs by component and name: paths of artifacts, values of parameters.
        error: Message of the step that failed, if one did.
    """

    steps: list[Step]
    outputs: dict[str, dict[str, Any]]
    error: str | None


@dataclass(frozen=True)
class RunOptions:
    """Directories and options of a local run.

    Attributes:
        work: Directory for the outputs and the log.
        cache: Directory of the cache.
        runner: Subprocesses of this Python, or containers.
        shared: Further directories that tasks read and write; containers mount them.
        never_cached: Components that run every time.
        settled: Components that write to the registry, and need not write again while nothing else changes it.
        registry_state: Returns the digest of the present state of the registry at an address, as far as a component
            reads it.
    """

    work: Path
    cache: Path
    runner: Runner = "subprocess"
    shared: tuple[Path, ...] = ()
    never_cached: frozenset[str] = frozenset()
    settled: tuple[str, ...] = ()
    registry_state: Callable[[str, str], str] = lambda component, url: ""
