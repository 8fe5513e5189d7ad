"""Tasks of a run on a cluster, read from Kubeflow's report of Argo's nodes."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from orchestration.task_error import followed

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
    for detail in _in_order(run):
        if detail.display_name in names and detail.state:
            yield Task(detail.display_name, str(detail.state), _seconds(detail))


def summary(run: Any, states: Mapping[str, str]) -> str:
    """Return a line on a run that has not succeeded.

    Args:
        run: the run.
        states: name of each task -> its last state.
    """
    line = f"run {run.run_id} ended as {run.state}"
    if run.error is not None and run.error.message:
        line += f": {run.error.message}"
    if failed := sorted(task for task, state in states.items() if state == "FAILED"):
        return f"{line}; failed: {', '.join(failed)}"
    if not states:
        return f"{line}; the server reports no tasks of it: its Workflow may have been deleted, or compressed"
    return line


def failed_pods(run: Any) -> Iterator[str]:
    """Yield names under which the server may have the log of a failed container, by task and newest attempt first."""
    for detail in _in_order(run):
        if str(detail.state) != "FAILED":
            continue
        for child in reversed(detail.child_tasks or []):
            # A node's id is WORKFLOW-HASH, and its pod is named WORKFLOW-TEMPLATE-HASH.
            workflow, _, code = str(child.pod_name or "").rpartition("-")
            if workflow and code.isdigit():
                yield f"{workflow}-{_TEMPLATE}-{code}"


def failed_task(run: Any, components: Collection[str]) -> str:
    """Return the component of the task of a run that failed first.

    It is empty where the server reports no such task, as of a Workflow that was deleted or compressed.

    Args:
        run: the run.
        components: names of components; Argo reports graphs and drivers beside their tasks.
    """
    for detail in _in_order(run):
        # Where the pod that prepares a task fails, there is no other of it.
        name = str(detail.display_name).removesuffix("-driver").rstrip("-0123456789")
        if str(detail.state) == "FAILED" and name in components:
            return name
    return ""


def error_of(log: str) -> str | None:
    """Return the message of the error that ended a task, by its container's log; None where the log has none."""
    return reduce(followed, (line.strip() for line in _written(log)), None)


def last_lines(log: str) -> list[str]:
    """Return the last lines of a container's log that its task wrote; of any, where it wrote none."""
    lines = _written(log) or [line for line in log.splitlines() if line.strip()]
    return [line[:_WIDTH] for line in lines[-_LINES:]]


def _written(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.strip() and not _AROUND.match(line)]


def _in_order(run: Any) -> list[Any]:
    """Return the details of tasks in the order in which these started."""
    details = (run.run_details.task_details if run.run_details is not None else None) or []
    return sorted(details, key=lambda one: str(one.start_time))


def _seconds(detail: Any) -> float | None:
    start, end = detail.start_time, detail.end_time
    # The server writes the year 1970 for what has not happened yet.
    if not (isinstance(start, datetime) and isinstance(end, datetime)) or start.year < 2000 or end < start:
        return None
    return (end - start).total_seconds()
