"""A training whose model did not pass its gate."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from almanac.core.files import read_json
from operations.history.tables import FAILURES, RUNS
from operations.notifications.message import Message
from operations.notifications.scene import Row, Scene, minute


def gate_closed(scene: Scene) -> Iterator[Message]:
    """Yield a message for each training that closed its gate."""
    for run in scene.rows(RUNS, "finished"):
        if run["gate_passed"] is False:
            where = (scene.run_link(run["id"]), _command(scene, run["id"]))
            yield _message(scene, run["id"], run["finished"], tuple(_reasons(scene, run)), *where)
    # A cluster's training leaves no run directory, and its registration fails by the rules that closed the gate.
    for run in scene.rows(FAILURES, "failed"):
        if run["gate_passed"] is False:
            reasons = tuple(run["error"].splitlines()[1:])
            yield _message(scene, run["id"], run["failed"], reasons, scene.page_link("history"), run["command"])


def _message(scene: Scene, run: str, ended: str, reasons: tuple[str, ...], link: str, command: str) -> Message:
    return Message(
        kind="gate_closed",
        use_case=scene.name,
        identity=run,
        title="The gate closed, and nothing was registered",
        lines=(f"Run {run} ended {minute(ended)}.", *reasons),
        link=link,
        command=command,
        when=ended,
        facts={"run": run},
    )


def _command(scene: Scene, run: str) -> str:
    runs = () if scene.runs == Path("runs") else ("--out", str(scene.runs))
    return shlex.join(("almanac", "open", run, *runs))


def _reasons(scene: Scene, run: Row) -> Iterator[str]:
    """Yield the rules that closed the gate, where the run directory is at hand."""
    try:
        rules: list[dict[str, Any]] = read_json(scene.runs / run["directory"] / "gate.json").get("rules", [])
        yield from (str(rule["message"]) for rule in rules if not rule["passed"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
