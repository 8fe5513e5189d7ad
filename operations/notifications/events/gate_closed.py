"""A training whose model did not pass its gate."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from almanac.core.files import read_json
from operations.history.tables import RUNS
from operations.notifications.message import Message
from operations.notifications.scene import Row, Scene, minute


def gate_closed(scene: Scene) -> Iterator[Message]:
    """Yield a message for each training that closed its gate."""
    for run in scene.rows(RUNS, "finished"):
        if run["gate_passed"] is False:
            yield Message(
                kind="gate_closed",
                use_case=scene.name,
                identity=run["id"],
                title="The gate closed, and nothing was registered",
                lines=(f"Run {run['id']} ended {minute(run['finished'])}.", *_reasons(scene, run)),
                link=scene.run_link(run["id"]),
                command=_command(scene, run["id"]),
                when=run["finished"],
                facts={"run": run["id"]},
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
