"""Tasks of a run on a cluster, read from Kubeflow's report of Argo's nodes."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Argo's name of the template whose pod runs a component.
_TEMPLATE = "system-container-impl"
#: Lines that Kubeflow's launcher and Argo's executor write around those of the task.
_AROUND = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.|time=\S+ level=|Error: exit status \d")
#: Lines and characters of a log in an error.
_LINES, _WIDTH = 12, 300


@dataclass(frozen=True)
class Task:
    """A task of a run: its name in the pipeline, its state, and the seconds that it has taken."""

    name: str
    state: str
    seconds: float | None


def tasks_of(run: Any, names: Collection[str]) -> Iterator[Task]:
    """Yield the tasks of these names that have a state, in the order in which they started."""
    for detail in sorted(_details(run), key=lambda one: str(one.start_time)):
        if detail.display_name in names and detail.state:
            yield Task(detail.display_name, str(detail.state), _seconds(detail))


def failed_pods(run: Any) -> Iterator[str]:
    """Yield names under which the server may have the log of a container that failed, the newest attempt first."""
    for detail in _details(run):
        if str(detail.state) != "FAILED":
            continue
        for child in reversed(detail.child_tasks or []):
            # A node's id is WORKFLOW-HASH, and its pod is named WORKFLOW-TEMPLATE-HASH.
            workflow, _, code = str(child.pod_name or "").rpartition("-")
            if workflow and code.isdigit():
                yield f"{workflow}-{_TEMPLATE}-{code}"


def last_lines(log: str) -> list[str]:
    """Return the last lines of a container's log that its task wrote; of any, where it wrote none."""
    lines = [line for line in log.splitlines() if line.strip()]
    written = [line for line in lines if not _AROUND.match(line)]
    return [line[:_WIDTH] for line in (written or lines)[-_LINES:]]


def _details(run: Any) -> list[Any]:
    return (run.run_details.task_details if run.run_details is not None else None) or []


def _seconds(detail: Any) -> float | None:
    start, end = detail.start_time, detail.end_time
    # The server writes the year 1970 for what has not happened yet.
    if not (isinstance(start, datetime) and isinstance(end, datetime)) or start.year < 2000 or end < start:
        return None
    return (end - start).total_seconds()
