"""A run that failed, on this machine or on a cluster."""

from collections.abc import Iterator

from operations.history.tables import FAILURES
from operations.notifications.message import Message
from operations.notifications.scene import Scene, minute


def run_failed(scene: Scene) -> Iterator[Message]:
    """Yield a message for each failed run; that of a training whose gate closed is another one."""
    for run in scene.rows(FAILURES, "failed"):
        if run["gate_passed"] is None:
            step = f" in the step {run['step']}" if run["step"] else ""
            yield Message(
                kind="run_failed",
                use_case=scene.name,
                identity=run["id"],
                title=f"A {run['kind']} failed{step}",
                lines=(f"Run {run['id']} ended {minute(run['failed'])}.", *run["error"].splitlines()),
                link=scene.page_link("history", "failed"),
                command=run["command"],
                when=run["failed"],
                facts={"run": run["id"], "pipeline": run["kind"], "step": run["step"], "runner": run["runner"]},
            )
